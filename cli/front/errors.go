package front

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/cli/front/unary"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
)

// Exit codes; `micro help exit-codes` lists them.
const (
	ExitOK          = 0
	ExitError       = 1
	ExitUsage       = 2
	ExitLogin       = 4
	ExitNotFound    = 5
	ExitDenied      = 6
	ExitUnreachable = 7
	ExitConflict    = 8
	ExitInterrupted = 130
)

// Error is what a person is told: what happened and why, a command that helps,
// and the code that the process exits with.
type Error struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Hints are more of them, for when something else may have been meant.
	Hints []string `json:"hints,omitempty"`
	// Details are lines that explain the message, such as a compiler's.
	Details []string `json:"lines,omitempty"`
	Code    string   `json:"code,omitempty"` // of gRPC, where one was the cause
	Exit    int      `json:"exit"`

	// Said is what the server says besides, nil when nothing.
	Said *Said `json:"-"`
}

func (e *Error) Error() string { return e.Message }

// Print writes an error to w: for a program as one JSON object, else for a person.
// Lines of the message after its first are indented, so that none of them can be
// taken for micro's own word.
func (e *Error) Print(w io.Writer, asJSON bool) {
	said := e.Said
	if said == nil {
		said = &Said{}
	}
	if asJSON {
		type forProgram struct {
			*Error
			Rich []detail `json:"details,omitempty"`
		}
		b, err := json.Marshal(struct {
			Error forProgram `json:"error"`
		}{forProgram{e, said.details}})
		if err == nil {
			fmt.Fprintf(w, "%s\n", b)
			return
		}
	}
	for _, l := range e.Details {
		fmt.Fprintln(w, Lines(l))
	}
	message := e.Message
	if said.localized != "" {
		message = said.localized
	}
	fmt.Fprintf(w, "micro: %s\n", strings.ReplaceAll(Lines(message), "\n", "\n  "))
	for _, l := range said.lines {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(Lines(l), "\n", "\n    "))
	}
	if e.Hint != "" {
		fmt.Fprintf(w, "hint: %s\n", Line(e.Hint))
	}
	for _, hint := range e.Hints {
		fmt.Fprintf(w, "hint: %s\n", Line(hint))
	}
}

// HintedFor returns the error with hints that act where a command with these flags did:
// a hint is pasted as it is, and what was chosen for one command is not chosen for the
// next.
func (e *Error) HintedFor(g Globals) *Error {
	if g == (Globals{}) {
		return e
	}
	said := *e
	said.Hint = g.hint(e.Hint)
	said.Hints = slices.Clone(e.Hints)
	for i, hint := range said.Hints {
		said.Hints[i] = g.hint(hint)
	}
	return &said
}

// hint returns a hint with the flags, if it is a command that they mean something to and
// that does not have them.
func (g Globals) hint(hint string) string {
	rest, isCommand := strings.CutPrefix(hint, "micro ")
	word, _, _ := strings.Cut(rest, " ")
	switch {
	case !isCommand || strings.HasPrefix(word, "-"):
		return hint
	case slices.Contains([]string{"env", "git", "help", "new", "restore", "server"}, word):
		return hint
	case strings.HasSuffix(rest, " --help") && slices.ContainsFunc(Summaries(), func(s Summary) bool { return s.Name == word }):
		return hint
	}
	if strings.Contains(rest, " --env ") {
		g.Env = ""
	}
	if strings.Contains(rest, " --namespace ") {
		g.Namespace = ""
	}
	return g.Command() + " " + rest
}

// Status is the status of a failed call.
type Status struct {
	Code    int
	Message string
	Reason  string // of the server's own errors
	// Unreachable says that the status was made here, because there was no server.
	Unreachable bool
	Timeout     time.Duration // what the call had for its time, 0 for any

	Details []byte       // a google.rpc.Status in wire form, or nil
	Types   Types        // of details that are not agreed upon; may be nil
	Input   wire.Message // what was called with, if known: its fields are named as flags
	Verbose bool         // tell too what is for those who run the server
}

// Place is where a command acts, for what it tells when it fails.
type Place struct {
	Env      string
	Address  string
	Loopback bool // it is for a server of micro on this machine
	EnvToken bool // the token came from MICRO_TOKEN
	Plain    bool // the server knows nothing of micro
	TLS      bool
	Cert     bool // the client shows a certificate

	// Guest is who acts in another namespace than their own: which that is, and the
	// one where they are logged in.
	Guest *Guest
}

// Guest is somebody in a namespace where they have no account.
type Guest struct{ Account, Home, Namespace string }

// PlaceOf returns where a command acts that uses a namespace of an environment.
func PlaceOf(e envs.Env, namespace string, getenv func(string) string, plain bool) Place {
	_, useTLS, err := envs.ParseAddress(e.Address)
	var guest *Guest
	if e.Account != "" && e.Namespace != "" && namespace != e.Namespace && getenv(envs.EnvToken) == "" {
		guest = &Guest{e.Account, e.Namespace, namespace}
	}
	return Place{
		Guest: guest,
		Env:   e.Name, Address: e.Address, EnvToken: getenv(envs.EnvToken) != "", Plain: plain,
		Loopback: e.IsLoopback() && (e.Name == envs.Local || e.Account != ""),
		TLS:      useTLS && err == nil, Cert: e.Cert != "",
	}
}

func (p Place) String() string { return fmt.Sprintf("environment %q (%s)", p.Env, p.Address) }

