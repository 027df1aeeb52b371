package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// group is the control group of a cell.
type group struct {
	groups *groups
	dirs   map[string]string // of each controller; of version 2 also of ""
	dir    *os.File          // of version 2: the directory
	lacks  []supervisor.Unmet
}

func (g *group) paths() []string { return slices.Compact(slices.Sorted(maps.Values(g.dirs))) }

// bound sets the bounds of the group, and notes which are not held.
func (g *group) bound(b runtime.Resources) {
	processes := b.Processes
	if processes == 0 {
		processes = defaultProcesses
	}
	g.set(runtime.Resources{Processes: b.Processes}, pidsController, "pids.max", strconv.FormatInt(processes, 10))
	unified := g.groups.version == 2
	if b.CPU > 0 {
		quota := strconv.FormatInt(b.CPU*period/1000, 10)
		if unified {
			g.set(runtime.Resources{CPU: b.CPU}, cpuController, "cpu.max", quota+" "+strconv.Itoa(period))
		} else {
			g.try(cpuController, "cpu.cfs_period_us", strconv.Itoa(period))
			g.set(runtime.Resources{CPU: b.CPU}, cpuController, "cpu.cfs_quota_us", quota)
		}
	}
	if unified {
		g.try(memoryController, "memory.oom.group", "1")
	}
	if b.Memory == 0 {
		return
	}
	limit := strconv.FormatInt(b.Memory, 10)
	if unified {
		g.set(runtime.Resources{Memory: b.Memory}, memoryController, "memory.max", limit)
		g.try(memoryController, "memory.swap.max", "0")
	} else {
		g.set(runtime.Resources{Memory: b.Memory}, memoryController, "memory.limit_in_bytes", limit)
		g.try(memoryController, "memory.memsw.limit_in_bytes", limit)
	}
}

// try sets what a machine may not have, such as bounds of its swap.
func (g *group) try(controller, file, value string) {
	if dir, ok := g.dirs[controller]; ok {
		_ = writeValue(dir, file, value)
	}
}

// set sets the one bound of b, or notes why it is not held.
func (g *group) set(b runtime.Resources, controller, file, value string) {
	reason := g.groups.lacks[controller]
	if dir, ok := g.dirs[controller]; ok {
		err := writeValue(dir, file, value)
		if err == nil {
			return
		}
		reason = err.Error()
	}
	g.lacks = append(g.lacks, unmetOf(b, reason)...)
}

// enter sees to it that what the calling thread starts is in the group. The thread must
// be locked, and stays for as long as it lives: with version 1 it is in the group itself,
// since a child begins where its thread is.
func (g *group) enter() error {
	if g.groups.version == 2 {
		return nil // see attach
	}
	for _, dir := range g.paths() {
		if err := writeValue(dir, "tasks", "0"); err != nil { // 0 is who writes it
			return err
		}
	}
	return nil
}

// attach has the kernel put a new process into the group.
func (g *group) attach(attr *syscall.SysProcAttr) {
	if g.dir != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(g.dir.Fd()) //nolint:gosec // a descriptor
	}
}

// memoryKills returns how many processes of the group were killed for want of memory.
func (g *group) memoryKills() int64 {
	file := "memory.oom_control"
	if g.groups.version == 2 {
		file = "memory.events"
	}
	n, _ := readValue(g.dirs[memoryController], file, "oom_kill")
	return n
}

// usage returns what the group has used. What the kernel can take back at any moment
// does not count as memory.
func (g *group) usage() (usage, bool) {
	var u usage
	var cpu, memory, cache int64
	var ok, counted bool
	if g.groups.version == 2 {
		cpu, ok = readValue(g.dirs[""], "cpu.stat", "usage_usec")
		u.cpu = time.Duration(cpu) * time.Microsecond
		memory, counted = readValue(g.dirs[memoryController], "memory.current", "")
		cache, _ = readValue(g.dirs[memoryController], "memory.stat", "inactive_file")
	} else {
		cpu, ok = readValue(g.dirs[cpuacct], "cpuacct.usage", "")
		u.cpu = time.Duration(cpu)
		memory, counted = readValue(g.dirs[memoryController], "memory.usage_in_bytes", "")
		cache, _ = readValue(g.dirs[memoryController], "memory.stat", "total_inactive_file")
	}
	u.memory = max(memory-cache, 0)
	return u, ok && counted
}

// kill ends all processes of the group, those included that they start meanwhile, and
// returns those that it has seen.
func (g *group) kill() ([]int, error) {
	var seen []int
	var err error
	for _, dir := range g.paths() {
		pids, killErr := killGroup(dir)
		seen, err = append(seen, pids...), errors.Join(err, killErr)
	}
	return seen, err
}

// close ends what is left in the group and removes it.
func (g *group) close() error {
	var err error
	if g.dir != nil {
		err = g.dir.Close()
	}
	for _, dir := range g.paths() {
		err = errors.Join(err, removeGroup(dir))
	}
	return err
}

// removeGroup ends what runs in a group and in those below it, and removes them.
func removeGroup(dir string) error {
	if _, err := killGroup(dir); err != nil {
		return err
	}
	err := folders(dir, func(name string) error { return removeGroup(filepath.Join(dir, name)) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return again(func() (bool, error) {
		err := unix.Rmdir(dir)
		switch {
		case err == nil, errors.Is(err, unix.ENOENT):
			return true, nil
		case errors.Is(err, unix.EBUSY): // a process is about to be gone
			_, err := killGroup(dir)
			return false, err
		default:
			return false, &fs.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	})
}

// killGroup ends all processes of a group, and returns those that it has seen when
// none is left.
func killGroup(dir string) (seen []int, err error) {
	left := members(dir)
	if len(left) == 0 {
		return nil, nil
	}
	_ = writeValue(dir, "pids.max", "0") // where there is such a thing, it can start no more
	err = again(func() (bool, error) {
		seen = append(seen, left...)
		if writeValue(dir, "cgroup.kill", "1") != nil {
			killMembers(dir, left)
		}
		left = members(dir)
		return len(left) == 0, nil
	})
	return seen, err
}

// members returns the processes of a group but this one, a thread of which may be there.
func members(dir string) []int {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for line := range strings.Lines(string(text)) {
		if pid := sweep.Number([]byte(strings.TrimSpace(line))); pid > 0 && pid != os.Getpid() && !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killMembers kills processes that were members of a group, and nobody who has got the
// number of one meanwhile: a handle is of one process for ever, and what is a member
// after all handles are there is what they are of.
func killMembers(dir string, pids []int) {
	handles := map[int]*os.Process{}
	for _, pid := range pids {
		if p, err := os.FindProcess(pid); err == nil {
			handles[pid] = p
		}
	}
	still := members(dir)
	for pid, p := range handles {
		if slices.Contains(still, pid) {
			_ = p.Kill() // it has ended, or the next look finds it again
		}
		_ = p.Release()
	}
}

// again calls do until it reports that it is done, or fails, or takes too long.
func again(do func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), sweep.Time)
	defer cancel()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 100*time.Millisecond) {
		done, err := do()
		if done || err != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("processes do not end although they were killed: %w", ctx.Err())
		}
	}
}
