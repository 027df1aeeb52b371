package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/logfile"
	"github.com/micro/micro/v3/backend/runtime/runtimetest"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// serverVariable makes TestServer a server that keeps its data in a directory
// until it is killed.
const serverVariable = "MICRO_TEST_SERVER"

const waitTime = 30 * time.Second

// openProgram opens a runtime with the suite's program in it, which is closed
// with the test.
func openProgram(t *testing.T, c Config) (r *Runtime, image string) {
	t.Helper()
	images := &runtimetest.Images{}
	image = images.Add(runtimetest.ProgramImage(t))
	c.OpenImage = images.Open
	r = mustOpen(t, c)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r, image
}

// awaitLines calls do with the lines of all instances as they come until it
// reports that it has seen enough.
func awaitLines(t *testing.T, r *Runtime, do func(runtime.Line) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	q := runtime.LogQuery{Namespace: alpha.Namespace, Service: alpha.Name, Follow: true}
	for line, err := range r.Logs(ctx, q) {
		if err != nil {
			t.Fatalf("wait for lines: %v", err)
		}
		if do(line) {
			return
		}
	}
}

// awaitPIDs returns the n process ids that instances print.
func awaitPIDs(t *testing.T, r *Runtime, n int) []int {
	t.Helper()
	var pids []int
	awaitLines(t, r, func(line runtime.Line) bool {
		if text, ok := strings.CutPrefix(line.Text, "pid "); ok {
			pid, err := strconv.Atoi(text)
			if err != nil {
				t.Errorf("line %q: %v", line.Text, err)
			}
			pids = append(pids, pid)
		}
		return len(pids) == n
	})
	return pids
}

// awaitExit waits until an instance has ended.
func awaitExit(t *testing.T, r *Runtime, id string) runtime.Instance {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	for event, err := range r.Watch(ctx) {
		if err != nil {
			t.Fatalf("wait for the end of %q: %v", id, err)
		}
		if event.Instance.ID == id && event.Instance.State == runtime.Exited {
			return event.Instance
		}
	}
	return runtime.Instance{}
}

// alive reports whether a process is there and has not ended.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// awaitEnd waits until a process has ended.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(waitTime.Milliseconds()))
	if err != nil || n != 1 {
		t.Errorf("process %d goes on: %v", pid, err)
	}
}

// TestServer is no test but the server that TestKilledServer kills: it starts
// instances that do what they can to live on, prints the ids of their processes
// and waits.
func TestServer(t *testing.T) {
	dir := os.Getenv(serverVariable)
	if dir == "" {
		t.Skip("run by TestKilledServer")
	}
	r, image := openProgram(t, Config{Dir: dir})
	for id, args := range map[string][]string{
		"plain": {"pid", "hang"},
		"family": {
			"pid", "spawn=ignore;pid;hang", "spawn=session;ignore;pid;hang", "bare=ignore;pid;hang", "wait", "hang",
		},
		"orphans": {"spawn=spawn=ignore;pid;hang", "spawn=pid;flood", "pid", "hang"},
	} {
		if _, err := r.Start(t.Context(), alphaSpec(id, image, args...)); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range awaitPIDs(t, r, 7) {
		fmt.Println("pid", pid)
	}
	fmt.Println("ready")
	<-t.Context().Done()
}

// TestKilledServer checks that a server that is killed leaves no process behind
// once the next one says that it has seen all there is.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	rounds := 1
	if os.Getenv("MICRO_SOAK") != "" {
		rounds = 100
	}
	dir := t.TempDir()
	for range rounds {
		pids := killServer(t, dir)
		checkKilled(t, dir, pids)
	}
}

// killServer runs a server until it is ready, kills it, and returns the
// processes that it had started.
func killServer(t *testing.T, dir string) []int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServer$", "-test.v")
	cmd.Env = append(os.Environ(), serverVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	ready := false
	lines := bufio.NewScanner(out)
	for !ready && lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "pid "); ok {
			pid, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		ready = lines.Text() == "ready"
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the server ended by itself")
	}
	if !ready {
		t.Fatalf("the server did not get ready: %v", lines.Err())
	}
	return pids
}

