package embedded

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
)

// procWith returns a directory that tells of control groups as /proc/self does.
func procWith(t *testing.T, membership, mountinfo string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"cgroup": membership, "mountinfo": mountinfo} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// fakeTree returns the root of a tree of version 2 that is none, with files where the
// kernel would have them.
func fakeTree(t *testing.T, groups map[string]map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for group, contents := range groups {
		dir := filepath.Join(top, group)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range contents {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return top
}

func TestFindHierarchy(t *testing.T) {
	t.Parallel()
	own := strconv.Itoa(os.Getpid()) + "\n"
	group := func(procs string) map[string]string {
		return map[string]string{"cgroup.type": "domain\n", "cgroup.procs": procs, "cgroup.subtree_control": ""}
	}
	machine := fakeTree(t, map[string]map[string]string{
		"":                  {"cgroup.procs": "1\n", "cgroup.subtree_control": ""},
		"user.slice/shell":  group("1\n" + own),
		"user.slice/server": group(own),
	})
	container := fakeTree(t, map[string]map[string]string{"": group(own)})
	shared := fakeTree(t, map[string]map[string]string{"": group("1\n" + own)})
	unified := func(dir string) string {
		return "30 23 0:26 / " + dir + " rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	}
	const legacy = `24 1 0:5 / /proc rw - proc proc rw
33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 32 0:30 /docker/abc /sys/fs/cgroup/memory rw master:1 - cgroup cgroup rw,memory
35 32 0:31 / /sys/fs/a\040b rw - cgroup cgroup rw,pids
36 32 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
half a line`
	for _, tt := range []struct {
		name              string
		membership, mount string
		want              hierarchy
		err               string
	}{
		{"nothing", "", "", hierarchy{}, "no tree"},
		{"none of them mounted", "0::/a\n", "24 1 0:5 / /proc rw - proc proc rw\n", hierarchy{}, "no tree"},
		{"version 1", "4:cpu,cpuacct:/a\n3:memory:/docker/abc/b\n2:pids:/\n1:name=systemd:/c\n0::/d\n", legacy, hierarchy{version: 1, bases: map[string]string{
			"cpu": "/sys/fs/cgroup/cpu,cpuacct/a", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/a",
			"memory": "/sys/fs/cgroup/memory/b", "pids": "/sys/fs/a b",
		}}, ""},
		{"version 1, seen from a container", "3:memory:/other/abc\n", legacy, hierarchy{version: 1, bases: map[string]string{"memory": "/sys/fs/cgroup/memory"}}, ""},
		{"version 2, the whole machine's", "0::/user.slice/shell\n", unified(machine), hierarchy{version: 2, bases: map[string]string{"": machine}}, ""},
		{"version 2, alone in a container", "0::/\n", unified(container), hierarchy{
			version: 2, bases: map[string]string{"": container}, leaf: filepath.Join(container, "micro-server"),
		}, ""},
		{"version 2, with others in a container", "0::/\n", unified(shared), hierarchy{}, "holds other programs too"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := findHierarchy(procWith(t, tt.membership, tt.mount))
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || tt.err == "" && err != nil {
				t.Errorf("got error %v, want one with %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(hierarchy{})); diff != "" {
				t.Errorf("hierarchy (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBounds checks what is written for bounds, in a tree that is none.
func TestBounds(t *testing.T) {
	t.Parallel()
	all := runtime.Resources{CPU: 1500, Memory: 64 << 20, Processes: 7}
	for _, tt := range []struct {
		name    string
		version int
		bounds  runtime.Resources
		want    map[string]string
	}{
		{"version 1", 1, all, map[string]string{
			"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000",
			"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "67108864", "pids.max": "7",
		}},
		{"version 2", 2, all, map[string]string{
			"cpu.max": "150000 100000", "memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "7",
		}},
		{"version 1, none asked for", 1, runtime.Resources{}, map[string]string{"pids.max": "4096"}},
		{"version 2, none asked for", 2, runtime.Resources{}, map[string]string{"memory.oom.group": "1", "pids.max": "4096"}},
		{"the smallest", 2, runtime.Resources{CPU: runtime.MinCPU, Memory: runtime.MinMemory}, map[string]string{
			"cpu.max": "1000 100000", "memory.max": "6291456", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "4096",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, name := range []string{
				"cpu.cfs_period_us", "cpu.cfs_quota_us", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
				"cpu.max", "memory.max", "memory.swap.max", "memory.oom.group", "pids.max",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			g := &group{groups: &groups{hierarchy: hierarchy{version: tt.version}}, dirs: map[string]string{"cpu": dir, "memory": dir, "pids": dir}}
			g.bound(tt.bounds)
			if len(g.lacks) > 0 {
				t.Errorf("not held: %+v", g.lacks)
			}
			got := map[string]string{}
			for _, name := range files(t, dir) {
				if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				} else if len(b) > 0 {
					got[name] = string(b)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadGroup checks what is read of a group of each version.
func TestReadGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cpuacct.usage": "1500\n", "memory.usage_in_bytes": "100\n", "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
		"cpu.stat": "usage_usec 7\nuser_usec 3\n", "memory.current": "200\n", "memory.events": "low 0\noom 9\noom_kill 4\noom_group_kill 1\n",
		"memory.stat": "inactive_file 50\ntotal_inactive_file 20\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for version, want := range map[int]struct {
		usage usage
		kills int64
	}{1: {usage{1500, 80}, 3}, 2: {usage{7000, 150}, 4}} {
		g := &group{groups: &groups{hierarchy: hierarchy{version: version}}, dirs: map[string]string{"": dir, "cpuacct": dir, "memory": dir}}
		if got, ok := g.usage(); !ok || got != want.usage {
			t.Errorf("version %d: usage %+v (%t), want %+v", version, got, ok, want.usage)
		}
		if got := g.memoryKills(); got != want.kills {
			t.Errorf("version %d: %d killed for want of memory, want %d", version, got, want.kills)
		}
		empty := &group{groups: g.groups, dirs: map[string]string{}}
		if got, ok := empty.usage(); ok {
			t.Errorf("version %d: usage of nothing is %+v", version, got)
		}
	}
}
