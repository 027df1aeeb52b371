//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// fixture starts the server that knows nothing of micro, and makes it an environment.
func (s *testServer) fixture(env string, args ...string) {
	s.t.Helper()
	ready := filepath.Join(s.t.TempDir(), "ready")
	cmd := exec.Command(filepath.Join(s.bin, "fixture"), append([]string{"-proto", mustAbs("../../testdata/fixture/proto"), "-ready", ready}, args...)...) //nolint:noctx // the cleanup ends it
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was told to
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		address, err := os.ReadFile(ready)
		if err == nil {
			s.micro("", "env", "add", env, string(address))
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no fixture within %s", patience)
		}
	}
}

// call opens the form, or what its arguments say of it.
func (s *testServer) call(t *testing.T, width, height int, args ...string) *virtualTerminal {
	t.Helper()
	return openTerminal(t, s.env, width, height, filepath.Join(s.bin, "micro"), args...)
}

// Somebody fills in calls: on a server of micro, and on one that knows nothing of it.
func TestForm(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.micro("micro\n", "login", "--username", "admin", "--password-stdin")
	s.micro("", "new", "helloworld")
	s.micro("", "run", "helloworld")
	s.fixture("plain")
	s.fixture("silent", "-reflection", "none")

	t.Run("a service of micro", func(t *testing.T) {
		v := s.call(t, 120, 30, "call", "-i")
		v.see("micro local/micro › call", "SERVICE", "helloworld")
		v.press("hello")
		v.see("/hello")
		v.press("\r")
		v.see("ENDPOINT", "Helloworld.Call", "Call greets by name")
		v.press("call\r")
		v.see("[Form]", "name", "string")
		v.press("s")
		v.see("✗ InvalidArgument", "name is empty")
		v.press("\r")
		v.see("name:")
		v.press("Alice\r")
		v.see("Alice")
		v.press("s")
		v.see("✓ ok", `"msg": "Hello Alice"`)
		v.press("c")
		v.see("LANGUAGE", "micro --env=local --namespace=micro helloworld Helloworld.Call", `{"name":"Alice"}`)
		v.press("jj")
		v.see("curl -sS", "/helloworld/Helloworld/Call", "Micro-Namespace: micro")
		v.press("y")
		v.see("copied: curl")
		v.press("\x1b")
		v.see("[Form]")
		v.press("y")
		v.see("copied: micro call helloworld Helloworld.Call")
		v.press("?")
		v.see("send the request; one more of a stream")
		v.press("\x1b")
		v.see("[Form]")
		v.press("p")
		v.see("history", "helloworld Helloworld.Call", "InvalidArgument")
		v.press("Alice\r")
		v.see("helloworld › Helloworld.Call", "Alice")
		v.press("q")
		v.end(0)
	})
	s.micro("", "history", "run", "2") // the form's calls are calls like any other

	t.Run("a stream of a service of micro", func(t *testing.T) {
		v := s.call(t, 60, 15, "helloworld", "stream", "-i", "--count=2")
		v.see("[Form]", "count", "2")
		v.press("s")
		v.see("[Answer]", `{"count":"2"}`, "✓ ok", "2 came")
		v.press("\x03")
		v.end(130)
	})

	t.Run("any server", func(t *testing.T) {
		v := s.call(t, 120, 40, "--env=plain", "call", "-i")
		v.see("micro plain/micro › call", "fixture.v1.Legacy")
		v.press("fixture.v1.e\r")
		v.see("Everything.Echo")
		v.press("echo\r")
		v.see("[Form]", "double")
		v.press("/color\r")
		v.lose("double")
		v.press("\r")
		v.see("COLOR_GREEN", "NUMBER")
		v.press("red\r")
		v.see("COLOR_RED")
		v.press("\x1b")
		v.see("double")
		v.press("/contact\r")
		v.lose("double")
		v.press("\r")
		v.see("(none)", "phone")
		v.press("home\r")
		v.see("home")
		v.press("\x1b")
		v.see("COLOR_RED", "double")
		v.press("/city\r\rOslo\r")
		v.see("Oslo")
		v.press("\x1b")
		v.see("double")
		v.press("\t")
		v.see("[JSON]", `"color": "COLOR_RED"`, `"city": "Oslo"`)
		v.press("\r")
		v.see("the request as JSON", "Ctrl-S")
		v.press("x")
		v.see("x{")
		v.press("\x13")
		v.see("✗ it is not JSON")
		v.press("\x7f\x13")
		v.see("[JSON]")
		v.lose("the request as JSON")
		v.press("s")
		v.see("✓ ok", `"home": {`)
		v.press("q")
		v.end(0)
	})

	t.Run("streams of any server", func(t *testing.T) {
		v := s.call(t, 120, 30, "--env=plain", "fixture.v1.Everything", "chat", "--string=one", "-i")
		v.see("streams both ways", "one")
		v.press("s")
		v.see(`→ {"string":"one"}`, `← {"string":"one"}`, "1 sent", "1 came")
		v.press("/^ *string\r\r\x15two\rs")
		v.see(`← {"string":"two"}`, "2 sent", "2 came")
		v.press("f")
		v.see("✓ ok")
		v.press("s")
		v.see("1 sent")
		v.press("\x18")
		v.see("✗ Canceled")
		v.press("q")
		v.end(0)
	})

	t.Run("a server that does not say what it speaks", func(t *testing.T) {
		proto := []string{"--proto", "fixture/v1/fixture.proto", "-I", mustAbs("../../testdata/fixture/proto")}
		v := s.call(t, 120, 30, append([]string{"--env=silent", "call", "-i"}, proto...)...)
		v.see("fixture.v1.Everything")
		v.press("\r")
		v.see("Echo answers with the request.")
		v.press("fail\r")
		v.see("code", "details")
		v.press("\r5\rj\rno such thing\rs")
		v.see("✗ NotFound", "no such thing")
		v.press("q")
		v.end(0)
	})

	t.Run("lost server", func(t *testing.T) {
		s.micro("", "env", "add", "here", s.proxy)
		s.micro("micro\n", "--env=here", "login", "--username", "admin", "--password-stdin")
		v := s.call(t, 100, 24, "--env=here", "call", "-i")
		v.see("helloworld")
		s.stop()
		v.see("server lost")
		s.start()
		v.lose("server lost")
		v.see("helloworld") // which registers again
		v.press("\r")
		v.see("Helloworld.Call")
		v.press("\x03")
		v.end(130)
	})

	t.Run("interrupted", func(t *testing.T) {
		for _, at := range []struct{ keys, see string }{
			{"", "[Form]"},
			{"\r", "double:"},
			{"/x", "/x"},
			{":x", ":x"},
			{"?", "send the request"},
			{"p", "history"},
			{"\t\r", "the request as JSON"},
			{"m", "Ctrl-S"},
			{"s", "✓ ok"},
		} {
			v := s.call(t, 100, 24, "--env=plain", "call", "fixture.v1.Everything", "echo", "-i")
			v.see("[Form]", "double")
			v.press(at.keys)
			v.see(at.see)
			v.press("\x03")
			v.end(130)
		}
		v := s.call(t, 100, 24, "--env=plain", "call", "fixture.v1.Everything", "slow", "--delay=1h", "-i")
		v.see("[Form]")
		v.press("s")
		v.see("waits for the answer")
		v.press("\x03")
		v.end(130)
	})
}
