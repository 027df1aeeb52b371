package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/backend/runtime"
)

// groups are the control groups of a runtime: one for all that it runs, with one for
// each cell below it.
type groups struct {
	hierarchy
	dirs map[string]string // the runtime's group, of each controller that can be used
	// lacks says why bounds are not held, by their controllers.
	lacks map[string]string
}

// defaultProcesses bounds the processes of an instance that has no bound of its own:
// what no service needs, and no machine minds.
const defaultProcesses = 4096

// period is the time in which an instance may use its share of processors, in
// microseconds.
const period = 100_000

// openGroups makes the group of a runtime. Before, it ends what runs in those that are
// on record: they are another server's, which was killed.
func openGroups(id, record, proc string) (*groups, error) {
	name := "micro-" + strings.ToLower(id)
	if err := endRecorded(name, record); err != nil {
		return nil, err
	}
	h, err := findHierarchy(proc)
	if err != nil {
		return nil, err
	}
	g := &groups{hierarchy: h, dirs: map[string]string{}, lacks: map[string]string{}}
	dirs := map[string]string{}
	for c, base := range h.bases {
		dirs[c] = filepath.Join(base, name)
	}
	if err := writeRecord(record, dirs); err != nil {
		return nil, err
	}
	if h.version == 2 {
		err = g.make2(dirs[""])
	} else {
		err = g.make1(dirs)
	}
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// make1 makes the groups in the trees of version 1, where it may.
func (g *groups) make1(dirs map[string]string) error {
	var err error
	for _, c := range []string{cpuController, cpuacct, memoryController, pidsController} {
		dir, ok := dirs[c]
		if !ok {
			g.lacks[c] = fmt.Sprintf("the control groups of this machine have no controller %q", c)
			continue
		}
		mkErr := os.Mkdir(dir, 0o755)
		if mkErr != nil && !errors.Is(mkErr, fs.ErrExist) {
			g.lacks[c] = mkErr.Error()
			err = mkErr
			continue
		}
		g.dirs[c] = dir
	}
	if len(g.dirs) == 0 {
		return err
	}
	return nil
}

// make2 makes the group in the tree of version 2, and has it hand on the controllers
// that there are.
func (g *groups) make2(dir string) error {
	if g.leaf != "" {
		if err := os.Mkdir(g.leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := writeValue(g.leaf, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	g.dirs[""] = dir
	for _, c := range []string{cpuController, memoryController, pidsController} {
		err := writeValue(filepath.Dir(dir), "cgroup.subtree_control", "+"+c)
		if err == nil {
			err = writeValue(dir, "cgroup.subtree_control", "+"+c)
		}
		if err != nil {
			g.lacks[c] = err.Error()
			continue
		}
		g.dirs[c] = dir
	}
	return nil
}

// paths returns the directories of the runtime's group, each once.
func (g *groups) paths() []string {
	return slices.Compact(slices.Sorted(maps.Values(g.dirs)))
}

// open makes a group.
func (g *groups) open(name string, b runtime.Resources) (*group, error) {
	in := &group{groups: g, dirs: map[string]string{}}
	for c, dir := range g.dirs {
		in.dirs[c] = filepath.Join(dir, name)
	}
	for _, dir := range in.paths() {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, errors.Join(err, in.close())
		}
	}
	if dir, ok := in.dirs[""]; ok {
		var err error
		if in.dir, err = os.Open(dir); err != nil {
			return nil, errors.Join(err, in.close())
		}
	}
	in.bound(b)
	return in, nil
}

// close ends what is left in the group and removes it.
func (g *groups) close() error {
	var err error
	for _, dir := range g.paths() {
		err = errors.Join(err, removeGroup(dir))
	}
	return err
}

// The record of a runtime's groups is a file with the path of each: the next server
// may be in other ones.
func writeRecord(record string, dirs map[string]string) error {
	lines := slices.Compact(slices.Sorted(maps.Values(dirs)))
	return os.WriteFile(record, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// endRecorded ends what runs in the groups on record and removes them.
func endRecorded(name, record string) error {
	text, err := os.ReadFile(record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		dir := strings.TrimSuffix(line, "\n")
		if filepath.Base(dir) != name || !filepath.IsAbs(dir) {
			continue // half a line
		}
		err = errors.Join(err, removeGroup(dir))
	}
	return errors.Join(err, os.Remove(record))
}

// writeValue writes to a file of a group, which the kernel has made.
func writeValue(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// readValue returns the number in a file of a group, or after a word in it when key is
// not empty; false when there is none.
func readValue(dir, file, key string) (int64, bool) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if key != "" && (len(fields) != 2 || fields[0] != key) || len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		return n, err == nil
	}
	return 0, false
}
