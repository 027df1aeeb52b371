//go:build unix

package main

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/cli"
)

// faultIn has this test binary be micro, with a clock that panics where it is read by a
// function of that name.
const faultIn = "MICRO_TEST_FAULT_IN"

// A fault of what a command does in the background ends it: the terminal is as it was,
// with what the command wrote, and then what the fault is and where.
func TestFault(t *testing.T) {
	if function := os.Getenv(faultIn); function != "" {
		app := newApp()
		app.Now = func() time.Time {
			if strings.Contains(string(debug.Stack()), function+"(") {
				panic("a fault on purpose")
			}
			return time.Now()
		}
		_, args, _ := strings.Cut(strings.Join(os.Args, "\n"), "\n--\n")
		os.Exit(cli.Main(t.Context(), app, strings.Split(args, "\n")))
	}
	t.Parallel()
	s := newTestServer(t)
	s.micro("micro\n", "login", "--username", "admin", "--password-stdin")
	s.micro("", "new", "helloworld")
	s.micro("", "run", "helloworld")
	helloworld := s.home() + "/helloworld"
	for name, test := range map[string]struct {
		function string // where it panics
		args     []string
		has      string // what is in the terminal besides
	}{
		"logs":        {".followOnce", []string{"logs", "-f", "helloworld"}, "-- started release 1"},
		"logs of all": {".watchOnce", []string{"logs", "-f", "--all"}, "-- started release 1"},
		"dev":         {".turn", []string{"dev", helloworld}, ""},
		"dashboard":   {".runOnce", []string{"dashboard"}, ""},
		"form":        {".invokeOnce", []string{"call", "helloworld", "--name=Ann", "-i"}, ""},
		"run":         {".fromSource", []string{"run", helloworld}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := s.terminal(t, []string{faultIn + "=" + test.function}, append([]string{os.Args[0], "-test.run=^TestFault$", "--"}, test.args...)...)
			v.resize(100, 100) // there is room for where it was
			if name == "form" {
				v.see("[Form]")
				v.press("s")
			}
			v.see("micro: micro has a fault: a fault on purpose", "fault_test.go:", test.has)
			v.end(cli.ExitError)
		})
	}
}
