package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// signupOptions are what signing up takes.
type signupOptions struct {
	credentialOptions

	invitation  string
	email, code string
}

func newSignupCmd(app *App) *cobra.Command {
	var o signupOptions
	cmd := &cobra.Command{
		Use:   "signup",
		Short: "Make a namespace with your first account in it",
		Long: `Make a namespace of your own on the current environment, with an account that
manages it, and log in. The namespace is named by --namespace, or else like
the account.

The server decides who may: everybody, nobody, who has an invitation, or who can read
mail. It sends a code to --email then, which is asked for; without a terminal the
command ends there, and is given the code as --code the next time.`,
		Example: `  micro signup
  micro signup --invitation "$INVITATION"
  micro signup --email alice@example.com
  echo "$PASSWORD" | micro signup --username alice --password-stdin --namespace shop`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.signup(cmd.Context(), app) },
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.invitation, "invitation", "", "the code of an invitation")
	f.StringVar(&o.email, "email", "", "your mail address, where the server sends a code")
	f.StringVar(&o.code, "code", "", "the code that was sent to --email")
	return cmd
}

func (o *signupOptions) signup(ctx context.Context, app *App) error {
	storage, err := o.storage(app)
	if err != nil {
		return err
	}
	e, err := app.Env()
	if err != nil {
		return err
	}
	warnClear(app, e)
	conn, err := app.Conn()
	if err != nil {
		return err
	}
	client := authv1.NewAuthClient(conn)
	if err := o.admission(ctx, app, client); err != nil {
		return err
	}
	if err := o.ask(app, "signup"); err != nil {
		return err
	}
	ns := app.namespace
	if ns == "" && app.Interactive() && !o.passwordStdin {
		if ns, err = app.prompt(fmt.Sprintf("Namespace [%s]: ", o.username)); err != nil {
			return err
		}
	}
	if ns == "" {
		ns = o.username
	}
	password, err := o.newPassword(app, "Password")
	if err != nil {
		return err
	}
	rsp, err := client.Signup(ctx, &authv1.SignupRequest{
		Namespace: ns, Username: o.username, Password: password, Invitation: o.invitation, Email: o.email, Code: o.code,
	})
	if err != nil {
		return err
	}
	return app.loggedIn(ctx, e, rsp.GetSession(), storage, o.note, fmt.Sprintf("namespace %s is yours; logged in as %s", ns, o.username))
}

// admission gets what the server asks of those who sign up, before anybody types a
// password.
func (o *signupOptions) admission(ctx context.Context, app *App, client authv1.AuthClient) error {
	rsp, err := client.GetSignup(ctx, &authv1.GetSignupRequest{})
	if status.Code(err) == codes.Unimplemented {
		return nil // a server that is older knows only yes and no
	}
	if err != nil {
		return err
	}
	switch rsp.GetMode() {
	case authv1.SignupMode_SIGNUP_MODE_OFF:
		_, err := client.Signup(ctx, &authv1.SignupRequest{}) // which says why not
		return err
	case authv1.SignupMode_SIGNUP_MODE_INVITE:
		return o.need(app, &o.invitation, func() (string, error) { return app.promptPassword("Invitation") }, `micro signup --invitation "$INVITATION"`, "signing up takes an invitation")
	case authv1.SignupMode_SIGNUP_MODE_MAIL:
		return o.mailCode(ctx, app, client)
	default:
		return nil
	}
}

// need asks for what is missing, or says what command has it.
func (o *signupOptions) need(app *App, value *string, ask func() (string, error), hint, why string) error {
	if *value != "" {
		return nil
	}
	if !app.Interactive() || o.passwordStdin {
		return usage(hint, "%s", why)
	}
	var err error
	if *value, err = ask(); err == nil && *value == "" {
		err = usage(hint, "%s", why)
	}
	return err
}

