package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
)

// testApp is an app of a user without anything.
func testApp(t *testing.T, env ...string) (app *App, stdout, stderr *bytes.Buffer) {
	t.Helper()
	vars := map[string]string{"MICRO_HOME": t.TempDir()}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		vars[k] = v
	}
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return &App{
		In: strings.NewReader(""), Out: stdout, Err: stderr,
		Getenv:  func(k string) string { return vars[k] },
		Now:     func() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC) },
		Version: "v3.0.0-test",
	}, stdout, stderr
}

// TestCommands runs commands that need no server, and some that are typed wrong.
func TestCommands(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, args     string
		exit           int
		stdout, stderr string // begin like this
	}{
		{"version", "version", ExitOK, "micro v3.0.0-test\n", ""},
		{"too many arguments for none", "version now", ExitUsage, "", "micro: \"micro version\" takes no arguments, and got \"now\"\nhint: micro version --help\n"},
		{"too many arguments", "run a b", ExitUsage, "", "micro: \"micro run\" has one argument too many: \"b\"\nhint: micro run --help\n"},
		{"too few arguments", "env add a", ExitUsage, "", "micro: \"micro env add\" needs NAME ADDRESS\nhint: micro env add --help\n"},
		{"a flag that there is not", "run --nam x", ExitUsage, "", "micro: unknown flag: --nam\nhint: micro run --help\n"},
		{"a flag without its value", "logs x -n", ExitUsage, "", "micro: flag needs an argument: 'n' in -n\nhint: micro logs --help\n"},
		{"a value that is none", "env -o xml", ExitUsage, "", "micro: invalid argument \"xml\" for \"-o, --output\" flag: \"xml\" is none of table, json, yaml\nhint: micro env --help\n"},
		{"a flag that is required", "auth create rule x", ExitUsage, "", "micro: required flag(s) \"resource\" not set\nhint: micro auth create rule --help\n"},
		{"a command below that there is not", "env seet local", ExitUsage, "", "micro: unknown command \"seet\" of \"micro env\"\nhint: micro env set\n"},
		{"nothing like a command below", "auth xyz", ExitUsage, "", "micro: unknown command \"xyz\" of \"micro auth\"\nhint: micro auth --help\n"},
		{"a flag before everything", "--nope", ExitUsage, "", "micro: unknown flag: --nope\nhint: micro --help\n"},
		{"an environment that there is not", "-e nowhere user", ExitNotFound, "", "micro: "},
		{"nobody is logged in", "user", ExitLogin, "", "micro: not logged in to environment \"local\" (127.0.0.1:8081)\nhint: micro login\n"},
		{"nobody can be asked", "login", ExitUsage, "", ""},
		{"an error in JSON", "user -o json", ExitLogin, "", `{"`},
		{"a negative number of lines", "logs x -n -1", ExitUsage, "", "micro: --lines is -1\nhint: micro logs --help\n"},
		{"a number of instances below one", "scale shop -1", ExitUsage, "", "micro: -1 is no number of instances: a service has at least one\nhint: micro scale --help\n"},
		{"the same with a flag behind it", "-e local scale shop -1 --no-wait", ExitUsage, "", "micro: -1 is no number of instances: a service has at least one\n"},
		{"no number of instances", "scale shop -1x", ExitUsage, "", "micro: unknown shorthand flag: '1' in -1x\nhint: micro scale --help\n"},
		{"a release below one", "rollback shop -1", ExitUsage, "", "micro: \"-1\" is no release\nhint: micro releases shop\n"},
		{"a revision below one", "config rollback -1", ExitUsage, "", "micro: \"-1\" is no revision\nhint: micro config history\n"},
		{"a call below one", "history -1", ExitUsage, "", "micro: \"-1\" is"},
		{"a value with a dash", "config set shop.flags -abc", ExitUsage, "", "micro: unknown shorthand flag: 'a' in -abc\nhint: micro config set --help\nhint: micro config set -- shop.flags -abc\n"},
		{"a value with two dashes", "store write --expiry 1h key --value", ExitUsage, "", "micro: unknown flag: --value\nhint: micro store write --help\nhint: micro store write --expiry 1h -- key --value\n"},
		{"a payload with a dash", "events publish orders -x", ExitUsage, "", "micro: unknown shorthand flag: 'x' in -x\nhint: micro events publish --help\nhint: micro events publish -- orders -x\n"},
		{"a flag that there is not before the value", "config set --secert shop.key value", ExitUsage, "", "micro: unknown flag: --secert\nhint: micro config set --help\n"},
		{"the namespace that it acts in", "--namespace=a user namespace", ExitOK, "a\n", ""},
		{"completion of environments", "__complete env set -- ", ExitOK, "local\t", ""},
		{"completion of nothing more", "__complete env set local x", ExitOK, ":4\n", "Completion ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, stdout, stderr := testApp(t)
			args := strings.Fields(test.args)
			if strings.HasSuffix(test.args, " ") {
				args = append(args, "")
			}
			if exit := Main(t.Context(), app, args); exit != test.exit {
				t.Errorf("got exit code %d, want %d", exit, test.exit)
			}
			if !strings.HasPrefix(stdout.String(), test.stdout) || test.stdout == "" && stdout.Len() > 0 {
				t.Errorf("stdout:\ngot  %q\nwant %q…", stdout, test.stdout)
			}
			if !strings.HasPrefix(stderr.String(), test.stderr) {
				t.Errorf("stderr:\ngot  %q\nwant %q…", stderr, test.stderr)
			}
		})
	}
}

