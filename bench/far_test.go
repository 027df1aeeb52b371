package bench

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	farAway   = 25 * time.Millisecond // there and back
	farRounds = 9
)

// BenchmarkFar tells how many round trips a call takes after the connection is there,
// through a relay that is as slow as a server far away: the time that the relay adds,
// as a multiple of that of one. Budgets: 1 when the schema is in the cache, 2 when it is
// not, or is an old one; of a server without micro 2, because it has to be asked whether
// it changed.
func BenchmarkFar(b *testing.B) {
	w := newWorld(b)
	w.start(b)
	w.deploy(b)
	plain := w.fixture(b, "plain")
	for name, address := range map[string]string{"far": relay(b, w.proxy, farAway), "near": relay(b, w.proxy, 0), "farplain": relay(b, plain, farAway), "nearplain": relay(b, plain, 0)} {
		w.run(b, "env", "add", name, address)
		if !strings.HasSuffix(name, "plain") {
			login := w.command(b, "micro", "login", "-e", name, "--username", "admin", "--password-stdin")
			login.Stdin = strings.NewReader("micro\n")
			if out, err := login.CombinedOutput(); err != nil {
				b.Fatalf("login: %v\n%s", err, out)
			}
		}
	}
	address := func(env string) string {
		for line := range strings.Lines(w.run(b, "env")) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == env {
				return f[1]
			}
		}
		b.Fatalf("no environment %q", env)
		return ""
	}
	// after returns a side that changes what the cache has of the service before the call.
	after := func(env, what string, change func(file string) error) side {
		s := w.process(b, env+" "+what, "micro", "-e", env, "helloworld", "--name=Alice")
		call := s.run
		s.run = func() {
			if err := change(w.cached(b, env)); err != nil {
				b.Fatal(err)
			}
			call()
		}
		return s
	}
	old := w.change(b, "near", "far")
	grpcurl := w.grpcurl(b)
	for b.Loop() {
		var sides []side
		for _, at := range []string{"near", "far"} {
			warm := w.process(b, at+" warm", "micro", "-e", at, "helloworld", "--name=Alice")
			sides = append(sides, warm,
				after(at, "cold", os.Remove),
				after(at, "stale", func(file string) error { return os.WriteFile(file, old[at], 0o600) }),
				w.process(b, at+" client", "client", address(at), w.token, "Alice"),
				w.process(b, at+" plain", "micro", "-e", at+"plain", "other.v1.Everything", "echo", "--text=x"),
			)
			if grpcurl != "" {
				sides = append(sides, w.process(b, at+" grpcurl", grpcurl, "-plaintext", "-d", `{"text": "x"}`, address(at+"plain"), "other.v1.Everything/Echo"))
			}
		}
		m := takeTurns(farRounds, sides...)
		for _, what := range []string{"warm", "cold", "stale", "client", "plain", "grpcurl"} {
			if m["far "+what] > 0 {
				b.ReportMetric(float64(m["far "+what]-m["near "+what])/float64(farAway), "round-trips-"+what)
			}
		}
	}
}

// cached returns the file of the cache that says which schema helloworld has in an
// environment.
func (w *world) cached(b *testing.B, env string) string {
	b.Helper()
	names, err := filepath.Glob(filepath.Join(w.home, "cache", "names", env+"-*", "micro", "helloworld"))
	if err != nil || len(names) != 1 {
		b.Fatalf("the cache of %s: %v, %v", env, names, err)
	}
	return names[0]
}

// change gives helloworld another schema, and returns what the cache said of the old one
// in each environment.
func (w *world) change(b *testing.B, environments ...string) map[string][]byte {
	b.Helper()
	old := map[string][]byte{}
	var err error
	for _, env := range environments {
		w.run(b, "-e", env, "helloworld", "--name=Alice")
		if old[env], err = os.ReadFile(w.cached(b, env)); err != nil {
			b.Fatal(err)
		}
	}
	path := filepath.Join(w.project, "proto", "helloworld.proto")
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, "\nmessage More {}\n"...), 0o600); err != nil {
		b.Fatal(err)
	}
	w.run(b, "gen", w.project)
	w.run(b, "update", w.project)
	for _, env := range environments {
		w.run(b, "-e", env, "helloworld", "--name=Alice")
	}
	return old
}

// fixture starts a server that knows nothing of micro, with arguments beside the usual
// ones, and returns its address. The name is of that server.
func (w *world) fixture(b *testing.B, name string, args ...string) string {
	b.Helper()
	program, ready := filepath.Join(w.bin, "fixture"), filepath.Join(w.home, name+".ready")
	if out, err := w.command(b, "go", "build", "-C", mustAbs(b, "../testdata/fixture"), "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	cmd := w.command(b, program, append([]string{"-proto", mustAbs(b, "../testdata/fixture/proto"), "-ready", ready}, args...)...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(ready)
		if err == nil {
			return string(text)
		}
		if time.Now().After(end) {
			b.Fatalf("the fixture is not ready after 30 s: %v", err)
		}
	}
}

func mustAbs(b *testing.B, path string) string {
	b.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		b.Fatal(err)
	}
	return abs
}

// relay passes connections on to an address, each byte half a round trip late, and
// returns where it listens.
func relay(b *testing.B, address string, roundTrip time.Duration) string {
	b.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	b.Cleanup(func() {
		stop()
		_ = l.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { relayConn(ctx, client, address, roundTrip/2) })
		}
	})
	return l.Addr().String()
}

func relayConn(ctx context.Context, client net.Conn, address string, late time.Duration) {
	defer client.Close()
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = server.Close()
	})()
	var both sync.WaitGroup
	both.Go(func() { passOn(server, client, late) })
	both.Go(func() { passOn(client, server, late) })
	both.Wait()
}

// passOn copies what is read, each part so late after it came.
func passOn(to io.WriteCloser, from io.Reader, late time.Duration) {
	type part struct {
		due  time.Time
		data []byte
	}
	parts := make(chan part, 1024)
	go func() {
		defer close(parts)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if n > 0 {
				parts <- part{time.Now().Add(late), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range parts {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	_ = to.Close()
	for range parts { // so that the reader ends
	}
}
