package embedded

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/runtimetest"
)

// unifiedTree returns the tree of version 2 that this machine has, or skips the test. It
// may have no controllers.
func unifiedTree(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range parseGroupMounts(text) {
		if m.controllers == nil && isTop(m.dir) && unix.Access(m.dir, unix.W_OK) == nil {
			return m.dir
		}
	}
	t.Skip("no control groups of version 2 can be made here")
	return ""
}

// TestUnified runs what is about processes with control groups of version 2, whatever
// the machine uses for itself.
func TestUnified(t *testing.T) {
	t.Parallel()
	dir := unifiedTree(t)
	proc := procWith(t, "0::/\n", "30 23 0:26 / "+dir+" rw - cgroup2 cgroup2 rw\n")
	t.Run("suite", func(t *testing.T) {
		t.Parallel()
		runtimetest.Test(t, func(t *testing.T, dir string, images runtime.OpenImage) runtime.Runtime {
			t.Helper()
			return mustOpen(t, Config{Dir: dir, OpenImage: images, proc: proc})
		})
	})
	t.Run("left behind", func(t *testing.T) {
		t.Parallel()
		checkLeftGroups(t, proc)
	})
	t.Run("escaped", func(t *testing.T) {
		t.Parallel()
		checkEscaped(t, Config{Dir: t.TempDir(), proc: proc})
	})
}

