package bench

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// runtime returns a client of the server's runtime, and the context for its calls.
func (w *world) runtime(b *testing.B) (context.Context, runtimev1.RuntimeClient) {
	b.Helper()
	text, err := os.ReadFile(w.token)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+w.proxy, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+strings.TrimSpace(string(text)), "micro-namespace", "micro")
	return ctx, runtimev1.NewRuntimeClient(conn)
}

// awaitService returns when helloworld is as ok says.
func awaitService(ctx context.Context, b *testing.B, client runtimev1.RuntimeClient, ok func(*runtimev1.Service) bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	stream, err := client.Watch(ctx, &runtimev1.WatchRequest{Name: "helloworld"})
	for err == nil {
		var rsp *runtimev1.WatchResponse
		if rsp, err = stream.Recv(); err == nil && ok(rsp.GetService()) {
			return
		}
	}
	b.Fatal(err)
}

func runs(s *runtimev1.Service) bool {
	return s.GetStatus().GetPhase() == runtimev1.Phase_PHASE_RUNNING && len(s.GetStatus().GetInstances()) == int(s.GetInstances())
}

func restarts(s *runtimev1.Service) (n int32) {
	for _, in := range s.GetStatus().GetInstances() {
		n += in.GetRestarts()
	}
	return n
}

// instances returns the processes of the services of the world's server.
func (w *world) instances(b *testing.B) []int {
	b.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		b.Fatal(err)
	}
	var pids []int
	for _, link := range links {
		dir, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(dir, filepath.Join(w.home, "data", "server", "runtime")+"/") {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// BenchmarkKill measures how long it takes from the end of an instance that had run well
// until there is one that is called again, and how much of that the program itself takes
// to be healthy. Budget: 250 ms.
func BenchmarkKill(b *testing.B) {
	w := newWorld(b)
	w.start(b)
	w.deploy(b)
	w.measureKill(b, w.instances)
}

// measureKill kills the processes of the instance of helloworld, which pids returns.
func (w *world) measureKill(b *testing.B, pids func(*testing.B) []int) {
	b.Helper()
	ctx, client := w.runtime(b)
	for b.Loop() {
		var took []time.Duration
		for range 7 {
			// One that crashes again soon after it came up has to wait.
			time.Sleep(11 * time.Second)
			pids := pids(b)
			if len(pids) == 0 {
				b.Skip("no instance is found: needs /proc")
			}
			var before int32
			awaitService(ctx, b, client, func(s *runtimev1.Service) bool { before = restarts(s); return true })
			began := time.Now()
			if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
				b.Fatal(err)
			}
			awaitService(ctx, b, client, func(s *runtimev1.Service) bool { return restarts(s) > before && runs(s) })
			took = append(took, time.Since(began))
		}
		b.ReportMetric(float64(median(took).Milliseconds()), "ms-healthy-again")
	}
}

// BenchmarkManyInstances scales a service to 200 instances and back, and measures how
// long that takes for each, and what the server holds for each. Budget: 150 kB.
func BenchmarkManyInstances(b *testing.B) {
	w := newWorld(b)
	w.start(b)
	w.deploy(b)
	w.stop(b) // what it held to take the image
	w.start(b)
	ctx, client := w.runtime(b)
	awaitService(ctx, b, client, runs)
	time.Sleep(5 * time.Second)
	const many = 200
	scale := func(n int32) time.Duration {
		began := time.Now()
		if _, err := client.Scale(ctx, &runtimev1.ScaleRequest{Name: "helloworld", Instances: n}); err != nil {
			b.Fatal(err)
		}
		awaitService(ctx, b, client, runs)
		return time.Since(began)
	}
	for b.Loop() {
		before := rss(b, w.server.Process.Pid)
		up := scale(many)
		time.Sleep(10 * time.Second)
		busy := cpuTime(b, w.server.Process.Pid)
		time.Sleep(20 * time.Second)
		busy = cpuTime(b, w.server.Process.Pid) - busy
		held := rss(b, w.server.Process.Pid) - before
		b.ReportMetric(float64(up.Milliseconds())/many, "ms-start/instance")
		b.ReportMetric(held*1000/many, "kB-held/instance")
		b.ReportMetric(busy.Seconds()/20*100, "%-of-a-core")
		b.ReportMetric(float64(scale(1).Milliseconds())/many, "ms-end/instance")
	}
}

// cpuTime returns how much time of a core a process has had.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		b.Skip("needs /proc")
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // there are 100 in a second
}