// mailCode gets a code by mail, and asks for it.
func (o *signupOptions) mailCode(ctx context.Context, app *App, client authv1.AuthClient) error {
	email := func() (string, error) { return app.prompt("Email: ") }
	if err := o.need(app, &o.email, email, "micro signup --email alice@example.com", "signing up takes a mail address"); err != nil {
		return err
	}
	if o.code != "" {
		return nil
	}
	rsp, err := client.SendCode(ctx, &authv1.SendCodeRequest{Email: o.email})
	if err != nil {
		return err
	}
	sent := fmt.Sprintf("a code was sent to %s; it is good for %.0f minutes", o.email, rsp.GetGoodFor().AsDuration().Minutes())
	if !app.Interactive() || o.passwordStdin {
		return usage(fmt.Sprintf("micro signup --email %s --code CODE --username NAME --password-stdin", o.email), "%s", sent)
	}
	fmt.Fprintln(app.Terminal.Prompt, front.Line(sent))
	return o.need(app, &o.code, func() (string, error) { return app.prompt("Code: ") }, "micro signup", "signing up takes the code that was sent")
}

// invitationOptions say what an invitation is good for.
type invitationOptions struct {
	uses    int32
	expires string
}

func newCreateInvitationCmd(app *App) *cobra.Command {
	var o invitationOptions
	cmd := &cobra.Command{
		Use:     "invitation",
		Aliases: []string{"invitations"},
		Short:   "Create an invitation, by which somebody signs up",
		Long: `Create an invitation and print its code: the server does not keep it and shows it this
once. Somebody who has it makes a namespace with "micro signup --invitation CODE", on a
server that runs with --signup invite. Only an administrator of the namespace "micro"
may do it.`,
		Example: "  micro auth create invitation --expires 7d --uses 3",
		Args:    exactly(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.create(cmd.Context(), app) },
	}
	cmd.Flags().Int32Var(&o.uses, "uses", 1, "how many namespaces can be made by it")
	cmd.Flags().StringVar(&o.expires, "expires", "7d", "how long it is good, such as 12h or 30d, or never")
	return cmd
}

func (o *invitationOptions) create(ctx context.Context, app *App) error {
	life, err := parseLife(o.expires)
	if err != nil {
		return usage("micro auth create invitation --help", "--expires is %q: %v", o.expires, err)
	}
	if o.uses < 1 {
		return usage("micro auth create invitation --help", "--uses is %d", o.uses)
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	req := &authv1.CreateInvitationRequest{Uses: o.uses, Expires: app.after(life)}
	rsp, err := authv1.NewInvitationsClient(conn).Create(ctx, req)
	if err != nil {
		return err
	}
	fmt.Fprintln(app.Out, front.Line(rsp.GetCode()))
	i := rsp.GetInvitation()
	fmt.Fprintf(app.Err, "invitation %s created, expires %s; its code is not shown again\n", front.Line(i.GetId()), when(i.GetExpires()))
	return nil
}

func newListInvitationsCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "invitations",
		Aliases: []string{"invitation"},
		Short:   "List the invitations that are good, without their codes",
		Example: "  micro auth list invitations",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			all := &authv1.ListInvitationsResponse{}
			for token := ""; ; {
				rsp, err := authv1.NewInvitationsClient(conn).List(ctx, &authv1.ListInvitationsRequest{PageToken: token, PageSize: 1000})
				if err != nil {
					return err
				}
				all.Invitations = append(all.Invitations, rsp.GetInvitations()...)
				if token = rsp.GetNextPageToken(); token == "" {
					break
				}
			}
			return out.print(app.Out, all, func(t *tableWriter) {
				t.row("ID", "USED", "CREATED", "BY", "EXPIRES")
				for _, i := range all.GetInvitations() {
					t.row(i.GetId(), fmt.Sprintf("%d of %d", i.GetUsed(), i.GetUses()), when(i.GetCreated()), i.GetAccount(), when(i.GetExpires()))
				}
			})
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

func newDeleteInvitationCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "invitation ID",
		Aliases: []string{"invitations"},
		Short:   "Delete an invitation; nobody signs up by it any more",
		Example: "  micro auth delete invitation k3fqzjw5n2vo7r6ue4ht2yxa3m",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, conn, err := app.connFor(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := authv1.NewInvitationsClient(conn).Delete(ctx, &authv1.DeleteInvitationRequest{Id: args[0]}); err != nil {
				return err
			}
			fmt.Fprintf(app.Out, "invitation %s deleted\n", front.Line(args[0]))
			return nil
		},
	}
}
