package cli

import (
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/cli/front"
)

func TestReadable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, got, want string
	}{
		{"hours", readableDuration("5400s"), "1h30m"},
		{"whole hours", readableDuration("7200s"), "2h"},
		{"minutes", readableDuration("60s"), "1m"},
		{"nothing", readableDuration("0s"), "0s"},
		{"ten seconds", readableDuration("10s"), "10s"},
		{"a part of a second", readableDuration("0.000001s"), "1µs"},
		{"negative", readableDuration("-5400s"), "-1h30m"},
		{"longer than Go has", readableDuration("315576000000s"), "315576000000s"},
		{"no time", readableTime("soon"), "soon"},
		{"few bytes", readableBytes("AAEC"), "000102"},
		{"many bytes", readableBytes(strings.Repeat("AAAA", 10)), strings.Repeat("00", 16) + "… (30 bytes)"},
		{"no bytes", readableBytes("?"), "?"},
		{"a bearer", masked("Bearer abc"), "Bearer ***"},
		{"a key", masked("abc def"), "***"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, test.got, test.want)
		}
	}
}

// TestObserverSecrets tells of metadata without what is for nobody's screen.
func TestObserverSecrets(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	o := &observer{w: &b}
	o.header(metadata.Pairs("authorization", "Bearer abc", "set-cookie", "abc", "my-api-key", "abc", "x-token-bin", "abc", "plain\n", "a\x1b", "some-bin", "\x01", "x-otp", "abc"))
	want := "header authorization: Bearer ***\nheader my-api-key: ***\nheader plain : a\\x1b\nheader set-cookie: ***\nheader some-bin: AQ==\nheader x-otp: ***\nheader x-token-bin: ***\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

// TestRawTerminal sends bytes to a terminal, which it is better not to do.
func TestRawTerminal(t *testing.T) {
	t.Parallel()
	srv := &echoServer{}
	srv.speak(echoSchema(t, "name"))
	for _, terminal := range []bool{true, false} {
		app, stdout, stderr := testApp(t)
		app.Terminal.Out = terminal
		connectEcho(t, app, srv)
		exit := Main(t.Context(), app, strings.Fields("echo --name=hi -o raw"))
		switch {
		case terminal && (exit != ExitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), "not for a terminal")):
			t.Errorf("exit code %d, %q %q", exit, stdout, stderr)
		case !terminal && (exit != ExitOK || stdout.String() != "\x0a\x02hi"):
			t.Errorf("exit code %d, %q %q", exit, stdout, stderr)
		}
	}
}

// TestTerminalText prints what would be orders to a terminal as text.
func TestTerminalText(t *testing.T) {
	t.Parallel()
	srv := &echoServer{}
	srv.speak(echoSchema(t, "name"))
	for _, format := range []front.Format{"text", "table", "jq=.name", "template={{.name}}"} {
		app, stdout, stderr := testApp(t)
		app.Terminal.Out = true
		connectEcho(t, app, srv)
		if exit := Main(t.Context(), app, []string{"echo", "--name=a\x1b[2Jb", "-o", string(format)}); exit != ExitOK {
			t.Errorf("%s: exit code %d, %s", format, exit, stderr)
		}
		if out := stdout.String(); strings.Contains(out, "\x1b") || !strings.Contains(out, `a\x1b[2Jb`) {
			t.Errorf("%s: %q", format, out)
		}
	}
}
