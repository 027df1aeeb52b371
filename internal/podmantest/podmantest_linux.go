// Package podmantest starts a Podman for a test.
package podmantest

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// engineSettings are those that Podman needs on machines that build this: its other
// runtime does not work there, nor more files and processes than these.
const engineSettings = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
exit_command_delay = 1
`

// Engine is a Podman with nothing in it but what a test puts there.
type Engine struct {
	Address string // unix:///PATH

	args []string
	env  []string
	cmd  *exec.Cmd
	said bytes.Buffer
}

// Start starts a Podman, which ends with the test. Without one the test is
// skipped, and fails where everything is to be tested.
func Start(tb testing.TB) *Engine {
	tb.Helper()
	if _, err := exec.LookPath("podman"); err != nil || os.Geteuid() != 0 {
		if os.Getenv("MICRO_TEST_ALL") != "" {
			tb.Fatal("want podman, and to be root")
		}
		tb.Skip("needs podman, and to be root")
	}
	dir, err := os.MkdirTemp("", "engine-") //nolint:usetesting // a socket's path is short
	if err != nil {
		tb.Fatal(err)
	}
	settings := filepath.Join(dir, "containers.conf")
	if err := os.WriteFile(settings, []byte(engineSettings), 0o600); err != nil {
		tb.Fatal(err)
	}
	e := &Engine{
		Address: "unix://" + filepath.Join(dir, "sock"),
		args:    []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp")},
		env:     append(os.Environ(), "CONTAINERS_CONF="+settings),
	}
	e.Run(tb)
	tb.Cleanup(func() {
		e.Kill()
		clean := exec.Command("podman", append(e.args, "rm", "--all", "--force", "--time", "0")...) //nolint:noctx // the test's context has ended
		clean.Env = e.env
		if out, err := clean.CombinedOutput(); err != nil {
			tb.Errorf("remove containers: %v: %s", err, out)
		}
		// What the engine started to clean up after containers and commands may be at it
		// still, and makes anew what it does not find.
		for range 200 {
			_ = unix.Unmount(filepath.Join(dir, "root", "overlay"), unix.MNT_DETACH)
			err = os.RemoveAll(dir)
			if err == nil && !worksIn(dir) {
				break
			}
			<-time.After(100 * time.Millisecond)
		}
		if err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			tb.Logf("the engine said:\n%s", e.said.String())
		}
	})
	return e
}

// worksIn reports whether a process was told of a directory.
func worksIn(dir string) bool {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is one
	return slices.ContainsFunc(lines, func(name string) bool {
		line, err := os.ReadFile(name)
		return err == nil && bytes.Contains(line, []byte(dir))
	})
}

// Run starts the engine, and returns when it answers.
func (e *Engine) Run(tb testing.TB) {
	tb.Helper()
	e.cmd = exec.Command("podman", append(e.args, "system", "service", "--time", "0", e.Address)...) //nolint:noctx // Kill ends it
	e.cmd.Env, e.cmd.Stderr = e.env, &e.said
	e.cmd.Dir = filepath.Dir(strings.TrimPrefix(e.Address, "unix://")) // what watches a container leaves a file there
	if err := e.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	for range 3000 {
		if e.answers(tb.Context()) {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	tb.Fatal("the engine does not answer")
}

// answers reports whether the engine does.
func (e *Engine) answers(ctx context.Context) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(e.Address, "unix://"))
	if err != nil {
		return false
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /_ping HTTP/1.0\r\n\r\n"); err != nil {
		return false
	}
	answer, err := io.ReadAll(conn)
	return err == nil && bytes.HasSuffix(answer, []byte("OK"))
}

// Kill kills the engine, and nothing of what runs on it.
func (e *Engine) Kill() {
	_ = e.cmd.Process.Kill() // it may have ended
	_ = e.cmd.Wait()
}