// checkLeftGroups checks that a runtime ends what runs in the groups of one before, and
// nothing else that its record names.
func checkLeftGroups(t *testing.T, proc string) {
	t.Helper()
	dir := t.TempDir()
	r := mustOpen(t, Config{Dir: dir, OpenImage: noImages, proc: proc})
	if r.engine.cells.groups == nil {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		t.Skip(r.engine.cells.noGroups)
	}
	paths := r.engine.cells.groups.paths()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there after close", path)
		}
	}
	// As a killed server leaves them, with a process that has nothing of an instance.
	stranger := filepath.Join(filepath.Dir(paths[0]), fmt.Sprintf("micro-test-%d", os.Getpid()))
	for _, path := range append(slices.Clone(paths), stranger) {
		if err := os.MkdirAll(filepath.Join(path, "a.X"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := removeGroup(stranger); err != nil {
			t.Error(err)
		}
	})
	left := startIn(t, filepath.Join(paths[0], "a.X"))
	other := startIn(t, filepath.Join(stranger, "a.X"))
	if err := os.WriteFile(filepath.Join(dir, "groups"), []byte(strings.Join(paths, "\n")+"\n"+stranger+"\nrelative\n"+filepath.Dir(paths[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	r = mustOpen(t, Config{Dir: dir, OpenImage: noImages, proc: proc})
	defer r.Close()
	if alive(left.Process.Pid) {
		t.Errorf("what ran in the group is still there")
	}
	if !alive(other.Process.Pid) {
		t.Errorf("what ran in a group of somebody else was ended")
	}
}

// startIn starts a program in a control group; it ends with the test.
func startIn(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed when the context ended
	if err := writeValue(dir, "cgroup.procs", strconv.Itoa(cmd.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestLeftGroups(t *testing.T) {
	t.Parallel()
	checkLeftGroups(t, "")
}

// TestEscapedFromAll checks that a control group finds what nothing else would.
func TestEscapedFromAll(t *testing.T) {
	t.Parallel()
	checkEscaped(t, Config{Dir: t.TempDir()})
}

// checkEscaped checks that a process with a session and an environment of its own ends
// with its instance where there are control groups.
func checkEscaped(t *testing.T, c Config) {
	t.Helper()
	r, image := openProgram(t, c)
	if r.engine.cells.groups == nil {
		t.Skip(r.engine.cells.noGroups)
	}
	if _, err := r.Start(t.Context(), alphaSpec("a", image, "bare=session;ignore;pid;hang", "wait", "exit=2")); err != nil {
		t.Fatal(err)
	}
	pid := awaitPIDs(t, r, 1)[0]
	awaitLines(t, r, func(line runtime.Line) bool { return line.Text == "waiting" })
	if err := r.Stop(t.Context(), "a", waitTime); err != nil {
		t.Errorf("stop: %v", err)
	}
	if alive(pid) {
		t.Errorf("process %d is still there", pid)
	}
}

// TestNoGroups checks that who asks for bounds that cannot be had is told.
func TestNoGroups(t *testing.T) {
	t.Parallel()
	r, image := openProgram(t, Config{Dir: t.TempDir(), proc: procWith(t, "", "")})
	spec := alphaSpec("a", image, "out=runs")
	spec.Resources = runtime.Resources{CPU: 1500, Memory: 64 << 20, Processes: 7}
	in, err := r.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if in.Unmet != spec.Resources {
		t.Errorf("not held is %+v, want %+v", in.Unmet, spec.Resources)
	}
	awaitExit(t, r, "a")
	var said []string
	for line, err := range r.Logs(t.Context(), runtime.LogQuery{Namespace: "micro", Service: "alpha"}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line.Text, "not bounded") {
			said = append(said, line.Text)
		}
	}
	want := []string{
		"its use of processors is not bounded to 1.5: no tree of control groups is mounted",
		"its memory is not bounded to 67108864 bytes: no tree of control groups is mounted",
		"its processes are not bounded to 7: no tree of control groups is mounted",
	}
	if !slices.Equal(said, want) {
		t.Errorf("the log says %q, want %q", said, want)
	}
	if d := strings.Join(r.Describe().Cannot, "; "); strings.Count(d, "no tree of control groups") != 3 {
		t.Errorf("it cannot: %s", d)
	}
}

// outputs runs an instance to its end and returns what it wrote.
func outputs(t *testing.T, r *Runtime, spec runtime.Spec) []string {
	t.Helper()
	if _, err := r.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	awaitExit(t, r, spec.ID)
	var texts []string
	for line, err := range r.Logs(t.Context(), runtime.LogQuery{Namespace: spec.Namespace, Service: spec.Service, Instance: spec.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Stream != runtime.System {
			texts = append(texts, line.Text)
		}
	}
	return texts
}

// TestConfined checks what an instance can read and do: its own, and what the machine
// shows to everybody.
func TestConfined(t *testing.T) {
	t.Parallel()
	if landlockABI() == 0 && os.Geteuid() != 0 {
		t.Skip("nothing confines anybody here")
	}
	for _, confined := range []bool{true, false} {
		t.Run(strconv.FormatBool(confined), func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			key := filepath.Join(data, "master.key")
			if err := os.WriteFile(key, []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			r, image := openProgram(t, Config{Dir: filepath.Join(data, "runtime"), Private: data, Unconfined: !confined})
			other := alphaSpec("other", image, "write=secret", "wait")
			other.Identity = []byte("token")
			if _, err := r.Start(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			awaitLines(t, r, func(line runtime.Line) bool { return line.Text == "waiting" })
			theirs, their := runOf(t, r, "other"), homeOf(r, "other")
			leader := theirs.process.pid()
			environ := fmt.Sprintf("/proc/%d/environ", leader)
			server := fmt.Sprintf("/proc/%d/environ", os.Getpid())
			own := filepath.Join(r.engine.dir, "instances", "a", "work", "x")
			program := filepath.Join(unpackedDir(theirs), imageRoot, "app", "program.exe")
			secrets := []string{key, filepath.Join(their.work(), "secret"), their.identity(), filepath.Join(string(their), "state.json"), filepath.Join(data, "runtime", "logs", "micro", "alpha", "other", "00000001.log"), environ, server}
			var args []string
			for _, name := range slices.Concat(secrets, []string{"/etc/hosts", program}) {
				args = append(args, "read="+name)
			}
			args = append(args, "write="+own, "read="+own, "write="+key, "write="+program, "signal="+strconv.Itoa(leader), "signal="+strconv.Itoa(os.Getpid()))
			may := map[bool]string{true: " no", false: " yes"}[confined]
			var want []string
			for _, name := range secrets {
				want = append(want, "read "+name+may)
			}
			want = append(want, "read /etc/hosts yes", "read "+program+" yes", "write "+own+" yes", "read "+own+" yes", "write "+key+may, "write "+program+" no", "signal"+may, "signal"+may)
			if confined && r.engine.cells.users == nil && landlockABI() < 6 {
				want[len(want)-1], want[len(want)-2] = "signal yes", "signal yes"
			}
			if !confined {
				// It is in use, and that is all that keeps it from being written to.
				want[len(want)-3] = "write " + program + " no"
			}
			got := outputs(t, r, alphaSpec("a", image, args...))
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// TestUsers checks that each instance has a user of its own, which is the same from
// start to start, and that is free when the instance is removed.
func TestUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, image := openProgram(t, Config{Dir: dir})
	if r.engine.cells.users == nil {
		t.Skip(r.engine.cells.noUsers)
	}
	first := outputs(t, r, alphaSpec("a", image, "user", "write=kept"))
	second := outputs(t, r, alphaSpec("b", image, "user"))
	uid := strconv.Itoa(r.engine.cells.users.first)
	if first[0] != "user "+uid+" "+uid {
		t.Errorf("the first is %q, want user and group %s", first[0], uid)
	}
	if second[0] == first[0] || second[0] == "user 0 0" {
		t.Errorf("the second is %q like the first, or root", second[0])
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	images := &runtimetest.Images{}
	image = images.Add(runtimetest.ProgramImage(t))
	r = mustOpen(t, Config{Dir: dir, OpenImage: images.Open})
	again := outputs(t, r, alphaSpec("a", image, "user", "read=kept"))
	if !slices.Contains(again[2:], first[0]) || !slices.Contains(again, "read kept yes") {
		t.Errorf("after a restart: %q", again)
	}
	if third := outputs(t, r, alphaSpec("c", image, "user")); third[0] == first[0] || third[0] == second[0] {
		t.Errorf("a new one is %q, as one that is there", third[0])
	}
	if err := r.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if next := outputs(t, r, alphaSpec("d", image, "user")); next[0] != first[0] {
		t.Errorf("a new one is %q, want the user that is free: %q", next[0], first[0])
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	// A server that confines nobody takes the files back.
	r = mustOpen(t, Config{Dir: dir, OpenImage: images.Open, Unconfined: true})
	defer r.Close()
	if got := outputs(t, r, alphaSpec("b", image, "user", "write=mine")); got[len(got)-1] != "write mine yes" || got[len(got)-2] != "user 0 0" {
		t.Errorf("not confined: %q", got)
	}
}

// TestAsUser runs the suite as somebody who has no rights.
func TestAsUser(t *testing.T) {
	const variable = "MICRO_TEST_AS_USER"
	if os.Getenv(variable) != "" {
		t.Skip("it is what this test runs")
	}
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("the other tests do it")
	}
	const uid = 1_234_567
	dir, err := os.MkdirTemp("/tmp", "micro-as-user-") //nolint:usetesting // others have to get into it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	program := filepath.Join(dir, "program")
	text, err := runtimetest.Program()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	for _, name := range []string{dir, program} {
		if err := os.Chown(name, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^(TestRuntime|TestConfined|TestFamilyEnds|TestNoGroups)$", "-test.v")
	cmd.Env = []string{variable + "=1", "MICRO_TEST_PROGRAM=" + program, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	for _, name := range []string{"TestConfined/true", "TestRuntime/exec/success", "TestFamilyEnds"} {
		if !strings.Contains(string(out), "--- PASS: "+name) {
			t.Errorf("%s has not run:\n%s", name, out)
		}
	}
}

// TestAll checks that nothing is missing where everything is to be tested.
func TestAll(t *testing.T) {
	t.Parallel()
	r := mustOpen(t, Config{Dir: t.TempDir(), OpenImage: noImages})
	defer r.Close()
	if missing := r.Describe().Cannot; len(missing) > 0 && os.Getenv("MICRO_TEST_ALL") != "" {
		t.Errorf("it cannot: %q", missing)
	}
}
