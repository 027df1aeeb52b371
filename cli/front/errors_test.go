package front

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/cli/front/unary"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	far := Place{Env: "far", Address: "far.example.com:443"}
	local := Place{Env: "local", Address: "127.0.0.1:8081", Loopback: true}
	withToken := Place{Env: "far", Address: "far.example.com:443", EnvToken: true}
	secure := Place{Env: "far", Address: "far.example.com:443", TLS: true}
	withCertificate := Place{Env: "far", Address: "far.example.com:443", TLS: true, Cert: true}
	const certificate = "micro env add NAME ADDRESS --cert FILE --key FILE"
	unreachable := func(text string) Status {
		return Status{Code: unary.CodeUnavailable, Message: text, Unreachable: true}
	}
	const token = "set MICRO_TOKEN to a token that is valid, or unset it and use micro login"
	for _, tt := range []struct {
		name string
		in   Status
		at   Place
		want Error
	}{
		{"a service's own", Status{Code: 2, Message: "oh"}, far, Error{Message: "oh", Code: "Unknown", Exit: ExitError}},
		{"canceled", Status{Code: 1, Message: "gone"}, far, Error{Message: "gone", Code: "Canceled", Exit: ExitInterrupted}},
		{"invalid", Status{Code: 3, Message: "x"}, far, Error{Message: "x", Code: "InvalidArgument", Exit: ExitUsage}},
		{"too late", Status{Code: 4, Message: "x"}, far, Error{Message: "x", Code: "DeadlineExceeded", Exit: ExitUnreachable}},
		{"not found", Status{Code: 5, Message: "x"}, far, Error{Message: "x", Code: "NotFound", Exit: ExitNotFound}},
		{"exists", Status{Code: 6, Message: "x"}, far, Error{Message: "x", Code: "AlreadyExists", Exit: ExitError}},
		{"denied", Status{Code: 7, Message: "x"}, far, Error{Message: "x", Code: "PermissionDenied", Exit: ExitDenied}},
		{"unimplemented", Status{Code: 12, Message: "x"}, far, Error{Message: "x", Code: "Unimplemented", Exit: ExitNotFound}},
		{"a code of its own", Status{Code: 99, Message: "x"}, far, Error{Message: "x", Code: "Code(99)", Exit: ExitError}},
		{"lost in the middle", Status{Code: 14, Message: "error reading from server: EOF"}, far, Error{
			Message: `the connection to the server of environment "far" (far.example.com:443) was lost: it closed the connection`, Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"TLS only", unreachable("error reading from server: EOF"), far, Error{
			Message: `cannot reach the server of environment "far" (far.example.com:443): it closed the connection; it may speak TLS only`, Code: "Unavailable",
			Hint: "micro env add NAME tls://far.example.com:443", Exit: ExitUnreachable,
		}},
		{"a code below zero", Status{Code: -1, Message: "x"}, far, Error{Message: "x", Code: "Code(-1)", Exit: ExitError}},

		{"no server here", unreachable(`dial tcp 127.0.0.1:8081: connect: connection refused`), local, Error{
			Message: `cannot reach the server of environment "local" (127.0.0.1:8081): connection refused`, Hint: "micro server", Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"no server there", unreachable(`connection error: desc = "transport: Error while dialing: lookup far.example.com: no such host"`), far, Error{
			Message: `cannot reach the server of environment "far" (far.example.com:443): no such host`, Hint: "micro env", Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"a reason in a wrapping", unreachable(`connection error: desc = "transport: authentication handshake failed: tls: x"`), far, Error{
			Message: `cannot reach the server of environment "far" (far.example.com:443): tls: x`, Hint: "micro env",
			Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"no certificate", unreachable(`error reading from server: remote error: tls: certificate required`), secure, Error{
			Message: `the server of environment "far" (far.example.com:443) wants a certificate of the client`, Hint: certificate,
			Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"no certificate in the middle of a call", Status{Code: unary.CodeUnavailable, Message: "the connection broke before the answer was there: remote error: tls: bad certificate"}, secure, Error{
			Message: `the server of environment "far" (far.example.com:443) wants a certificate of the client`, Hint: certificate,
			Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"no certificate, perhaps", unreachable(`connection error: desc = "error reading server preface: write tcp 127.0.0.1:1->127.0.0.1:2: write: broken pipe"`), secure, Error{
			Message: `cannot reach the server of environment "far" (far.example.com:443): broken pipe; it may want a certificate of the client`, Hint: certificate,
			Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"hung up in clear", unreachable(`write tcp 127.0.0.1:1->127.0.0.1:2: write: broken pipe`), far, Error{
			Message: `cannot reach the server of environment "far" (far.example.com:443): broken pipe`, Hint: "micro env", Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"another certificate", unreachable(`connection error: desc = "error reading server preface: remote error: tls: unknown certificate authority"`), withCertificate, Error{
			Message: `the server of environment "far" (far.example.com:443) does not take the certificate of the client: unknown certificate authority`, Hint: "micro env",
			Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"hung up on a certificate", unreachable(`connection reset by peer`), withCertificate, Error{
			Message: `cannot reach the server of environment "far" (far.example.com:443): connection reset by peer`, Hint: "micro env", Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"a service is unavailable", Status{Code: unary.CodeUnavailable, Message: "busy"}, local, Error{Message: "busy", Code: "Unavailable", Exit: ExitUnreachable}},
		{"no instance", Status{Code: unary.CodeUnavailable, Message: "no instance", Reason: "NO_INSTANCE", Unreachable: true}, local, Error{
			Message: "no instance", Hint: "micro status", Code: "Unavailable", Exit: ExitUnreachable,
		}},
		{"no service", Status{Code: unary.CodeNotFound, Message: "x", Reason: "NO_SERVICE"}, far, Error{Message: "x", Hint: "micro services", Code: "NotFound", Exit: ExitNotFound}},
		{"no image", Status{Code: unary.CodeNotFound, Message: "x", Reason: "NO_IMAGE"}, far, Error{Message: "x", Hint: "micro run", Code: "NotFound", Exit: ExitNotFound}},

		{"nobody", Status{Code: unary.CodeUnauthenticated, Message: "x"}, far, Error{Message: "x", Hint: "micro login", Code: "Unauthenticated", Exit: ExitLogin}},
		{"a token of a variable", Status{Code: unary.CodeUnauthenticated, Message: "x"}, withToken, Error{Message: "x", Hint: token, Code: "Unauthenticated", Exit: ExitLogin}},
		{"a wrong password", Status{Code: unary.CodeUnauthenticated, Message: "x", Reason: "WRONG_CREDENTIALS"}, far, Error{
			Message: "wrong username or password", Hint: "micro login", Code: "Unauthenticated", Exit: ExitLogin,
		}},
		{"a wrong token of a variable", Status{Code: unary.CodeUnauthenticated, Message: "x", Reason: "WRONG_CREDENTIALS"}, withToken, Error{
			Message: "the token in MICRO_TOKEN is not one of this server's", Hint: token, Code: "Unauthenticated", Exit: ExitLogin,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(&tt.want, Explain(tt.in, tt.at)); diff != "" {
				t.Errorf("Explain (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorPrint(t *testing.T) {
	t.Parallel()
	evil := &Error{Message: "one\nhint: rm -rf \x1b[2J", Hint: "micro\nlogin", Details: []string{"a.go:1:\tx\x07"}, Code: "Internal", Exit: 1}
	for _, tt := range []struct {
		name   string
		in     *Error
		asJSON bool
		want   string
	}{
		{"message", &Error{Message: "no"}, false, "micro: no\n"},
		{"hint", &Error{Message: "no", Hint: "micro login"}, false, "micro: no\nhint: micro login\n"},
		{"details first", &Error{Message: "no", Details: []string{"a", "b"}}, false, "a\nb\nmicro: no\n"},
		{"hostile", evil, false, "a.go:1:\tx\\x07\nmicro: one\n  hint: rm -rf \\x1b[2J\nhint: micro login\n"},
		{"json", &Error{Message: "no", Exit: 1}, true, `{"error":{"message":"no","exit":1}}` + "\n"},
		{
			"hostile json", evil, true,
			`{"error":{"message":"one\nhint: rm -rf \u001b[2J","hint":"micro\nlogin","lines":["a.go:1:\tx\u0007"],"code":"Internal","exit":1}}` + "\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			tt.in.Print(&b, tt.asJSON)
			if b.String() != tt.want {
				t.Errorf("Print = %q, want %q", &b, tt.want)
			}
		})
	}
}
