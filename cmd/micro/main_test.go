package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const module = "github.com/micro/micro/v3/"

// TestImports holds what the front links. Go runs the init of each package at every
// start, so a module comes in only by a decision, here and in docs/decisions.
func TestImports(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}}", ".")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var foreign []string
	for line := range strings.Lines(string(out)) {
		path, standard, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case slices.Contains([]string{"net/http", "text/template", "html/template", "regexp", "go/ast", "log/slog", "testing"}, path):
			t.Errorf("the front links %s, which is large", path)
		case standard != "true" && !strings.HasPrefix(path, module):
			foreign = append(foreign, path)
		}
	}
	slices.Sort(foreign)
	want := []string{
		"github.com/godbus/dbus/v5", // of go-keyring, on Linux
		"github.com/zalando/go-keyring",
		"github.com/zalando/go-keyring/secret_service",
		"golang.org/x/net/http2/hpack",
	}
	if runtime.GOOS != "linux" {
		want, foreign = nil, slices.DeleteFunc(foreign, func(path string) bool {
			return strings.Contains(path, "keyring") || strings.Contains(path, "wincred") || path == "golang.org/x/net/http2/hpack" || strings.Contains(path, "shellescape")
		})
	}
	if !slices.Equal(foreign, want) {
		t.Errorf("the front links\n\t%s\nof other modules, want\n\t%s", strings.Join(foreign, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// build returns the path of the front, alone in its directory.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "micro")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// initBudget is what all init together may take at a start.
const initBudget = 2 * time.Millisecond

// TestInit holds the time that the front needs before main. The least of some runs
// counts: a busy machine makes it longer, and nothing shorter.
func TestInit(t *testing.T) {
	t.Parallel()
	micro := build(t)
	// init net @0.41 ms, 0.003 ms clock, 1000 bytes, 5 allocs
	line := regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock`)
	least := time.Hour
	for range 10 {
		cmd := exec.CommandContext(t.Context(), micro, "version")
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		var trace bytes.Buffer
		cmd.Stderr = &trace
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		var sum time.Duration
		found := line.FindAllStringSubmatch(trace.String(), -1)
		if len(found) < 5 {
			t.Fatalf("this is no trace of inits:\n%s", &trace)
		}
		for _, m := range found {
			ms, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += time.Duration(ms * float64(time.Millisecond))
		}
		if least = min(least, sum); least <= initBudget {
			t.Logf("init takes %s", least)
			return
		}
	}
	t.Errorf("init takes %s, more than %s", least, initBudget)
}

// Without microd the front does what it can, and says what is missing for the rest.
func TestAlone(t *testing.T) {
	t.Parallel()
	micro := build(t)
	for _, tt := range []struct {
		args string
		code int
		out  string // how standard output begins
		err  string // of standard error
	}{
		{"version", 0, "micro ", ""},
		{"status", 1, "", "microd, the other half of micro, cannot be run"},
		{"helloworld --name=x", 1, "", "hint: install both files of a release in one directory"},
		{"", 1, "", "cannot be run"},
	} {
		cmd := exec.CommandContext(t.Context(), micro, strings.Fields(tt.args)...)
		cmd.Env = append(os.Environ(), "MICRO_HOME="+t.TempDir())
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != tt.code {
			t.Errorf("micro %s: exit code %d, want %d", tt.args, code, tt.code)
		}
		if !strings.HasPrefix(out.String(), tt.out) || tt.out == "" && out.Len() > 0 || !strings.Contains(errs.String(), tt.err) {
			t.Errorf("micro %s: %s%s", tt.args, &out, &errs)
		}
	}
}

// The program beside the front takes its place: with its arguments, its streams, its
// environment and its exit code.
//
// It is not parallel: a program is "busy" while a process that was just forked
// for another test has it open for writing.
func TestDaemon(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a script")
	}
	micro := build(t)
	script := "#!/bin/sh\nread line\necho \"$#\" \"$1\" \"$2\" \"$line\" \"$MICRO_FRONT_VERSION\" $$\nexit 42\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(micro), "microd"), []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "micro") // as package managers make them
	if err := os.Symlink(micro, link); err != nil {
		t.Fatal(err)
	}
	version, err := exec.CommandContext(t.Context(), micro, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{micro, link} {
		cmd := exec.CommandContext(t.Context(), program, "two  words", "*")
		cmd.Env = append(os.Environ(), "MICRO_HOME="+t.TempDir())
		cmd.Stdin = strings.NewReader("of standard input\n")
		out, _ := cmd.Output() // its exit code follows
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 42 {
			t.Errorf("%s: %v", program, cmd.ProcessState)
		}
		want := "2 two  words * of standard input " + strings.TrimPrefix(strings.TrimSpace(string(version)), "micro ") +
			" " + strconv.Itoa(cmd.Process.Pid) + "\n"
		if string(out) != want {
			t.Errorf("%s: %q, want %q", program, out, want)
		}
	}
}