// Explain turns the status of a failed call into what a person is told.
func Explain(s Status, at Place) *Error {
	e := &Error{Message: s.Message, Code: unary.CodeName(s.Code), Exit: ExitError}
	if e.Message == "" {
		e.Message = e.Code
	}
	if len(s.Details) > 0 {
		e.Said = readSaid(s)
	}
	switch s.Reason {
	case "WRONG_CREDENTIALS":
		e.Message = "wrong username or password"
		if at.EnvToken {
			e.Message = "the token in MICRO_TOKEN is not one of this server's"
		}
	case "OWN_PASSWORD":
		e.Hint = "micro user password"
	case "NO_SERVICE":
		e.Hint = "micro services"
	case "NO_INSTANCE":
		e.Hint = "micro status"
	case "SIGNUP_OFF":
		e.Hint = "ask who runs the server for an account, then micro login"
	case "INVITATION_NEEDED":
		e.Hint = `micro signup --invitation "$INVITATION"`
	case "CODE_NEEDED", "BAD_CODE":
		e.Hint = "micro signup --email ADDRESS"
	case "DISK_FULL":
		e.Hint = "free some space in the server's data directory; it takes writes again by itself"
	case "NO_IMAGE":
		e.Hint = "micro run"
	case "CONFLICT":
		e.Exit = ExitConflict
	}
	switch s.Code {
	case unary.CodeUnavailable:
		switch {
		case s.Reason != "":
		case s.Unreachable:
			e.aboutReach(s, at)
		case strings.HasPrefix(s.Message, "error reading from server: "): // gRPC's words when answers had come
			e.Message = fmt.Sprintf("the connection to the server of %s was lost: %s", at, unary.Cause(s.Message))
		}
		if s.Reason == "" && at.TLS {
			e.aboutCertificate(s, at)
		}
		e.Exit = ExitUnreachable
	case unary.CodeDeadlineExceeded:
		e.Exit = ExitUnreachable
		if s.Timeout > 0 && isTimeOver(s.Message) {
			e.Message = fmt.Sprintf("no answer within %s", s.Timeout)
		}
	case unary.CodeUnauthenticated:
		e.Exit = ExitLogin
		e.Hint = "micro login"
		switch {
		case at.Plain:
			e.Hint = "say who calls: -H 'authorization: Bearer ${TOKEN}'"
		case at.Guest != nil:
			e.Message += fmt.Sprintf("; you are %s of namespace %q", at.Guest.Account, at.Guest.Home)
			e.Hint = "micro login --namespace " + at.Guest.Namespace
		case at.EnvToken:
			e.Hint = "set MICRO_TOKEN to a token that is valid, or unset it and use micro login"
		}
	case unary.CodeResourceExhausted:
		if said, ok := strings.CutPrefix(s.Message, "grpc: received message "); ok { // gRPC's words for a request
			e.Message = "the server takes no message as large: received message " + said
		}
	case unary.CodePermissionDenied:
		e.Exit = ExitDenied
	case unary.CodeNotFound, unary.CodeUnimplemented:
		e.Exit = ExitNotFound
	case unary.CodeInvalidArgument:
		e.Exit = ExitUsage
	case unary.CodeCanceled:
		e.Exit = ExitInterrupted
	}
	return e
}

// aboutReach tells that a server cannot be reached.
func (e *Error) aboutReach(s Status, at Place) {
	cause := unary.Cause(s.Message)
	e.Message = fmt.Sprintf("cannot reach the server of %s: %s", at, cause)
	e.Hint = "micro env"
	switch {
	case at.Plain: // it could be reached before
	case at.Loopback:
		e.Hint = "micro server"
	case cause == unary.Closed && !at.TLS:
		e.Message += "; it may speak TLS only"
		e.Hint = "micro env add NAME tls://" + strings.TrimPrefix(at.Address, "tcp://")
	}
}

// aboutCertificate tells that the server's certificate is not trusted, or that the server
// has ended a connection because of the client's, or as those do that miss one: with TLS
// 1.3 they hang up when the client has begun to call.
func (e *Error) aboutCertificate(s Status, at Place) {
	const add = "micro env add NAME ADDRESS --cert FILE --key FILE"
	if strings.Contains(s.Message, "failed to verify certificate") {
		e.Hint = "micro env add NAME ADDRESS --ca FILE"
		e.Message, _, _ = strings.Cut(e.Message, " (possibly because of")
		return
	}
	_, alert, isAlert := strings.Cut(unary.Cause(s.Message), "remote error: tls: ")
	isAbout := isAlert && strings.Contains(alert, "certificate")
	switch {
	case isAbout && at.Cert:
		e.Message = fmt.Sprintf("the server of %s does not take the certificate of the client: %s", at, alert)
		e.Hint = "micro env"
	case at.Cert:
	case isAbout:
		e.Message, e.Hint = fmt.Sprintf("the server of %s wants a certificate of the client", at), add
	case s.Unreachable && (isAlert || strings.HasSuffix(e.Message, "broken pipe") || strings.HasSuffix(e.Message, "connection reset by peer")):
		e.Message += "; it may want a certificate of the client"
		e.Hint = add
	}
}

// isTimeOver reports whether a message says no more than that the time of a call is
// over: the context's own here or at the server, which may notice it first and reset
// the call.
func isTimeOver(message string) bool {
	return message == "" || message == context.DeadlineExceeded.Error() ||
		strings.HasPrefix(message, "stream terminated by RST_STREAM") ||
		strings.HasPrefix(message, "context deadline exceeded while waiting") ||
		strings.HasPrefix(message, "received context error while waiting")
}
