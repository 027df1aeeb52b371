package cli

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/envs"
)

// Whoever presses TAB does not wait for a server that does not answer.
func TestCompleteBounded(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	getenv := func(name string) string {
		if name == "MICRO_HOME" {
			return home
		}
		return ""
	}
	var lc net.ListenConfig
	silent, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	dirs, err := envs.FindDirs(getenv)
	if err != nil {
		t.Fatal(err)
	}
	err = envs.Update(dirs, func(c *envs.Config) error { return c.Add(envs.Env{Name: "silent", Address: silent.Addr().String()}) })
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	app := &App{Getenv: getenv, Now: time.Now, Out: &out, Err: &out}
	began := time.Now()
	if code := Main(t.Context(), app, []string{"__complete", "-e", "silent", "helloworld", ""}); code != ExitOK {
		t.Errorf("exit code %d", code)
	}
	// The machine may be busy: much more than the bound is none.
	if took := time.Since(began); took > 10*completionTimeout {
		t.Errorf("it took %s", took)
	}
	if got, want := out.String(), ":4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Each shell gets a script that asks in cobra's protocol.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for shell, want := range map[string]string{
		"bash": "complete -o default -F __start_micro micro", "zsh": "#compdef micro", "fish": "complete -c micro", "powershell": "Register-ArgumentCompleter",
	} {
		for _, args := range [][]string{{"completion", shell}, {"completion", shell, "--no-descriptions"}} {
			var out, errs bytes.Buffer
			app := &App{Getenv: func(string) string { return "" }, Out: &out, Err: &errs}
			if code := Main(t.Context(), app, args); code != ExitOK {
				t.Errorf("%q: exit code %d: %s", args, code, &errs)
			}
			ask := "__complete "
			if len(args) == 3 {
				ask = "__completeNoDesc "
			}
			if text := out.String(); !strings.Contains(text, want) || !strings.Contains(text, ask) {
				t.Errorf("%q writes no script that has %q and %q", args, want, ask)
			}
		}
	}
}