// TestNamespaceOfStrangers prints a namespace that a server made up.
func TestNamespaceOfStrangers(t *testing.T) {
	t.Parallel()
	app, stdout, _ := testApp(t, "MICRO_NAMESPACE=a\x1b[2J")
	if exit := Main(t.Context(), app, []string{"user", "namespace"}); exit != ExitOK {
		t.Errorf("got exit code %d", exit)
	}
	if got, want := stdout.String(), "a\\x1b[2J\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFirstWord(t *testing.T) {
	t.Parallel()
	app, _, _ := testApp(t)
	root := newRoot(app)
	for args, want := range map[string]string{
		"":                            "",
		"helloworld":                  "helloworld",
		"helloworld --env=x":          "helloworld",
		"-e dev helloworld call":      "helloworld",
		"--env dev helloworld":        "helloworld",
		"--env=dev helloworld":        "helloworld",
		"-y --no-color run":           "run",
		"--namespace a -e b c":        "c",
		"--namespace":                 "",
		"-e":                          "",
		"--help helloworld":           "",
		"-h":                          "",
		"--unknown helloworld":        "",
		"-- helloworld":               "",
		"-":                           "-",
		"--yes=false -e=x helloworld": "helloworld",
	} {
		if got := firstWord(root, strings.Fields(args)); got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
}

// TestIsCommand has the front and the tree agree on what is a command, so that
// neither takes one for a service.
func TestIsCommand(t *testing.T) {
	t.Parallel()
	app, _, _ := testApp(t)
	root := newRoot(app)
	for _, c := range root.Commands() {
		for _, name := range append([]string{c.Name()}, c.Aliases...) {
			if !isCommand(root, name) || !front.IsCommand(name) {
				t.Errorf("%s: the tree says %t, the front says %t, want true", name, isCommand(root, name), front.IsCommand(name))
			}
		}
	}
	for _, name := range []string{"help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd, "helloworld", "", "Run", "runs", "-"} {
		if got, want := front.IsCommand(name), isCommand(root, name); got != want {
			t.Errorf("%q: the front says %t, the tree says %t", name, got, want)
		}
	}
}

func TestWantsJSON(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]bool{
		"":                       false,
		"status -o json":         true,
		"status -o=json":         true,
		"status -ojson":          true,
		"status --output json":   true,
		"status --output=json":   true,
		"status -o":              false,
		"status -o yaml":         false,
		"status -o yaml -o json": true,
		"status -o json -o yaml": false,
		"kill -- -o json":        false,
		"json -o":                false,
	} {
		if got := wantsJSON(strings.Fields(args)); got != want {
			t.Errorf("%q: got %t, want %t", args, got, want)
		}
	}
}

func TestReadLine(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, test := range []struct {
		name string
		in   func() io.Reader
		want string
		err  error
	}{
		{"a line", func() io.Reader { return strings.NewReader("a b\nc\n") }, "a b", nil},
		{"of Windows", func() io.Reader { return strings.NewReader("a\r\nb") }, "a", nil},
		{"without its end", func() io.Reader { return strings.NewReader("secret") }, "secret", nil},
		{"whose last byte comes with the end", func() io.Reader { return iotest.DataErrReader(strings.NewReader("secret")) }, "secret", nil},
		{"of nothing", func() io.Reader { return strings.NewReader("\nx") }, "", nil},
		{"none", func() io.Reader { return strings.NewReader("") }, "", io.EOF},
		{"that breaks off", func() io.Reader { return io.MultiReader(strings.NewReader("sec"), iotest.ErrReader(broken)) }, "", broken},
		{"slowly", func() io.Reader { return iotest.HalfReader(strings.NewReader("a b\n")) }, "a b", nil},
		{"behind a buffer", func() io.Reader { return bufio.NewReader(strings.NewReader("a\r\nb")) }, "a", nil},
		{"behind a buffer, without its end", func() io.Reader { return bufio.NewReader(strings.NewReader("a")) }, "a", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := readLine(test.in()); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v, want %q, %v", got, err, test.want, test.err)
			}
		})
	}
	if _, err := readLine(iotest.OneByteReader(strings.NewReader(strings.Repeat("x", 1<<20)))); err == nil {
		t.Error("a line without end: got no error")
	}
	// Two passwords are two lines, whatever reads them.
	r := strings.NewReader("old\nnew\n")
	for _, want := range []string{"old", "new"} {
		if got, err := readLine(r); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestServiceNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a": true, "a-1": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, "a-": false, "A": false, "a_b": false, "a.b": false, "é": false, strings.Repeat("a", 64): false, "../x": false,
	} {
		if got := isServiceName(name); got != want {
			t.Errorf("isServiceName(%q): got %t, want %t", name, got, want)
		}
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{"y\n": true, " YES \n": true, "n\n": false, "\n": false, "yo\n": false} {
		app, _, _ := testApp(t)
		var asked bytes.Buffer
		app.In, app.Terminal = strings.NewReader(in), Terminal{In: true, Prompt: &asked}
		got, err := app.confirm("really\x1b[2J?")
		if got != want || err != nil {
			t.Errorf("%q: got %t, %v, want %t", in, got, err, want)
		}
		if s := asked.String(); s != `really\x1b[2J? [y/N] ` {
			t.Errorf("asked %q", s)
		}
	}
	app, _, _ := testApp(t)
	app.Terminal.Prompt = io.Discard
	if _, err := app.confirm("really?"); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody there: got %v, want that it is canceled", err)
	}
}
