package embedded

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Users of instances are taken from numbers that no system gives to people, services,
// or containers. Each runtime has a block of them, so that two on one machine do not
// share any, but by a chance of one in userBlocks.
const (
	firstUser  = 2_100_000_000
	userBlocks = 4_000
	blockUsers = 10_000
)

// users gives each instance a user of its own, which is also its group. Who owns an
// instance's files is how a user is known again. Safe for concurrent use.
type users struct {
	first int

	mu   sync.Mutex
	used map[int]bool
}

// openUsers returns the users of a runtime. It is an error when this process may not
// become them: probe is a directory to try it in.
func openUsers(id, instances, probe string) (*users, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	u := &users{first: firstUser + int(h.Sum32()%userBlocks)*blockUsers, used: map[int]bool{}}
	if !has(unix.CAP_SETUID) || !has(unix.CAP_SETGID) || !has(unix.CAP_KILL) || !has(unix.CAP_SYS_ADMIN) {
		return nil, errors.New("only a server with all rights of root can give them users of their own")
	}
	dir, err := os.MkdirTemp(probe, "user-")
	if err != nil {
		return nil, err
	}
	err = os.Lchown(dir, u.first, u.first)
	if err = errors.Join(err, os.Remove(dir)); err != nil {
		return nil, fmt.Errorf("they cannot have users of their own: %w", err)
	}
	err = folders(instances, func(name string) error {
		if uid, ok := owner(home(filepath.Join(instances, name)).work()); ok && u.has(uid) {
			u.used[uid] = true
		}
		return nil
	})
	return u, err
}

func (u *users) has(uid int) bool { return uid >= u.first && uid < u.first+blockUsers }

// of returns the user of an instance, whose files belong to it afterwards.
func (u *users) of(h home) (int, error) {
	uid, ok := owner(h.work())
	if !ok || !u.has(uid) {
		if uid, ok = u.take(); !ok {
			return 0, fmt.Errorf("all %d users of this server are in use", blockUsers)
		}
	}
	if err := os.Chmod(string(h), 0o711); err != nil { //nolint:gosec // to go through, not to read
		return 0, err
	}
	for _, name := range []string{h.work(), h.tmp(), h.identity()} {
		if err := give(name, uid); err != nil {
			return 0, err
		}
	}
	return uid, nil
}

func (u *users) take() (int, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for uid := u.first; uid < u.first+blockUsers; uid++ {
		if !u.used[uid] {
			u.used[uid] = true
			return uid, true
		}
	}
	return 0, false
}

// forget takes the user of an instance back.
func (u *users) forget(h home) {
	if uid, ok := owner(h.work()); ok {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.used, uid)
	}
}

// owner returns who a file belongs to.
func owner(name string) (int, bool) {
	info, err := os.Lstat(name)
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// give makes a file, or a folder with all that is in it, belong to a user. One that
// does already is left alone.
func give(name string, uid int) error {
	if is, ok := owner(name); ok && is == uid {
		return nil
	}
	return filepath.WalkDir(name, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, uid, uid)
	})
}

// has reports whether this process has a capability.
func has(capability int) bool {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		var set uint64
		if _, err := fmt.Sscanf(line, "CapEff: %x", &set); err == nil {
			return set&(1<<capability) != 0
		}
	}
	return false
}

// folders calls do with the name of each folder in dir.
func folders(dir string, do func(name string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := do(e.Name()); err != nil {
			return err
		}
	}
	return nil
}
