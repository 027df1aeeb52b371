//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/term"
)

// A terminal is a pseudo-terminal with a program in it, and what is on its screen.
type virtualTerminal struct {
	t       *testing.T
	cmd     *exec.Cmd
	pty     *os.File
	tty     *os.File // kept open, so that the state of the terminal can be asked for at the end
	before  *term.State
	mu      sync.Mutex // of the cells of screen
	screen  *vt.SafeEmulator
	changed chan struct{}
	ended   chan struct{}
}

// openTerminal runs a program in a terminal.
func openTerminal(t *testing.T, env []string, width, height int, name string, args ...string) *virtualTerminal {
	t.Helper()
	p, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	v := &virtualTerminal{t: t, pty: p, tty: tty, screen: vt.NewSafeEmulator(width, height), changed: make(chan struct{}, 1), ended: make(chan struct{})}
	v.resize(width, height)
	if v.before, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	v.cmd = exec.CommandContext(t.Context(), name, args...)
	v.cmd.Env, v.cmd.Stdin, v.cmd.Stdout, v.cmd.Stderr = env, tty, tty, tty
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(p, v.screen) }() // what a terminal answers
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := p.Read(buf)
			v.mu.Lock()
			_, _ = v.screen.Write(buf[:n])
			v.mu.Unlock()
			select {
			case v.changed <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		_ = v.cmd.Wait() // the code is in ProcessState
		close(v.ended)
	}()
	t.Cleanup(func() {
		_ = v.cmd.Process.Kill()
		<-v.ended
		_ = p.Close()
		_ = tty.Close()
	})
	return v
}

func (v *virtualTerminal) resize(width, height int) {
	v.mu.Lock()
	v.screen.Resize(width, height)
	v.mu.Unlock()
	if err := pty.Setsize(v.pty, &pty.Winsize{Rows: uint16(height), Cols: uint16(width)}); err != nil {
		v.t.Fatal(err)
	}
}

