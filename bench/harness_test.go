package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a directory with the binaries, a home, and a server that runs
// helloworld.
type world struct {
	bin, home, project string
	env                []string
	proxy, gateway     string
	token              string   // a file with an access token
	flags              []string // of the server
	server             *exec.Cmd
	pid                int // of the server, which another program may have started
}

// newWorld builds what is measured. The server is started by the benchmarks that
// want one.
func newWorld(b *testing.B) *world {
	b.Helper()
	dir := b.TempDir()
	w := &world{bin: filepath.Join(dir, "bin"), home: filepath.Join(dir, "home"), project: filepath.Join(dir, "helloworld")}
	for _, d := range []string{w.bin, w.home} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			b.Fatal(err)
		}
	}
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", w.bin+"/",
		"../cmd/micro", "../cmd/microd", "./peer/hello", "./peer/client", "./peer/flood", "./peer/fsync")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	w.env = append(os.Environ(), "MICRO_HOME="+w.home, "PATH="+w.bin+":"+os.Getenv("PATH"),
		"MICRO_ENV=", "MICRO_NAMESPACE=", "MICRO_TOKEN=", "DBUS_SESSION_BUS_ADDRESS=", "XDG_RUNTIME_DIR=")
	return w
}

// command returns a command in the world.
func (w *world) command(b *testing.B, name string, args ...string) *exec.Cmd {
	b.Helper()
	if !strings.Contains(name, "/") {
		if own := filepath.Join(w.bin, name); exists(own) {
			name = own
		}
	}
	cmd := exec.CommandContext(b.Context(), name, args...)
	cmd.Env = w.env
	cmd.Dir = filepath.Dir(w.bin)
	return cmd
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// run runs micro to its end and returns what it printed.
func (w *world) run(b *testing.B, args ...string) string {
	b.Helper()
	out, err := w.command(b, "micro", args...).CombinedOutput()
	if err != nil {
		b.Fatalf("micro %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start starts a server and returns how long it took to be ready.
func (w *world) start(b *testing.B) time.Duration {
	b.Helper()
	return w.startAt(b, filepath.Join(w.home, "data", "server"), filepath.Join(w.bin, "microd"))
}

// startAt starts a server with its data in a directory.
func (w *world) startAt(b *testing.B, data string, command ...string) time.Duration {
	b.Helper()
	command = append(command, "server", "--gateway", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--data", data)
	command = append(command, w.flags...)
	w.server = w.command(b, command[0], command[1:]...)
	ready := make(chan time.Duration, 1)
	began := time.Now()
	w.server.Stdout = &lineWriter{onLine: func(line string) {
		if strings.Contains(line, "is ready") {
			ready <- time.Since(began)
		}
	}}
	var log bytes.Buffer
	w.server.Stderr = &log
	if err := w.server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.stop(b) })
	select {
	case took := <-ready:
		var addresses struct {
			Proxy, Gateway string
			PID            int
		}
		text, err := os.ReadFile(filepath.Join(data, "server.json"))
		if err != nil {
			b.Fatal(err)
		}
		if err := json.Unmarshal(text, &addresses); err != nil {
			b.Fatal(err)
		}
		w.proxy, w.gateway, w.pid = addresses.Proxy, addresses.Gateway, addresses.PID
		return took
	case <-time.After(30 * time.Second):
		b.Fatalf("the server is not ready after 30 s: %s", log.String())
		return 0
	}
}

func (w *world) stop(b *testing.B) {
	b.Helper()
	if w.server == nil {
		return
	}
	p := w.server.Process
	if w.pid > 0 {
		if server, err := os.FindProcess(w.pid); err == nil {
			p = server
		}
	}
	_ = p.Signal(os.Interrupt)
	_ = w.server.Wait()
	w.server = nil
}

// login logs in and returns an access token.
func (w *world) login(b *testing.B) string {
	b.Helper()
	login := w.command(b, "micro", "login", "--username", "admin", "--password-stdin")
	login.Stdin = strings.NewReader("micro\n")
	if out, err := login.CombinedOutput(); err != nil {
		b.Fatalf("login: %v\n%s", err, out)
	}
	return strings.TrimSpace(w.run(b, "user", "token"))
}

// deploy logs in and runs a new helloworld.
func (w *world) deploy(b *testing.B) {
	b.Helper()
	token := w.login(b)
	w.run(b, "new", w.project)
	w.run(b, "run", w.project)
	w.token = filepath.Join(w.home, "token")
	if err := os.WriteFile(w.token, []byte(token), 0o600); err != nil {
		b.Fatal(err)
	}
	if out := w.run(b, "helloworld", "--name=Alice"); !strings.Contains(out, "Hello Alice") {
		b.Fatalf("micro helloworld: %s", out)
	}
}

// lineWriter calls onLine with each line that is written.
type lineWriter struct {
	rest   []byte
	onLine func(string)
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.onLine(string(line))
		l.rest = rest
	}
}

// side is one of the things that take turns.
type side struct {
	name string
	run  func()
	own  *time.Duration // the processor time of the last run; nil: not known
}

// ownTime is what the name of a side ends with where its own processor time is meant: what
// others do for it meanwhile is not in that.
const ownTime = ", own time"

// takeTurns runs the sides one after the other, rounds times after a warm-up, and
// returns the median time of each, and that of its own.
func takeTurns(rounds int, sides ...side) map[string]time.Duration {
	times := map[string][]time.Duration{}
	for round := range rounds + 1 {
		for _, s := range sides {
			began := time.Now()
			s.run()
			if round == 0 {
				continue
			}
			times[s.name] = append(times[s.name], time.Since(began))
			if s.own != nil {
				times[s.name+ownTime] = append(times[s.name+ownTime], *s.own)
			}
		}
	}
	medians := map[string]time.Duration{}
	for name, t := range times {
		medians[name] = median(t)
	}
	return medians
}

func median[T ~int64](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}

// process returns a side that runs a command to its end.
func (w *world) process(b *testing.B, name string, command string, args ...string) side {
	b.Helper()
	own := new(time.Duration)
	return side{name, func() {
		cmd := w.command(b, command, args...)
		cmd.Stdout, cmd.Stderr = nil, nil
		if err := cmd.Run(); err != nil {
			b.Fatalf("%s: %v", name, err)
		}
		*own = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}, own}
}

// report reports a ratio under a name that says against what.
func report(b *testing.B, ratio float64, unit string) {
	b.Helper()
	b.ReportMetric(ratio, unit)
}

// rss returns the resident memory of a process in MB.
func rss(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("needs /proc")
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kb float64
			if _, err := fmt.Sscan(rest, &kb); err != nil {
				b.Fatal(err)
			}
			return kb / 1000
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
