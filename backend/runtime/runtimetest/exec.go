package runtimetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
)

// testExec is about a runtime that is a [runtime.Executor].
func testExec(t *testing.T, open Open) {
	t.Helper()
	const app = "/app/" + programName
	executor := func(t *testing.T) (*fixture, func(args ...string) runtime.Result) {
		t.Helper()
		f := newFixture(t, open)
		e, ok := f.Runtime.(runtime.Executor)
		if !ok {
			t.Skip("it runs no commands")
		}
		return f, func(args ...string) runtime.Result {
			t.Helper()
			before := time.Now()
			result, err := e.Exec(within(t), "a", args)
			if err != nil {
				t.Fatalf("exec: %v", err)
			}
			if at := result.Exit.At; at.Before(before) || at.After(time.Now()) {
				t.Errorf("ended at %v, want a time after %v and before now", at, before)
			}
			result.Exit.At = time.Time{}
			return result
		}
	}

	for _, tt := range []struct {
		name string
		args []string
		want runtime.Exit
		out  string
	}{
		{"success", []string{"out=fine"}, runtime.Exit{}, "fine\n"},
		{"code", []string{"out=bad", "exit=3"}, runtime.Exit{Code: 3}, "bad\n"},
		{"both streams", []string{"out=one", "err=two"}, runtime.Exit{}, "one\ntwo\n"},
		{"bytes", []string{`raw="\x00\xff no end"`}, runtime.Exit{}, "\x00\xff no end"},
		{"killed", []string{"kill=9"}, runtime.Exit{Code: -1, Signal: "SIGKILL"}, ""},
		{"leaves a child", []string{"spawn=ignore;hang", "exit=4"}, runtime.Exit{Code: 4}, ""},
		{"arguments are kept", []string{`raw="ok"`, `out= a "b" $HOME *`}, runtime.Exit{}, "ok a \"b\" $HOME *\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, exec := executor(t)
			f.start(t, f.spec("a", "wait"))
			got := exec(append([]string{app}, tt.args...)...)
			switch tt.name {
			case "leaves a child":
				got.Output = nil // it may have come to say that it hangs
			case "both streams": // which are not in order with each other
				got.Output = []byte(strings.Join(sorted(strings.SplitAfter(string(got.Output), "\n")), ""))
			}
			if diff := cmp.Diff(runtime.Result{Exit: tt.want, Output: []byte(tt.out)}, got, equateEmpty()); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if got := f.known(t)["a"].State; got != runtime.Running {
				t.Errorf("the instance is in state %d after it", got)
			}
			if lines := f.output(t, "a"); len(lines) > 1 {
				t.Errorf("the log has its lines: %q", lines)
			}
		})
	}

	t.Run("as the program", func(t *testing.T) {
		t.Parallel()
		f, exec := executor(t)
		img := ProgramImage(t)
		img.Env = []string{"IMAGE=image"}
		spec := f.spec("a", "env", "identity", "dirs", "out=end", "wait")
		spec.Image, spec.Env, spec.Identity = f.images.Add(img), map[string]string{"SPEC": "spec"}, []byte("token")
		f.start(t, spec)
		f.awaitLine(t, "a", "waiting")
		text, _, _ := strings.Cut(strings.Join(f.output(t, "a"), "\n"), "\nend")
		own := strings.Split(text, "\n")
		got := strings.Split(strings.TrimSuffix(string(exec(app, "env", "identity", "dirs").Output), "\n"), "\n")
		for _, name := range engineVariables {
			own, got = without(own, name+"="), without(got, name+"=")
		}
		if diff := cmp.Diff(sorted(own), sorted(got)); diff != "" {
			t.Errorf("environment, identity and folders (-program +command):\n%s", diff)
		}
	})

	t.Run("by its plain name", func(t *testing.T) {
		t.Parallel()
		f, exec := executor(t)
		img := ProgramImage(t)
		img.Env = []string{"PATH=/none:/app:/usr/bin"}
		spec := f.spec("a", "wait")
		spec.Image = f.images.Add(img)
		f.start(t, spec)
		if got := string(exec(programName, "out=found").Output); got != "found\n" {
			t.Errorf("it wrote %q", got)
		}
	})

	t.Run("much output", func(t *testing.T) {
		t.Parallel()
		f, exec := executor(t)
		f.start(t, f.spec("a", "wait"))
		got := exec(app, "long=1000000", "exit=5")
		if got.Exit.Code != 5 || len(got.Output) != runtime.MaxOutput {
			t.Errorf("code %d and %d bytes, want code 5 and %d bytes", got.Exit.Code, len(got.Output), runtime.MaxOutput)
		}
	})

	t.Run("context ends", func(t *testing.T) {
		t.Parallel()
		f, exec := executor(t)
		f.start(t, f.spec("a", "wait"))
		for _, args := range [][]string{{"hang"}, {"ignore", "hang"}, {"ignore", "spawn=ignore;hang", "hang"}, {"flood"}} {
			ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
			_, err := f.Runtime.(runtime.Executor).Exec(ctx, "a", append([]string{app}, args...))
			cancel()
			wantError(t, strings.Join(args, " "), err, context.DeadlineExceeded)
		}
		exec(app, "out=still here")
	})

	t.Run("instance ends", func(t *testing.T) {
		t.Parallel()
		f, _ := executor(t)
		f.start(t, f.spec("a", "wait"))
		f.awaitLine(t, "a", "waiting")
		const n = 4
		errs := make(chan error, n)
		for range n {
			go func() {
				_, err := f.Runtime.(runtime.Executor).Exec(within(t), "a", []string{app, "ignore", "hang"})
				errs <- err
			}()
		}
		f.stop(t, "a")
		for range n {
			wantError(t, "exec", <-errs, runtime.ErrNotRunning)
		}
	})

	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		f, exec := executor(t)
		e, _ := f.Runtime.(runtime.Executor)
		f.run(t, f.spec("ended"))
		for _, id := range []string{"ended", "unknown", "", "../a", "\x00"} {
			_, err := e.Exec(within(t), id, []string{app})
			wantError(t, "exec in "+id, err, runtime.ErrNotRunning)
		}
		f.start(t, f.spec("a", "wait"))
		for _, args := range [][]string{nil, {""}, {"none"}, {"/none"}, {"/app"}, {"../../bin/sh"}, {app, "\x00"}} {
			_, err := e.Exec(within(t), "a", args)
			wantError(t, strings.Join(args, " "), err, runtime.ErrCommand)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := e.Exec(ctx, "a", []string{app})
		wantError(t, "ended context", err, context.Canceled)
		exec(app, "out=still here")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Exec(within(t), "a", []string{app}); !errors.Is(err, runtime.ErrClosed) {
			t.Errorf("exec in a closed runtime: got error %v", err)
		}
	})
}