func checkKilled(t *testing.T, dir string, pids []int) {
	t.Helper()
	r, image := openProgram(t, Config{Dir: dir})
	known := map[string]runtime.Instance{}
	for event, err := range r.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Synced {
			break
		}
		known[event.Instance.ID] = event.Instance
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	for _, id := range []string{"plain", "family", "orphans"} {
		in := known[id]
		if in.State != runtime.Exited || in.Exit.Signal != "SIGKILL" || in.Exit.Stopped || in.Release != 1 {
			t.Errorf("instance %q is %+v, want it killed and not stopped", id, in)
		}
		var last runtime.Line
		q := runtime.LogQuery{Namespace: alpha.Namespace, Service: alpha.Name, Instance: id, Tail: 1}
		for line, err := range r.Logs(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			last = line
		}
		if last.Stream != runtime.System || !strings.HasPrefix(last.Text, "killed") {
			t.Errorf("the last line of %q is %+v", id, last)
		}
		if _, err := os.Stat(homeOf(r, id).identity()); err == nil {
			t.Errorf("the identity of %q is still there", id)
		}
		if _, err := r.Start(t.Context(), alphaSpec(id, image, "exit=0")); err != nil {
			t.Errorf("start of %q: %v", id, err)
		}
		awaitExit(t, r, id)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestDeathWithServer checks that programs end with the server at once, and not
// only when there is a next one.
func TestDeathWithServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	killServer(t, dir)
	leaders := 0
	for _, id := range []string{"plain", "family", "orphans"} {
		var rec struct{ Process processMark }
		text, err := os.ReadFile(filepath.Join(dir, "instances", id, "state.json"))
		if err == nil {
			err = json.Unmarshal(text, &rec)
		}
		if err != nil || rec.Process.PID == 0 {
			t.Fatalf("record of %q: %s, %v", id, text, err)
		}
		awaitEnd(t, rec.Process.PID)
		leaders++
	}
	if leaders != 3 {
		t.Errorf("%d programs, want 3", leaders)
	}
	checkKilled(t, dir, nil)
}

// TestFamilyEnds checks that nothing lives on of an instance that has ended.
func TestFamilyEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		pids int
		stop bool
	}{
		{"exit with a child", []string{"spawn=pid;ignore;hang", "pid", "wait"}, 2, false},
		{"exit with a child in a session of its own", []string{"spawn=session;pid;ignore;hang", "pid", "wait"}, 2, false},
		{"exit with a child without environment", []string{"bare=pid;ignore;hang", "pid", "wait"}, 2, false},
		{"exit with a child in a group of its own without environment", []string{"bare=group;pid;ignore;hang", "pid", "wait"}, 2, false},
		{"stop with grandchildren", []string{"spawn=spawn=pid;ignore;hang", "pid", "wait"}, 2, true},
		{"stop with grandchildren in sessions", []string{"spawn=session;pid;spawn=hang;ignore;hang", "pid", "wait"}, 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, image := openProgram(t, Config{Dir: t.TempDir()})
			if _, err := r.Start(t.Context(), alphaSpec("a", image, tt.args...)); err != nil {
				t.Fatal(err)
			}
			pids := awaitPIDs(t, r, tt.pids)
			awaitLines(t, r, func(line runtime.Line) bool { return line.Text == "waiting" })
			if tt.stop {
				if err := r.Stop(t.Context(), "a", waitTime); err != nil {
					t.Fatal(err)
				}
			} else {
				if err := unix.Kill(runOf(t, r, "a").process.pid(), unix.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			exit := awaitExit(t, r, "a").Exit
			if exit.Code != 0 || exit.Stopped != tt.stop {
				t.Errorf("it ended with %+v", exit)
			}
			for _, pid := range pids {
				if alive(pid) {
					t.Errorf("process %d is still there", pid)
				}
			}
		})
	}
}

// TestReaper checks that a server to which orphans fall, as to the first process
// of a container, does not collect them when they have ended.
func TestReaper(t *testing.T) {
	const variable = "MICRO_TEST_REAPER"
	if os.Getenv(variable) == "" {
		t.Parallel()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReaper$", "-test.v")
		cmd.Env = append(os.Environ(), variable+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skip(err)
	}
	r, image := openProgram(t, Config{Dir: t.TempDir()})
	_, err := r.Start(t.Context(), alphaSpec("a", image,
		"spawn=spawn=pid;hang", "spawn=session;pid;hang", "spawn=pid", "spawn=spawn=pid", "pid", "wait"))
	if err != nil {
		t.Fatal(err)
	}
	pids := awaitPIDs(t, r, 5)
	awaitLines(t, r, func(line runtime.Line) bool { return line.Text == "waiting" })
	if err := r.Stop(t.Context(), "a", waitTime); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if s, ok := sweep.ReadStatus(pid); ok {
			t.Errorf("process %d is still there: %+v", pid, s)
		}
	}
}

// TestCloseEndsAll checks that nothing outlives the runtime, and that the next one
// knows that it was stopped.
func TestCloseEndsAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, image := openProgram(t, Config{Dir: dir})
	for id, args := range map[string][]string{
		"good":     {"pid", "spawn=pid;hang", "wait", "exit=0"},
		"stubborn": {"pid", "spawn=session;ignore;pid;hang", "ignore", "hang"},
	} {
		if _, err := r.Start(t.Context(), alphaSpec(id, image, args...)); err != nil {
			t.Fatal(err)
		}
	}
	pids := awaitPIDs(t, r, 4)
	ready := 0
	awaitLines(t, r, func(line runtime.Line) bool {
		if line.Text == "waiting" || line.Text == "hanging" {
			ready++
		}
		return ready == 4
	})
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	r = mustOpen(t, Config{Dir: dir, OpenImage: noImages})
	defer r.Close()
	for id, want := range map[string]runtime.Exit{
		"good":     {Stopped: true},
		"stubborn": {Code: -1, Signal: "SIGKILL", Stopped: true},
	} {
		got := known(t, r, id).Exit
		got.At = time.Time{}
		if got != want {
			t.Errorf("%q ended with %+v, want %+v", id, got, want)
		}
	}
}

