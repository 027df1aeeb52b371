package deploy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/runtime"
)

func TestLikelyCause(t *testing.T) {
	t.Parallel()
	code := func(n int) error { return deploy.ExitError(runtime.Exit{Code: n}) }
	for _, test := range []struct {
		name  string
		why   error
		lines string
		want  string // begins like this; empty: nothing
	}{
		{"nothing", code(1), "bye", ""},
		{"nobody listens", deploy.UnhealthyError(deploy.RefusedError("127.0.0.1:1")), "listening on :8080", "it listens elsewhere"},
		{"somebody listens", deploy.UnhealthyError(errors.New("its health is NOT_SERVING")), "", ""},
		{"nobody listens any more", deploy.RefusedError("127.0.0.1:1"), "", ""},
		{"no exit", errors.New("its probe failed"), "listen tcp :80: bind: address already in use", ""},
		{"port", code(1), "starting\nlisten tcp :8080: bind: address already in use", "the port that it listens on is in use"},
		{"port of node", code(1), "Error: listen EADDRINUSE: address already in use :::3000", "the port that it listens on is in use"},
		{"permission", code(1), "listen tcp :80: bind: permission denied", "it may not do what it tries"},
		{"file", code(1), "open /etc/app.yaml: no such file or directory", "a file that it needs"},
		{"format", code(1), "fork/exec ./helper: exec format error", "it starts a program that was built for"},
		{"library", code(127), "./app: error while loading shared libraries: libssl.so.3: cannot open shared object file: No such file or directory", "a library that it was linked with"},
		{"panic", code(2), "panic: runtime error: index out of range [3] with length 0\n\ngoroutine 1 [running]:", "it panicked: runtime error: index out of range [3] with length 0"},
		{"panic about a port", code(2), "panic: listen tcp :80: bind: address already in use", "the port that it listens on is in use"},
		{"deadlock", code(2), "fatal error: all goroutines are asleep - deadlock!", "all of its goroutines wait"},
		{"memory of Go", code(2), "fatal error: runtime: out of memory", "it needs more memory"},
		{"memory", deploy.ExitError(runtime.Exit{Signal: "SIGKILL", Code: -1, OutOfMemory: true}), "", "it needs more memory"},
		{"killed", deploy.ExitError(runtime.Exit{Signal: "SIGKILL", Code: -1}), "", "somebody, or the system"},
		{"segmentation", deploy.ExitError(runtime.Exit{Signal: "SIGSEGV", Code: -1}), "", "it used memory that is not its own"},
		{"terminated", deploy.ExitError(runtime.Exit{Signal: "SIGTERM", Code: -1}), "", ""},
		{"flag", code(2), "flag provided but not defined: -verbsoe\nUsage of app:", "it does not know an argument"},
		{"variable", code(1), "missing required environment variable DATABASE_URL", "an environment variable that it needs is missing"},
		{"variable, in other words", code(1), "the env DATABASE_URL must be set", "an environment variable that it needs is missing"},
		{"server", code(1), "dial tcp 10.0.0.1:5432: connect: connection refused", "a server that it needs cannot be reached"},
		{"name", code(1), "dial tcp: lookup db on 10.0.0.2:53: no such host", "the name of a server"},
		{"end", code(0), "done", "its program came to its end"},
		{"shell", code(127), "sh: 1: nope: not found", "the program that it starts is not there"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := deploy.LikelyCause(test.why, strings.Split(test.lines, "\n"))
			if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
