package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/cli/front"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// auditOptions say which entries of the audit log are shown, or how it is verified.
type auditOptions struct {
	since, account, method string
	lines                  int32
	follow                 bool
	verify, all            bool
	noted                  []string
	out                    format
}

func newAuditCmd(app *App) *cobra.Command {
	o := auditOptions{}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what in the namespace, and verify that nobody has changed that",
		Long: `Show which calls have changed or revealed something of the namespace, or were refused:
logins, accounts, rules, API tokens, configuration, secrets that were shown, images and
services. What is about the whole server, such as namespaces and keys, is in the log of
the namespace "micro". It takes the rights that changing accounts takes.

Each entry carries the SHA-256 of the one before. --verify tells what was removed,
altered or moved since, in all namespaces with --all, which only an administrator of
the namespace "micro" may ask. It also prints the last entry with its hash: noted
elsewhere, and given as --noted later, that tells a log that somebody has put back whole.`,
		Example: `  micro auth audit
  micro auth audit --since 24h --account bob
  micro auth audit -f --method Auth.Login -o json
  micro auth audit --verify`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.verify {
				return o.runVerify(cmd.Context(), app)
			}
			return o.run(cmd.Context(), app)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.since, "since", "", "leave out what is older, such as 10m or 7d")
	f.StringVar(&o.account, "account", "", "only what this account did, as ACCOUNT or NAMESPACE/ACCOUNT")
	f.StringVar(&o.method, "method", "", "only calls of this method, such as Accounts.Create or Accounts")
	f.Int32VarP(&o.lines, "lines", "n", 100, "show at most so many of the entries that are there; 0 shows all")
	f.BoolVarP(&o.follow, "follow", "f", false, "wait for more")
	f.BoolVar(&o.verify, "verify", false, "tell whether entries were removed, altered or moved")
	f.BoolVar(&o.all, "all", false, "verify the logs of all namespaces")
	f.StringSliceVar(&o.noted, "noted", nil, "what --verify printed of the last entry before, as NUMBER:HASH")
	outputFlag(cmd, &o.out)
	for _, reading := range []string{"since", "account", "method", "lines", "follow"} {
		cmd.MarkFlagsMutuallyExclusive("verify", reading)
	}
	cmd.MarkFlagsMutuallyExclusive("all", "noted")
	return cmd
}

func (o *auditOptions) run(ctx context.Context, app *App) error {
	switch {
	case o.lines < 0:
		return usage("micro auth audit --help", "--lines is %d", o.lines)
	case o.all || len(o.noted) > 0:
		return usage("micro auth audit --verify --help", "--all and --noted say how to verify; add --verify")
	}
	req := &authv1.ReadAuditRequest{Account: o.account, Method: o.method, Tail: o.lines, Follow: o.follow}
	if o.since != "" {
		since, err := parseLife(o.since)
		if err != nil || since == 0 {
			return usage("micro auth audit --help", "--since is %q, not a time such as 10m or 7d", o.since)
		}
		req.Since = timestamppb.New(app.Now().Add(-since))
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	stream, err := authv1.NewAuditClient(conn).Read(ctx, req)
	if err != nil {
		return err
	}
	table := newTable(app.Out)
	head := []string{"TIME", "ACCOUNT", "ADDRESS", "METHOD", "OBJECT", "OUTCOME"}
	table.row(head...)
	if o.follow && o.out == asTable {
		fmt.Fprintln(app.Out, auditLine(head))
	}
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, e := range rsp.GetEntries() {
			row := auditRow(e)
			err := o.out.element(app.Out, e, func(w io.Writer) error {
				if !o.follow {
					table.row(row...)
					return nil
				}
				_, err := fmt.Fprintln(w, auditLine(row))
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	if o.out == asTable && !o.follow {
		return table.flush()
	}
	return nil
}

// auditLine is a row of a table whose other rows are still to come.
func auditLine(row []string) string {
	widths := []int{19, 20, 15, 20, 20, 0}
	var b strings.Builder
	for i, cell := range row {
		fmt.Fprintf(&b, "%-*s  ", widths[i], front.Line(cell))
	}
	return strings.TrimRight(b.String(), " ")
}

// auditRow tells an entry in the columns of the table.
func auditRow(e *authv1.AuditEntry) []string {
	at := e.GetTime().AsTime().Local().Format("2006-01-02 15:04:05")
	switch {
	case e.GetMissed() > 0:
		return []string{at, "", "", "", "", fmt.Sprintf("%d refused calls more", e.GetMissed())}
	case e.GetDamaged():
		return []string{at, "", "", "", "", "the end of the log was lost or altered; see --verify"}
	}
	account := e.GetAccount()
	switch {
	case account == "":
		account = "-"
	case e.GetToken() != "":
		account += " (token " + e.GetToken() + ")"
	case e.GetAccountType() == authv1.AccountType_ACCOUNT_TYPE_SERVICE:
		account += " (service)"
	}
	address := e.GetAddress()
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	outcome := e.GetOutcome()
	switch {
	case e.GetDecision() == authv1.AuditDecision_AUDIT_DECISION_DENIED:
		outcome = "refused: " + outcome
	case outcome == "":
		outcome = "not known"
	}
	return []string{at, account, address, e.GetMethod(), e.GetObject(), outcome}
}

func (o *auditOptions) runVerify(ctx context.Context, app *App) error {
	req := &authv1.VerifyAuditRequest{All: o.all}
	for _, s := range o.noted {
		n, hash, ok := strings.Cut(s, ":")
		sequence, err := strconv.ParseInt(n, 10, 64)
		sum, hexErr := hex.DecodeString(hash)
		if !ok || err != nil || hexErr != nil || sequence < 1 || len(sum) != 32 {
			return usage("micro auth audit --verify", "--noted is %q, not NUMBER:HASH as --verify prints it", s)
		}
		req.Noted = append(req.Noted, &authv1.NotedAuditEntry{Sequence: sequence, Hash: sum})
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	stream, err := authv1.NewAuditClient(conn).Verify(ctx, req)
	if err != nil {
		return err
	}
	table := newTable(app.Out)
	table.row("NAMESPACE", "ENTRIES", "LAST", "STATE")
	var problems []string
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, p := range rsp.GetProblems() {
			problems = append(problems, rsp.GetNamespace()+": "+p)
		}
		if rsp.GetMore() {
			problems = append(problems, rsp.GetNamespace()+": and more")
		}
		err = o.out.element(app.Out, rsp, func(io.Writer) error {
			table.row(verifiedRow(rsp)...)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if o.out == asTable {
		if err := table.flush(); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return &Error{Message: "the audit log is not as it was written", Details: problems, Exit: ExitError}
	}
	return nil
}

// verifiedRow tells what is known of a log in the columns of the table.
func verifiedRow(rsp *authv1.VerifyAuditResponse) []string {
	entries, last, state := "none", "", "as written"
	if rsp.GetLast() > 0 {
		entries = fmt.Sprintf("%d-%d", rsp.GetFirst(), rsp.GetLast())
		last = fmt.Sprintf("%d:%s", rsp.GetLast(), hex.EncodeToString(rsp.GetHash()))
	}
	if n := len(rsp.GetProblems()); n > 0 {
		state = "changed"
	}
	return []string{rsp.GetNamespace(), entries, last, state}
}