// text is what is on the screen.
func (v *virtualTerminal) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b strings.Builder
	for y := range v.screen.Height() {
		for x := 0; x < v.screen.Width(); {
			c := v.screen.CellAt(x, y)
			if c == nil || c.Width == 0 {
				x++
				continue
			}
			b.WriteString(c.Content)
			x += c.Width
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// see waits until all of these are on the screen.
func (v *virtualTerminal) see(want ...string) {
	v.t.Helper()
	v.await(func(text string) bool {
		for _, w := range want {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	}, strings.Join(want, ", "))
}

// lose waits until something is not on the screen.
func (v *virtualTerminal) lose(what string) {
	v.t.Helper()
	v.await(func(text string) bool { return !strings.Contains(text, what) }, "no more "+what)
}

func (v *virtualTerminal) await(ok func(text string) bool, what string) {
	v.t.Helper()
	timeout, ended := time.After(patience), v.ended
	var last <-chan time.Time // what it wrote last may not have come when it has ended
	for {
		if ok(v.text()) {
			return
		}
		select {
		case <-v.changed:
		case <-ended:
			ended, last = nil, time.After(10*time.Second)
		case <-last:
			v.t.Fatalf("it ended with %v before %s was on the screen:\n%s", v.cmd.ProcessState, what, v.text())
		case <-timeout:
			v.t.Fatalf("waited for %s for %s; on the screen is:\n%s", what, patience, v.text())
		}
	}
}

// press types keys.
func (v *virtualTerminal) press(keys string) {
	v.t.Helper()
	if _, err := io.WriteString(v.pty, keys); err != nil {
		v.t.Fatal(err)
	}
}

// end waits for the program's end, and that it has left the terminal as it was.
func (v *virtualTerminal) end(code int) {
	v.t.Helper()
	select {
	case <-v.ended:
	case <-time.After(patience):
		v.t.Fatalf("it has not ended; on the screen is:\n%s", v.text())
	}
	if got := v.cmd.ProcessState.ExitCode(); got != code {
		v.t.Errorf("exit code %d, want %d; on the screen is:\n%s", got, code, v.text())
	}
	// What it wrote last may not have come yet.
	for deadline := time.Now().Add(patience); v.screen.IsAltScreen() || v.screen.CursorHidden(); {
		if time.Now().After(deadline) {
			v.t.Fatalf("the screen is not what it was before (alternate %t, cursor hidden %t):\n%s", v.screen.IsAltScreen(), v.screen.CursorHidden(), v.text())
		}
		select {
		case <-v.changed:
		case <-time.After(10 * time.Millisecond):
		}
	}
	after, err := term.GetState(int(v.tty.Fd()))
	if err != nil {
		v.t.Fatal(err)
	}
	if *after != *v.before {
		v.t.Errorf("the terminal is left in another state:\n%+v\n%+v", *v.before, *after)
	}
}

// server is a server in a home of its own, and commands that talk to it.
type testServer struct {
	t     *testing.T
	bin   string
	env   []string
	proxy string
	stop  func()
}

func newTestServer(t *testing.T) *testServer {
	t.Helper()
	dir := t.TempDir()
	s := &testServer{t: t, bin: buildBinaries(t), proxy: "127.0.0.1:0"}
	env := &testscript.Env{WorkDir: dir}
	if err := setup(env, s.bin); err != nil {
		t.Fatal(err)
	}
	races := filepath.Join(dir, "race")
	s.env = append(env.Vars, "TERM=xterm-256color", "GORACE=exitcode=0 log_path="+races)
	s.start()
	t.Cleanup(func() {
		s.stop()
		checkRaces(t, races)
	})
	return s
}

// checkRaces fails when programs that were built with the race detector have found races,
// and written them to files with this prefix: a screen is drawn over what goes elsewhere.
func checkRaces(t *testing.T, prefix string) {
	t.Helper()
	files, err := filepath.Glob(prefix + ".*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		all, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for race := range strings.SplitSeq(string(all), strings.Repeat("=", 18)+"\n") {
			// bubbletea closes what it waits for keys with while it may still wait.
			const reader = "cancelreader.(*epollCancelReader)."
			known := strings.Contains(race, reader+"Close()") && strings.Contains(race, reader+"wait()")
			if strings.Contains(race, "DATA RACE") && !known {
				t.Errorf("%s", race)
			}
		}
	}
}

// start starts the server, at the address that it had before.
func (s *testServer) start() {
	s.t.Helper()
	home := ""
	for _, v := range s.env {
		if h, ok := strings.CutPrefix(v, "MICRO_HOME="); ok {
			home = h
		}
	}
	file := filepath.Join(home, "data", "server", "server.json")
	_ = os.Remove(file)                                                                                          // that of the server before
	cmd := exec.Command(filepath.Join(s.bin, "micro"), "server", "--gateway", "127.0.0.1:0", "--proxy", s.proxy) //nolint:noctx // stop ends it
	cmd.Env = s.env
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was told to
	}
	deadline := time.Now().Add(patience)
	for {
		var a struct{ Proxy string }
		b, err := os.ReadFile(file)
		if err == nil && json.Unmarshal(b, &a) == nil && answers(a.Proxy) {
			s.proxy = a.Proxy
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("no server within %s:\n%s", patience, log.Bytes())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// micro runs a command.
func (s *testServer) micro(stdin string, args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(s.bin, "micro"), args...)
	cmd.Env, cmd.Stdin, cmd.Dir = s.env, strings.NewReader(stdin), s.t.TempDir()
	for _, v := range s.env {
		if h, ok := strings.CutPrefix(v, "HOME="); ok {
			cmd.Dir = h
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("micro %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (s *testServer) dashboard(t *testing.T, width, height int, args ...string) *virtualTerminal {
	t.Helper()
	return openTerminal(t, s.env, width, height, filepath.Join(s.bin, "micro"), append([]string{"dashboard"}, args...)...)
}

// Somebody works with the dashboard: each screen, key by key, on a real server.
func TestDashboard(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.micro("micro\n", "login", "--username", "admin", "--password-stdin")
	s.micro("", "new", "helloworld")
	s.micro("", "run", "helloworld")
	s.micro("", "store", "write", "user/1", `{"name":"Ann"}`)
	s.micro("", "config", "set", "shop.color", "blue")
	s.micro("hunter2", "config", "set", "--secret", "shop.password", "-")
	s.micro("", "events", "publish", "orders", `{"id":1}`)
	s.micro("", "events", "publish", "orders", `{"id":2}`)

	t.Run("screens", func(t *testing.T) {
		v := s.dashboard(t, 120, 30)
		v.see("micro local/micro › services", "the service is well", "helloworld", "running", "1/1")
		v.press("\r")
		v.see("› helloworld", "1 of 1 instances, release 1", "Helloworld.Call", "Call greets by name.", "p95")
		v.press("l")
		v.see("logs of helloworld", "-- started release 1", "level=INFO", "following")
		v.press("k")
		v.see("paused, +0 new")
		v.press("f")
		v.see("following")
		v.press("/started\r")
		v.see("/started")
		v.lose("level=INFO")
		v.press("\x1b")
		v.see("level=INFO")
		v.press(":ser\t\t")
		v.press("\x15services\r")
		v.see("INST")
		v.press("d")
		v.see("describe helloworld", "Probes:")
		v.press("?")
		v.see("copy the row, the line or the command")
		v.press("\x1b")
		v.lose("copy the row")
		v.press("\x1b")
		v.see("INST")
		v.press("o")
		v.see("journal of helloworld", "run by admin: release 1", "healthy and called")
		v.press("\x1b")
		v.see("INST")
		v.press("v")
		v.see("releases of helloworld", "current", "admin")
		v.press("b")
		v.see("micro rollback helloworld 1 --no-wait", "y/N")
		v.press("n:events\r")
		v.see("orders", "1 to 2")
		v.press("\r")
		v.see("events of orders", `{"id":1}`, `{"id":2}`)
		s.micro("", "events", "publish", "orders", `{"id":3}`)
		v.see(`{"id":3}`)
		v.press(":store\r")
		v.see("DATABASE", "default")
		v.press("\r")
		v.see("user/1", `{"name":"Ann"}`)
		v.press("\r")
		v.see("micro/default › user/1", `{"name":"Ann"}`)
		v.press(":config\r")
		v.see("shop.color", `"blue"`, "(secret)")
		v.press("\r")
		v.see("history of shop.color", "micro/admin")
		v.press(":services\r")
		v.see("INST")
		v.press("e")
		v.see("ENVIRONMENT", "local ←", "proxy.m3o.com:443")
		v.press("\x1b")
		v.lose("ENVIRONMENT")
		v.press("n")
		v.see("micro ←")
		v.press("\r")
		v.see("works in local/micro")
		v.resize(60, 15)
		v.see("services", "helloworld")
		v.resize(300, 80)
		v.see("services", "helloworld", "VERSION")
		v.press("q")
		v.end(0)
	})

	t.Run("actions", func(t *testing.T) {
		v := s.dashboard(t, 120, 30)
		v.see("helloworld", "1/1")
		v.press("s\x152\r")
		v.see("micro scale helloworld 2 --no-wait", "Scale helloworld? y/N")
		v.press("n")
		v.see("nothing was changed")
		v.press("s\x152\r")
		v.see("y/N")
		v.press("y")
		v.see("2/2")
		v.press("r")
		v.see("micro restart helloworld --no-wait")
		v.press("y")
		v.await(func(text string) bool {
			return strings.Contains(text, "  2  ") && strings.Contains(text, "2/2")
		}, "release 2")
		v.press("u")
		v.see("micro undo helloworld --no-wait")
		v.press("y")
		v.see("1/1")
		v.press("@")
		v.see("$ micro scale helloworld 2 --no-wait", "$ micro restart helloworld", "$ micro undo helloworld")
		v.press("q")
		v.end(0)
	})

	t.Run("read-only", func(t *testing.T) {
		v := s.dashboard(t, 120, 30, "--read-only")
		v.see("helloworld", "read-only")
		v.press("\x04")
		v.see("it was started with --read-only")
		v.press(":write\r")
		v.see("it was started with --read-only")
		v.press("\x03")
		v.end(130)
	})

	t.Run("long lists", func(t *testing.T) {
		values := map[string]int{}
		for i := range 1500 {
			values[fmt.Sprintf("v%04d", i)] = i
		}
		b, err := json.Marshal(map[string]any{"many": values})
		if err != nil {
			t.Fatal(err)
		}
		s.micro(string(b), "config", "import", "-")
		v := s.dashboard(t, 120, 30)
		v.see("INST")
		v.press(":config\r")
		v.see("config (first 1000, more below)")
		v.press("G")
		v.lose("more below")
		v.press("G")
		v.see("many.v1499")
		s.micro("", "config", "set", "many.v1499", "changed meanwhile")
		v.see("changed meanwhile")
		v.press("q")
		v.end(0)
	})

	t.Run("interrupted", func(t *testing.T) {
		for _, at := range []struct{ keys, see string }{
			{"", "INST"},
			{"\r", "ENDPOINT"},
			{"l", "following"},
			{":x", ":x"},
			{"/x", "/x"},
			{"?", "Lists and lines"},
			{"e", "ENVIRONMENT"},
			{"n", "micro ←"},
			{"@", "nothing was run"},
			{"s", "Instances of"},
			{"\x04", "for good?"},
		} {
			v := s.dashboard(t, 100, 24)
			v.see("helloworld", "running")
			v.press(at.keys)
			if at.see != "INST" {
				v.see(at.see)
			}
			v.press("\x03")
			v.end(130)
		}
		v := s.dashboard(t, 100, 24)
		v.see("helloworld")
		if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		v.end(130)
	})

	t.Run("lost server", func(t *testing.T) {
		v := s.dashboard(t, 120, 30)
		v.see("helloworld", "running")
		s.stop()
		v.see("server lost", "ago; this is as old")
		v.see("helloworld")
		s.start()
		v.lose("server lost")
		v.see("the service is well")
		s.stop()
		v.see("server lost")
		v.press("q")
		v.end(0)
		s.start()
	})
}
