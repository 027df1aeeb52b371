//go:build unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// terminal runs a micro command in a terminal, at the home of the server's user.
func (s *testServer) terminal(t *testing.T, env []string, args ...string) *virtualTerminal {
	t.Helper()
	all := slices.Concat(slices.DeleteFunc(slices.Clone(s.env), func(v string) bool { return strings.HasPrefix(v, "CI=") }), env)
	return openTerminal(t, all, 100, 24, args[0], args[1:]...)
}

// home is the directory that commands of the server's user run in.
func (s *testServer) home() string {
	for _, v := range s.env {
		if h, ok := strings.CutPrefix(v, "HOME="); ok {
			return h
		}
	}
	return ""
}

// Somebody follows logs on a terminal: they scroll up and it stays, they filter, they go
// on, and at the end the terminal has the lines.
func TestFollowLogs(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.micro("micro\n", "login", "--username", "admin", "--password-stdin")
	s.micro("", "new", "helloworld")
	s.micro("", "run", "helloworld")
	micro := filepath.Join(s.bin, "micro")

	t.Run("screen", func(t *testing.T) {
		v := s.terminal(t, nil, micro, "logs", "-f", "helloworld")
		v.see("micro local/micro › logs of helloworld", "-- started release 1", "serving", "following", "? help")
		if !v.screen.IsAltScreen() {
			t.Error("it does not take the whole screen")
		}
		v.press("k")
		v.see("paused, +0 new; End follows")
		s.micro("", "restart", "helloworld")
		v.lose("+0 new")
		v.press("\x1b[F") // End
		v.see("following", "-- started release 2")
		v.press("/started\r")
		v.lose("serving")
		v.press("/\x15!started\r")
		v.see("serving", "/!started")
		v.lose("-- started")
		v.press("\x1b")
		v.see("-- started release 2")
		v.press("t")
		v.await(func(text string) bool {
			return strings.Count(text, "-- started release 1") == 1 && !strings.Contains(text, "\n-- started release 1")
		}, "times")
		v.press("t?")
		v.see("follow again, or stay where it is")
		v.lose("go to a screen by its name")
		v.press("\x1b")
		v.see("following")
		v.press(":en@") // which are keys of the dashboard only
		v.press("\x03")
		v.end(130)
		v.see("-- started release 1", "-- started release 2")
		v.lose("following")
	})

	t.Run("quit", func(t *testing.T) {
		v := s.terminal(t, nil, micro, "logs", "-f", "helloworld", "--all=false")
		v.see("following")
		v.press("q")
		v.end(0)
		v.see("-- started release 1")
	})

	t.Run("terminated", func(t *testing.T) {
		v := s.terminal(t, nil, micro, "logs", "-f", "helloworld")
		v.see("following")
		if err := v.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		v.end(130)
		v.see("-- started release 1")
	})

	t.Run("mistyped", func(t *testing.T) {
		v := s.terminal(t, nil, micro, "logs", "-f", "helloword")
		v.see(`no service "helloword" runs`, "hint: micro logs helloworld")
		v.end(5)
	})

	// Lines are written where nobody can press keys, and where they were asked for.
	for name, how := range map[string]struct{ env, args []string }{
		"accessible":       {[]string{"MICRO_ACCESSIBLE=1"}, []string{micro, "logs", "-f", "helloworld"}},
		"plain":            {nil, []string{micro, "logs", "-f", "--plain", "helloworld"}},
		"dumb":             {[]string{"TERM=dumb"}, []string{micro, "logs", "-f", "helloworld"}},
		"CI":               {[]string{"CI=true"}, []string{micro, "logs", "-f", "helloworld"}},
		"JSON":             {nil, []string{micro, "logs", "-f", "-o", "json", "helloworld"}},
		"errors elsewhere": {nil, []string{"sh", "-c", "exec " + micro + " logs -f helloworld 2>" + filepath.Join(t.TempDir(), "errors")}},
		"background":       {nil, []string{"sh", "-c", "set -m; " + micro + " logs -f helloworld & read line; kill -INT %1; wait; exit 130"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := s.terminal(t, how.env, how.args...)
			v.see("started release 1")
			if v.screen.IsAltScreen() || strings.Contains(v.text(), "following") {
				t.Errorf("it takes the whole screen:\n%s", v.text())
			}
			if name == "background" {
				v.press("\n")
			} else {
				v.press("\x03")
			}
			v.end(130)
		})
	}
}

// Somebody works on a service on a terminal: how it does is in place above what it
// writes, with what the compiler says.
func TestDevScreen(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.micro("micro\n", "login", "--username", "admin", "--password-stdin")
	s.micro("", "new", "helloworld")
	source := filepath.Join(s.home(), "helloworld", "handler", "helloworld.go")
	good, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(text string) {
		t.Helper()
		if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v := s.terminal(t, nil, filepath.Join(s.bin, "micro"), "dev", filepath.Join(s.home(), "helloworld"))
	v.see("micro local/micro › dev", "✓ helloworld  release 1 runs, after", "msg=serving", "following")
	edit(strings.Replace(string(good), "return", "retrun", 1))
	v.see("✗ helloworld  the source does not compile", "helloworld.go:")
	v.press("k")
	v.see("paused")
	edit(strings.Replace(string(good), `"Hello "`, `"Hi "`, 1))
	v.see("✓ helloworld  release 2 runs, after")
	v.lose("✗")
	v.press("f/serving\r")
	v.see("following", "/serving")
	v.resize(60, 15)
	v.see("✓ helloworld  release 2 runs")
	v.resize(100, 24)
	v.press("\x03")
	v.end(0)
	v.see("helloworld: release 2 runs, after", "helloworld is stopped")
	v.lose("following")
}
