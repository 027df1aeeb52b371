package embedded

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The controllers that hold bounds, and the one that counts the use of processors
// where that is one of its own.
const (
	cpuController    = "cpu"
	cpuacct          = "cpuacct"
	memoryController = "memory"
	pidsController   = "pids"
)

// hierarchy is where control groups can be made for instances.
//
// Version 1 of control groups has a tree for each controller, and a group below that
// of this process in each of them. Version 2 has one tree, in which a group with
// processes has no groups with controllers below it; so there the place is the root
// of the tree, or the group of this process when it is its own alone, and the process
// has to move into a group of its own below it.
type hierarchy struct {
	version int
	// bases are the directories to make groups in, of each controller; of version 2
	// all are the one of "".
	bases map[string]string
	// leaf is where this process moves to; empty: it stays.
	leaf string
}

// findHierarchy reads from proc, a directory such as /proc/self, where control groups
// are and where this process is among them.
func findHierarchy(proc string) (hierarchy, error) {
	text, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil {
		return hierarchy{}, err
	}
	own := parseMembership(text)
	if text, err = os.ReadFile(filepath.Join(proc, "mountinfo")); err != nil {
		return hierarchy{}, err
	}
	mounts := parseGroupMounts(text)
	if _, ok := own[memoryController]; ok {
		return hierarchy1(own, mounts)
	}
	return hierarchy2(own, mounts)
}

// parseMembership returns the paths of the groups of a process by the controllers of
// their trees; that of version 2 has "".
func parseMembership(text []byte) map[string]string {
	own := map[string]string{}
	for line := range bytes.Lines(text) {
		// ID:CONTROLLER,…:PATH
		parts := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			own[controller] = parts[2]
		}
	}
	return own
}

// groupMount is a tree of control groups that is mounted.
type groupMount struct {
	dir         string
	root        string   // the group that dir is
	controllers []string // of version 1; nil: it is of version 2
}

func parseGroupMounts(text []byte) []groupMount {
	var mounts []groupMount
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// ID PARENT DEVICE ROOT DIR OPTIONS [FIELD…] - TYPE SOURCE OPTIONS
		before, after, ok := strings.Cut(lines.Text(), " - ")
		place, what := strings.Fields(before), strings.Fields(after)
		if !ok || len(place) < 5 || len(what) < 3 {
			continue
		}
		m := groupMount{dir: unescape(place[4]), root: unescape(place[3])}
		switch what[0] {
		case "cgroup":
			m.controllers = strings.Split(what[2], ",")
		case "cgroup2":
		default:
			continue
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescape gives back the characters that mountinfo has as \ and three octal digits.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// of returns the directory of a group; a path that the mount does not show is the
// mount's own, as in a container.
func (m groupMount) of(path string) string {
	if rel, err := filepath.Rel(m.root, path); err == nil && filepath.IsLocal(rel) {
		return filepath.Join(m.dir, rel)
	}
	return m.dir
}

func hierarchy1(own map[string]string, mounts []groupMount) (hierarchy, error) {
	h := hierarchy{version: 1, bases: map[string]string{}}
	for _, c := range []string{cpuController, cpuacct, memoryController, pidsController} {
		i := slices.IndexFunc(mounts, func(m groupMount) bool { return slices.Contains(m.controllers, c) })
		if path, ok := own[c]; ok && i >= 0 {
			h.bases[c] = mounts[i].of(path)
		}
	}
	if len(h.bases) == 0 {
		return hierarchy{}, errors.New("no tree of control groups is mounted")
	}
	return h, nil
}

func hierarchy2(own map[string]string, mounts []groupMount) (hierarchy, error) {
	path, ok := own[""]
	i := slices.IndexFunc(mounts, func(m groupMount) bool { return m.controllers == nil })
	if !ok || i < 0 {
		return hierarchy{}, errors.New("no tree of control groups is mounted")
	}
	dir, top := mounts[i].of(path), mounts[i].dir
	h := hierarchy{version: 2}
	switch {
	case delegated(dir), !isTop(top) && alone(dir):
		h.bases, h.leaf = map[string]string{"": dir}, filepath.Join(dir, "micro-server")
	case isTop(top) && unix.Access(top, unix.W_OK) == nil:
		h.bases = map[string]string{"": top}
	case alone(dir):
		h.bases, h.leaf = map[string]string{"": dir}, filepath.Join(dir, "micro-server")
	default:
		return hierarchy{}, fmt.Errorf("the control group %s of this server holds other programs too (systemd-run --user --scope -p Delegate=yes micro server gives it one of its own)", path)
	}
	return h, nil
}

// delegated reports whether a manager of the machine has left a group to this process.
func delegated(dir string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		value := make([]byte, 1)
		if n, err := unix.Getxattr(dir, name, value); err == nil && n == 1 && value[0] == '1' {
			return unix.Access(filepath.Join(dir, "cgroup.subtree_control"), unix.W_OK) == nil
		}
	}
	return false
}

// isTop reports whether a directory is the root of all groups of the machine.
func isTop(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "cgroup.type"))
	return errors.Is(err, fs.ErrNotExist)
}

// alone reports whether this process may change its group and is the only one in it.
func alone(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	return err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid()) &&
		unix.Access(filepath.Join(dir, "cgroup.subtree_control"), unix.W_OK) == nil
}
