package embedded

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// cells makes cells of control groups, users and views, as far as the kernel and the
// rights of this process allow.
type cells struct {
	groups    *groups // nil: there are none
	noGroups  string  // why
	users     *users  // nil: instances have the server's
	noUsers   string  // why
	view      *view   // nil: instances see what the server does
	openFiles uint64  // that a process may have; 0: as many as the server
}

// maxFiles bounds the files that a process of an instance has open.
const maxFiles = 65_536

func openCells(c cellsConfig) (*cells, error) {
	keepFiles()
	cs := &cells{}
	var err error
	if cs.groups, err = openGroups(c.id, filepath.Join(c.dir, "groups"), cmp.Or(c.proc, "/proc/self")); err != nil {
		cs.noGroups = err.Error()
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Max > maxFiles {
		cs.openFiles = maxFiles
	}
	if !c.confine {
		cs.noUsers = "the server was told not to confine them"
		return cs, nil
	}
	cs.view = &view{dir: c.dir, private: c.private, cover: coverOf(c.dir), abi: landlockABI(), mounts: true}
	if cs.users, err = openUsers(c.id, filepath.Join(c.dir, "instances"), filepath.Join(c.dir, "staging")); err == nil {
		err = cs.tryView(c.dir)
	}
	if err != nil {
		cs.noUsers = err.Error()
		cs.users, cs.view.mounts = nil, false
	}
	return cs, nil
}

// tryView returns why no instance could have a view of its own.
func (cs *cells) tryView(dir string) error {
	h := home(filepath.Join(dir, "staging", "view"))
	img := &image{dir: filepath.Join(dir, "staging", "view")}
	for _, d := range []string{h.work(), h.tmp(), filepath.Join(img.dir, imageRoot)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	s, err := newStarter(func() error { return cs.view.enter(h, img) })
	if err == nil {
		s.close()
	}
	return errors.Join(err, os.RemoveAll(string(h)))
}

func (cs *cells) open(h home, img *image, bounds runtime.Resources) (*cell, error) {
	c := &cell{cells: cs, leaders: map[int]*process{}}
	if cs.groups != nil {
		var err error
		if c.group, err = cs.groups.open(filepath.Base(string(h))+"."+rand.Text()[:8], bounds); err != nil {
			return nil, fmt.Errorf("make a control group: %w", err)
		}
		c.lacks = c.group.lacks
	} else {
		c.lacks = unmetOf(bounds, cs.noGroups)
	}
	err := c.own(h)
	if err == nil {
		c.starter, err = newStarter(func() error { return c.enter(h, img) })
	}
	if err != nil && c.group != nil {
		err = errors.Join(err, c.group.close())
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// own gives the files of the instance to who its processes belong to.
func (c *cell) own(h home) error {
	if c.cells.users == nil {
		for _, name := range []string{h.work(), h.tmp(), h.identity()} {
			if err := give(name, os.Geteuid()); err != nil {
				return err
			}
		}
		return nil
	}
	uid, err := c.cells.users.of(h)
	if err != nil {
		return err
	}
	c.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)} //nolint:gosec // in range
	return nil
}

func (cs *cells) forget(h home) {
	if cs.users != nil {
		cs.users.forget(h)
	}
}

func (cs *cells) close() error {
	if cs.groups == nil {
		return nil
	}
	return cs.groups.close()
}

func (cs *cells) describe() runtime.Description {
	var d runtime.Description
	say := func(can bool, yes, no, why string) {
		if can {
			d.Can = append(d.Can, yes)
		} else {
			d.Cannot = append(d.Cannot, no+": "+why)
		}
	}
	for _, b := range []struct{ controller, what string }{
		{cpuController, "use of processors"}, {memoryController, "memory"}, {pidsController, "number of processes"},
	} {
		why := cs.noGroups
		if cs.groups != nil {
			why = cs.groups.lacks[b.controller]
		}
		say(why == "", "their "+b.what+" can be bounded", "their "+b.what+" cannot be bounded", why)
	}
	say(cs.users != nil, "each has a user of its own", "they are the same user as the server", cs.noUsers)
	switch {
	case cs.view == nil:
		say(false, "", "they see the files of the server and of each other", cs.noUsers)
	case cs.view.mounts:
		say(true, "they see no files of the server or of each other", "", "")
	default:
		say(cs.view.abi > 0, "they cannot open files of the server or of each other",
			"they can open the files of the server and of each other", "the kernel has no Landlock")
	}
	return d
}

// cell is a control group, a user and a view of one run.
type cell struct {
	cells   *cells
	group   *group // nil: it has none
	lacks   []supervisor.Unmet
	user    *syscall.Credential // nil: the server's
	starter *starter

	mu      sync.Mutex
	leaders map[int]*process // what was started from here, by their numbers
}

func (c *cell) start(p program) (*process, error) {
	p.attr = c.attr
	c.mu.Lock() // nobody takes it for an orphan
	defer c.mu.Unlock()
	maps.DeleteFunc(c.leaders, func(_ int, p *process) bool { return !p.running() })
	started, err := c.starter.start(p)
	if err != nil {
		return nil, err
	}
	c.leaders[started.pid()] = started
	c.mark(started.pid())
	return started, nil
}

// enter has the starter's thread enter the cell.
func (c *cell) enter(h home, img *image) error {
	if c.group != nil {
		if err := c.group.enter(); err != nil {
			return err
		}
	}
	if c.cells.view == nil {
		return nil
	}
	return c.cells.view.enter(h, img)
}

// attr adds to what a process is started with what it does not have from its thread.
func (c *cell) attr(attr *syscall.SysProcAttr) {
	attr.Credential = c.user
	if c.group != nil {
		c.group.attach(attr)
	}
}

// mark sets what a process cannot be started with. That it may have run for a moment
// is of no consequence.
func (c *cell) mark(pid int) {
	// When the machine has no more memory, the kernel takes an instance's and not the
	// server's.
	_ = os.WriteFile(filepath.Join(sweep.Dir(pid), "oom_score_adj"), []byte("500"), 0)
	if c.cells.openFiles > 0 {
		_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: c.cells.openFiles, Max: c.cells.openFiles}, nil)
	}
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil) // a core would hold its secrets
}

