package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// site is a server of its own with a service that runs on it, as whole processes.
type site struct {
	*testing.T
	bin, home string
	flags     []string // of the server
	address   string   // of the proxy; the same in each life of the server
	server    *exec.Cmd
	ended     chan error
	conn      *grpc.ClientConn
	runtime   runtimev1.RuntimeClient
	token     string
}

// newSite starts a server with flags and runs helloworld on it.
func newSite(t *testing.T, flags ...string) *site {
	t.Helper()
	s := newEmptySite(t, flags...)
	project := filepath.Join(t.TempDir(), "helloworld")
	s.micro("", "new", project)
	s.micro("", "run", project)
	return s
}

// newEmptySite starts a server that runs nothing, and logs in.
func newEmptySite(t *testing.T, flags ...string) *site {
	t.Helper()
	s := &site{T: t, bin: buildBinaries(t), home: filepath.Join(t.TempDir(), "home"), flags: flags, address: "127.0.0.1:0"}
	s.start()
	t.Cleanup(func() { s.stop(os.Interrupt) })
	s.micro("micro\n", "login", "--username", "admin", "--password-stdin")
	s.token = strings.TrimSpace(s.micro("", "user", "token"))
	// Who waits for the server to be there again does not rest for long between two tries.
	again := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond}, MinConnectTimeout: 5 * time.Second}
	conn, err := grpc.NewClient("passthrough:///"+s.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(again))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.conn, s.runtime = conn, runtimev1.NewRuntimeClient(conn)
	return s
}

// micro runs a command to its end and returns what it printed.
func (s *site) micro(stdin string, args ...string) string {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), filepath.Join(s.bin, "micro"), args...)
	cmd.Env, cmd.Stdin = s.env(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("micro %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *site) env() []string {
	return append(os.Environ(), "MICRO_HOME="+s.home, "MICRO_ENV=", "MICRO_NAMESPACE=", "MICRO_TOKEN=",
		"DBUS_SESSION_BUS_ADDRESS=", "XDG_RUNTIME_DIR=")
}

// start starts the server, and returns when it answers.
func (s *site) start() {
	s.Helper()
	s.launch()
	s.awaitServer()
}

// launch starts the server.
func (s *site) launch() {
	s.Helper()
	args := append([]string{"server", "--gateway", "127.0.0.1:0", "--proxy", s.address, "--token-lifetime", "24h"}, s.flags...)
	s.server = exec.Command(filepath.Join(s.bin, "microd"), args...) //nolint:noctx // stop ends it
	s.server.Env = s.env()
	s.server.Stderr = io.Discard
	if err := s.server.Start(); err != nil {
		s.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.server.Wait() }()
}

// data is the directory of the server's data.
func (s *site) data() string { return filepath.Join(s.home, "data", "server") }

// awaitServer returns when the server that was launched answers.
func (s *site) awaitServer() {
	s.Helper()
	file := filepath.Join(s.data(), "server.json")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		var running struct {
			Proxy string
			PID   int
		}
		b, err := os.ReadFile(file)
		if err == nil && json.Unmarshal(b, &running) == nil && running.PID == s.server.Process.Pid && answers(running.Proxy) {
			s.address = running.Proxy
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("the server does not answer: %v", err)
		}
	}
}

// stop ends the server by a signal, and waits for its end.
func (s *site) stop(sig os.Signal) {
	s.Helper()
	if s.server == nil {
		return
	}
	_ = s.server.Process.Signal(sig)
	s.Logf("the server ended: %v", <-s.ended)
	s.server = nil
}

// as returns the context of a call by the administrator.
func (s *site) as(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.token, "micro-namespace", "micro")
}

// await returns the service when it is as ok says.
func (s *site) await(what string, ok func(*runtimev1.Service) bool) *runtimev1.Service {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.as(s.Context()), 2*time.Minute)
	defer cancel()
	stream, err := s.runtime.Watch(ctx, &runtimev1.WatchRequest{Name: "helloworld"}, grpc.WaitForReady(true))
	var last *runtimev1.Service
	for err == nil {
		var rsp *runtimev1.WatchResponse
		if rsp, err = stream.Recv(); err == nil {
			if last = rsp.GetService(); ok(last) {
				return last
			}
		}
	}
	s.Fatalf("%s: %v; last it was %v", what, err, last.GetStatus())
	return nil
}

// whole reports whether a service runs as it should.
func whole(s *runtimev1.Service) bool {
	st := s.GetStatus()
	return st.GetPhase() == runtimev1.Phase_PHASE_RUNNING && len(st.GetInstances()) == int(s.GetInstances()) &&
		!slices.ContainsFunc(st.GetInstances(), func(in *runtimev1.Instance) bool { return in.GetPhase() != runtimev1.Phase_PHASE_RUNNING })
}

// pace is how long a caller rests between two calls.
const pace = 5 * time.Millisecond

// load is many who call a service all the time.
type load struct {
	s    *site
	stop context.CancelFunc
	wg   sync.WaitGroup

	calls, failed atomic.Int64
	retried       atomic.Int64

	mu   sync.Mutex
	says map[string]int // why calls failed
}

// call begins to call helloworld from so many sides. With retry, a call that failed
// because nobody answered is made again: those are the ones that may be.
func (s *site) call(callers int, retry bool) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{s: s, stop: stop, says: map[string]int{}}
	for range callers {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				l.once(ctx, retry)
				time.Sleep(pace) // the load is steady, and leaves room for what it is about
			}
		})
	}
	return l
}

