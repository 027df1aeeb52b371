package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/mail"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// Signup says who may make a namespace of his own.
type Signup string

// Who may sign up.
const (
	SignupOff    Signup = "" // nobody
	SignupOn     Signup = "on"
	SignupInvite Signup = "invite" // who has an invitation
	SignupMail   Signup = "mail"   // who can read mail
)

// SMTP is the mail server that codes are sent by.
type SMTP struct {
	Address            string // host:port; empty: there is none, and codes are in the log
	From               string
	Username, Password string
}

// Why somebody cannot sign up.
var (
	errSignupOff       = errors.New("this server does not let people sign up")
	errNeedsInvitation = errors.New("signing up with this server takes an invitation")
	errNeedsCode       = errors.New("signing up with this server takes a code that it sends by mail")
	errNoCodes         = errors.New("signing up with this server takes no code")
	errNoInvitations   = errors.New("nobody signs up with this server by an invitation; it has to run with --signup invite")
	errMail            = errors.New("the mail could not be sent; the server's log says why")
)

// mailer sends a text to a mailbox.
type mailer func(ctx context.Context, to, subject, text string) error

// newMailer returns what sends codes: by a mail server, or to the log where there is none.
func newMailer(c SMTP, log *slog.Logger) (mailer, error) {
	if c.Address == "" {
		return func(_ context.Context, to, subject, _ string) error {
			log.Info("there is no mail server to send this by; see --smtp-address", "to", to, "subject", subject)
			return nil
		}, nil
	}
	sender, err := mail.New(mail.Config{Address: c.Address, From: c.From, Username: c.Username, Password: c.Password})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, to, subject, text string) error {
		err := sender.Send(ctx, to, subject, text)
		if err != nil && ctx.Err() == nil {
			log.Error("a mail could not be sent", "err", err)
			return errMail
		}
		return err
	}, nil
}

func (a *authAPI) GetSignup(context.Context, *authv1.GetSignupRequest) (*authv1.GetSignupResponse, error) {
	mode := authv1.SignupMode_SIGNUP_MODE_OFF
	switch a.signup {
	case SignupOff:
	case SignupOn:
		mode = authv1.SignupMode_SIGNUP_MODE_ON
	case SignupInvite:
		mode = authv1.SignupMode_SIGNUP_MODE_INVITE
	case SignupMail:
		mode = authv1.SignupMode_SIGNUP_MODE_MAIL
	}
	return &authv1.GetSignupResponse{Mode: mode}, nil
}

func (a *authAPI) SendCode(ctx context.Context, req *authv1.SendCodeRequest) (*authv1.SendCodeResponse, error) {
	if a.signup != SignupMail {
		return nil, cmp.Or(a.closed(), errNoCodes)
	}
	to, code, err := a.auth.NewCode(ctx, req.GetEmail(), callerOf(ctx).client())
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`%s is the code to sign up with. It is good for %d minutes.

If you did not ask for it, somebody has typed your address by mistake, or tries whether
he can sign up with it. Without the code he cannot.
`, code, auth.CodeTTL/time.Minute)
	if err := a.mail(ctx, to, code+" is your code for micro", text); err != nil {
		return nil, err
	}
	return &authv1.SendCodeResponse{GoodFor: durationpb.New(auth.CodeTTL)}, nil
}

// closed returns why nobody can sign up, nil when somebody can.
func (a *authAPI) closed() error {
	if a.signup == SignupOff {
		return errSignupOff
	}
	return nil
}

func (a *authAPI) Signup(ctx context.Context, req *authv1.SignupRequest) (*authv1.SignupResponse, error) {
	options := []auth.SignupOption{auth.From(callerOf(ctx).client()), auth.Before(recordNow)}
	switch a.signup {
	case SignupOff:
		return nil, errSignupOff
	case SignupOn:
	case SignupInvite:
		if req.GetInvitation() == "" {
			return nil, errNeedsInvitation
		}
		options = append(options, auth.WithInvitation(req.GetInvitation()))
	case SignupMail:
		if req.GetEmail() == "" || req.GetCode() == "" {
			return nil, errNeedsCode
		}
		options = append(options, auth.WithCode(req.GetEmail(), req.GetCode()))
	}
	ns := signupNamespace(req)
	s, err := a.auth.Signup(ctx, ns, req.GetUsername(), req.GetPassword(), options...)
	if err != nil {
		return nil, aboutNew(ns, err)
	}
	return &authv1.SignupResponse{Session: session(s)}, nil
}

// signupNamespace returns the name of the namespace that a request is to make.
func signupNamespace(req *authv1.SignupRequest) string {
	return cmp.Or(req.GetNamespace(), req.GetUsername())
}

// invitationsAPI answers micro.auth.v1.Invitations.
type invitationsAPI struct {
	authv1.UnimplementedInvitationsServer
	auth   *auth.Auth
	signup Signup
}

func (i *invitationsAPI) Create(ctx context.Context, req *authv1.CreateInvitationRequest) (*authv1.CreateInvitationResponse, error) {
	if i.signup != SignupInvite {
		return nil, errNoInvitations
	}
	if req.GetExpires() != nil {
		if err := req.GetExpires().CheckValid(); err != nil {
			return nil, invalid("expires: %v", err)
		}
	}
	c := callerOf(ctx)
	made, code, err := i.auth.CreateInvitation(ctx, c.Namespace+"/"+c.ID, timeOf(req.GetExpires()), cmp.Or(int(req.GetUses()), 1))
	if err != nil {
		return nil, err
	}
	return &authv1.CreateInvitationResponse{Invitation: invitation(made), Code: code}, nil
}

func (i *invitationsAPI) List(ctx context.Context, req *authv1.ListInvitationsRequest) (*authv1.ListInvitationsResponse, error) {
	page, err := listingOf(req)
	if err != nil {
		return nil, err
	}
	list, more, err := i.auth.Invitations(ctx, page.after, page.size)
	if err != nil {
		return nil, err
	}
	rsp := &authv1.ListInvitationsResponse{}
	for _, in := range list {
		rsp.Invitations = append(rsp.Invitations, invitation(in))
	}
	if more {
		rsp.NextPageToken = page.next(list[len(list)-1].ID)
	}
	return rsp, nil
}

func (i *invitationsAPI) Delete(ctx context.Context, req *authv1.DeleteInvitationRequest) (*authv1.DeleteInvitationResponse, error) {
	if err := i.auth.DeleteInvitation(ctx, req.GetId()); err != nil {
		return nil, fmt.Errorf("invitation %q: %w", req.GetId(), err)
	}
	return &authv1.DeleteInvitationResponse{}, nil
}

func invitation(i auth.Invitation) *authv1.Invitation {
	return &authv1.Invitation{
		Id:      i.ID,
		Account: i.By,
		Created: timestamppb.New(i.Created),
		Expires: timestamp(i.Expires),
		Uses:    int32(i.Uses),
		Used:    int32(i.Used),
	}
}