// TestEscaped checks that a process that nothing can find holds up nobody: it has
// a session and an environment of its own, and keeps the pipe of its instance.
func TestEscaped(t *testing.T) {
	t.Parallel()
	r, image := openProgram(t, Config{Dir: t.TempDir()})
	if _, err := r.Start(t.Context(), alphaSpec("a", image, "bare=session;ignore;pid;hang", "wait", "exit=2")); err != nil {
		t.Fatal(err)
	}
	pids := awaitPIDs(t, r, 1)
	t.Cleanup(func() {
		if err := unix.Kill(pids[0], unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			t.Error(err)
		}
	})
	awaitLines(t, r, func(line runtime.Line) bool { return line.Text == "waiting" })
	if err := r.Stop(t.Context(), "a", waitTime); err != nil {
		t.Errorf("stop: %v", err)
	}
	if exit := awaitExit(t, r, "a").Exit; exit.Code != 2 {
		t.Errorf("exit: %+v, want code 2", exit)
	}
}

// TestThreads checks that a running instance keeps one thread of the server, which it
// gives back.
func TestThreads(t *testing.T) {
	// Not with others: they have threads too.
	r, image := openProgram(t, Config{Dir: t.TempDir()})
	const n = 40
	for i := range n {
		if _, err := r.Start(t.Context(), alphaSpec(fmt.Sprint("a", i), image, "wait")); err != nil {
			t.Fatal(err)
		}
	}
	before := threads(t)
	for i := range n {
		if err := r.Stop(t.Context(), fmt.Sprint("a", i), 0); err != nil {
			t.Fatal(err)
		}
	}
	const others = 20 // Go's own, which come and go
	deadline := time.Now().Add(waitTime)
	after := threads(t)
	for ; after > others && time.Now().Before(deadline); after = threads(t) {
		goruntime.Gosched() // a thread ends a little later than what it ran
	}
	if before > n+others || after > others {
		t.Errorf("%d threads with %d instances, and %d without", before, n, after)
	}
}

func threads(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestNoDescriptors checks that a program gets no file of the server's.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	r, image := openProgram(t, Config{Dir: t.TempDir()})
	if _, err := r.Start(t.Context(), alphaSpec("a", image, "pid", "hang")); err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d/fd", awaitPIDs(t, r, 1)[0])
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(target, ":")
		targets = append(targets, kind)
	}
	// Go's own poller may be there as well, and the bounds that it keeps to.
	targets = slices.DeleteFunc(targets, func(s string) bool { return s == "anon_inode" || strings.HasPrefix(s, "/sys/fs/cgroup/") })
	if want := []string{"/dev/null", "pipe", "pipe"}; !slices.Equal(targets, want) {
		t.Errorf("open files: %q, want %q", targets, want)
	}
}

// TestDiskFull checks that a full disk ends and holds up nothing, and is told of
// when there is room again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	images := &runtimetest.Images{}
	image, other := images.Add(runtimetest.ProgramImage(t)), images.Add(runtimetest.ProgramImage(t))
	r := mustOpen(t, Config{Dir: filepath.Join(dir, "data"), OpenImage: images.Open})
	defer r.Close()
	if _, err := r.Start(t.Context(), alphaSpec("a", image, "wait", "count=100000", "wait", "exit=0")); err != nil {
		t.Fatal(err)
	}
	awaitLines(t, r, func(line runtime.Line) bool { return line.Text == "waiting" })
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)

	for what, ref := range map[string]string{"an image": other, "an identity": image} {
		spec := alphaSpec("b", ref, "hang")
		spec.Identity = []byte("token")
		if _, err := r.Start(t.Context(), spec); !errors.Is(err, unix.ENOSPC) || errors.Is(err, runtime.ErrImage) {
			t.Errorf("start without room for %s: got error %v, want %v", what, err, unix.ENOSPC)
		}
	}
	if entries := files(t, filepath.Join(r.engine.dir, "staging")); len(entries) > 0 {
		t.Errorf("staging holds %q", entries)
	}

	current := runOf(t, r, "a")
	terminate := func() {
		if err := unix.Kill(current.process.pid(), unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	terminate() // and it writes what cannot be kept
	awaitLost(t, current.start.Output.Log)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	terminate()
	if exit := awaitExit(t, r, "a").Exit; exit.Code != 0 || exit.Signal != "" {
		t.Errorf("exit: %+v, want code 0", exit)
	}
	kept, lost := 0, 0
	awaitLines(t, r, func(line runtime.Line) bool {
		if line.Stream == runtime.Stdout {
			kept++
		}
		var n int
		if _, err := fmt.Sscanf(line.Text, "%d lines could not be kept: no space left", &n); err == nil {
			lost += n
		}
		return strings.HasPrefix(line.Text, "exited")
	})
	// Beside the count it says that it waits and what it got, twice.
	if want := 100_000 + 4; lost == 0 || kept+lost != want {
		t.Errorf("%d lines were kept and %d are said to be lost, want %d together", kept, lost, want)
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// awaitLost waits until a log has lost a line.
func awaitLost(t *testing.T, l *logfile.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if l.Lost() > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no line was lost")
		}
	}
}