func (c *cell) unmet() []supervisor.Unmet { return c.lacks }

func (c *cell) memoryKills() int64 {
	if c.group == nil || c.group.dirs[memoryController] == "" {
		return supervisor.MemoryKills()
	}
	return c.group.memoryKills()
}

func (c *cell) usage() (usage, bool) {
	if c.group == nil {
		return usage{}, false
	}
	return c.group.usage()
}

// kill ends all that is in the group. Where the orphans of instances fall to this
// process, it cannot know of those that have ended already.
func (c *cell) kill() (bool, error) {
	if c.group == nil {
		return false, nil
	}
	seen, err := c.group.kill()
	for _, pid := range seen {
		c.bury(pid)
	}
	return !isReaper(), err
}

// isReaper reports whether this process is the parent of those that have lost theirs, as
// the first one of a container is.
func isReaper() bool {
	var reaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&reaper)), 0, 0, 0)
	return os.Getpid() == 1 || err == nil && reaper != 0
}

// bury takes notice of the end of a process if that has fallen to this one, as it does
// to the first process of a container. What was started from here is waited for.
func (c *cell) bury(pid int) {
	c.mu.Lock()
	leader := c.leaders[pid] != nil && c.leaders[pid].running()
	c.mu.Unlock()
	if s, ok := sweep.ReadStatus(pid); ok && !leader && s.Ended && s.Parent == os.Getpid() {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // nobody asks how it ended
	}
}

func (c *cell) close() error {
	c.starter.close()
	if c.group == nil {
		return nil
	}
	return c.group.close()
}