// request is a message for helloworld: {"name": "Alice"}.
func request() *emptypb.Empty {
	m := &emptypb.Empty{}
	m.ProtoReflect().SetUnknown([]byte("\x0a\x05Alice"))
	return m
}

// once makes one call.
func (l *load) once(ctx context.Context, retry bool) {
	l.calls.Add(1)
	for try := 0; ; try++ {
		limited, cancel := context.WithTimeout(l.s.as(context.WithoutCancel(ctx)), 10*time.Second)
		err := l.s.conn.Invoke(limited, "/helloworld.Helloworld/Call", request(), &emptypb.Empty{}, grpc.WaitForReady(retry))
		cancel()
		if err == nil {
			return
		}
		if retry && status.Code(err) == codes.Unavailable && try < 100 {
			l.retried.Add(1)
			time.Sleep(20 * time.Millisecond)
			continue
		}
		l.failed.Add(1)
		l.mu.Lock()
		l.says[err.Error()]++
		l.mu.Unlock()
		return
	}
}

// end ends the calls, and fails the test when one of them failed.
func (l *load) end(what string) {
	l.s.Helper()
	l.stop()
	l.wg.Wait()
	l.s.Logf("%s: %d calls, %d failed, %d were made again", what, l.calls.Load(), l.failed.Load(), l.retried.Load())
	if l.calls.Load() < 100 {
		l.s.Errorf("%s: only %d calls were made", what, l.calls.Load())
	}
	for text, n := range l.says {
		l.s.Errorf("%s: %d times: %s", what, n, text)
	}
}

// soak returns the first number, or in a soak the second.
func soak(usual, long int) int {
	if os.Getenv("MICRO_SOAK") != "" {
		return long
	}
	return usual
}

// TestUpdatesUnderLoad restarts, scales and rolls back a service while it is called. No
// call fails, and none has to be made again.
func TestUpdatesUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, instances := range []int32{1, 3} {
		if _, err := s.runtime.Scale(s.as(t.Context()), &runtimev1.ScaleRequest{Name: "helloworld", Instances: instances}); err != nil {
			t.Fatal(err)
		}
		s.await("scaled", whole)
		l := s.call(8, false)
		for range soak(5, 200) {
			rsp, err := s.runtime.Restart(s.as(t.Context()), &runtimev1.RestartRequest{Name: "helloworld"})
			if err != nil {
				t.Fatal(err)
			}
			release := rsp.GetService().GetStatus().GetRelease()
			s.await("restarted", func(v *runtimev1.Service) bool { return v.GetStatus().GetRelease() == release && whole(v) })
		}
		l.end(fmt.Sprintf("restarts of %d instances", instances))
	}
	l := s.call(8, false)
	for range soak(5, 100) {
		for _, n := range []int32{1, 4, 2} {
			if _, err := s.runtime.Scale(s.as(t.Context()), &runtimev1.ScaleRequest{Name: "helloworld", Instances: n}); err != nil {
				t.Fatal(err)
			}
			s.await("scaled", func(v *runtimev1.Service) bool { return v.GetInstances() == n && whole(v) })
		}
	}
	l.end("scaling up and down")
}

// pids returns the processes of the instances of this site's server.
func (s *site) pids() []int {
	s.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		s.Fatal(err)
	}
	var pids []int
	for _, link := range all {
		dir, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(dir, filepath.Join(s.data(), "runtime")+"/") {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestKills kills instances, and the server, while the service is called. Every call
// that may be made again comes through.
func TestKills(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		t.Skip("needs /proc")
	}
	s := newSite(t)
	s.endure(s.pids, nil)
}

// endure kills one thing after the other while the service is called, and fails the test
// when a call fails that may be made again. Most are instances, of which pids returns the
// processes; some the server, and some, together with an instance, what the instances run
// on: withoutEngine calls do while that is away.
func (s *site) endure(pids func() []int, withoutEngine func(do func())) {
	s.Helper()
	seed := rand.Uint64()
	s.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const instances = 3
	if _, err := s.runtime.Scale(s.as(s.Context()), &runtimev1.ScaleRequest{Name: "helloworld", Instances: instances}); err != nil {
		s.Fatal(err)
	}
	s.await("scaled", whole)
	killOne := func() {
		found := pids()
		if len(found) == 0 {
			s.Fatal("nothing runs")
		}
		kill(s.T, found[rnd.IntN(len(found))])
	}
	l := s.call(8, true)
	var slowest, total time.Duration
	kills := soak(6, 100)
	for i := range kills {
		began := time.Now()
		restarts := s.restarts()
		switch {
		case i%10 == 5:
			s.stop(syscall.SIGKILL)
			s.start()
			restarts = -1
		case i%10 == 2 && withoutEngine != nil:
			withoutEngine(killOne)
		default:
			killOne()
		}
		s.await("it is told", func(v *runtimev1.Service) bool { return restartsOf(v) > restarts })
		s.await("whole again", whole)
		took := time.Since(began)
		slowest, total = max(slowest, took), total+took
	}
	l.end(fmt.Sprintf("%d kills", kills))
	s.Logf("whole again after %s on average, and %s at the most", (total / time.Duration(kills)).Round(time.Millisecond), slowest.Round(time.Millisecond))
}

// kill ends a process that may have ended already.
func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

func (s *site) restarts() int32 {
	s.Helper()
	return restartsOf(s.await("there", func(*runtimev1.Service) bool { return true }))
}

func restartsOf(s *runtimev1.Service) (n int32) {
	for _, in := range s.GetStatus().GetInstances() {
		n += in.GetRestarts()
	}
	return n
}
