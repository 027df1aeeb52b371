package cli

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/micro/micro/v3/image"
)

// quietTime is how long nothing may change until what has changed is taken to be
// whole: editors write in steps, and git many files.
const quietTime = 60 * time.Millisecond

// sourceWatch tells when a source has changed. All folders of the source are watched
// but those that are ignored, and the folders of the packages elsewhere that it needs.
type sourceWatch struct {
	dir    string // absolute, without symbolic links
	ignore *image.Ignore
	fs     *fsnotify.Watcher
	// gen makes code of the .proto files when one has changed, in the folder of the
	// source or, where the file is not below that, in the file's module.
	gen func(ctx context.Context, dir string) error

	mu    sync.Mutex
	needs map[string]bool // folders of packages, and of files that are embedded; nil: not known
}

// watchSource begins to watch a folder, and single files elsewhere. The caller closes it.
func watchSource(dir string, files ...string) (*sourceWatch, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, explainWatch(dir, err)
	}
	s := &sourceWatch{dir: dir, ignore: image.NewIgnore(dir), fs: w}
	err = s.addTree(dir)
	for _, f := range files {
		// Editors replace files, so it is the folder that is watched.
		err = errors.Join(err, w.Add(filepath.Dir(f)))
	}
	if err != nil {
		return nil, errors.Join(explainWatch(dir, err), w.Close())
	}
	return s, nil
}

func (s *sourceWatch) close() { _ = s.fs.Close() } // it was only read

// addTree watches a folder of the source and all in it.
func (s *sourceWatch) addTree(dir string) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile
			return nil
		case err != nil:
			return err
		case !e.IsDir():
			return nil
		case s.ignored(name, true):
			return filepath.SkipDir
		}
		return s.fs.Add(name)
	})
}

// addLater is addTree while changes are told of. What cannot be watched may be gone again,
// so only that there are too many is an error.
func (s *sourceWatch) addLater(dir string) error {
	err := s.addTree(dir)
	if isWatchLimit(err) {
		return explainWatch(s.dir, err)
	}
	return nil
}

// isWatchLimit reports whether no more can be watched.
func isWatchLimit(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE)
}

// explainWatch turns an error of watching a source into what a person is told. On Linux
// there are limits for a user, elsewhere each file that is watched is an open one.
func explainWatch(dir string, err error) error {
	if !isWatchLimit(err) {
		return err
	}
	e := &Error{Message: "watch " + dir + ": the system watches no more files for this user", Hint: "ulimit -n 65536", Exit: ExitError}
	switch {
	case runtime.GOOS != "linux":
	case errors.Is(err, syscall.ENOSPC):
		e.Hint = "sudo sysctl fs.inotify.max_user_watches=1048576"
	default:
		e.Hint = "sudo sysctl fs.inotify.max_user_instances=1024"
	}
	return e
}

// ignored reports whether a file or folder of the source does not count.
func (s *sourceWatch) ignored(name string, isDir bool) bool {
	rel, err := filepath.Rel(s.dir, name)
	if err != nil || rel == "." || !isBelow(s.dir, name) {
		return false
	}
	return s.ignore.Match(filepath.ToSlash(rel), isDir)
}

// run sends to changed after each burst of changes, until ctx ends; what is not received
// yet is not sent twice. What gen or the watch fails with goes to report.
func (s *sourceWatch) run(ctx context.Context, changed chan<- struct{}, report func(error)) {
	quiet := time.NewTimer(0)
	<-quiet.C
	protos := map[string]bool{} // where to make code
	for {
		select {
		case e, ok := <-s.fs.Events:
			if !ok {
				return
			}
			counts, err := s.counts(e)
			if err != nil {
				report(err)
			}
			if counts {
				if filepath.Ext(e.Name) == ".proto" {
					protos[s.protoDir(e.Name)] = true
				}
				quiet.Reset(quietTime)
			}
		case err, ok := <-s.fs.Errors:
			if !ok {
				return
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				report(err)
			}
			quiet.Reset(quietTime) // what was missed may count
		case <-quiet.C:
			if len(protos) > 0 {
				if err := s.genAll(ctx, protos); err != nil {
					report(err)
					continue
				}
				clear(protos)
				quiet.Reset(quietTime) // what was made changes, too
				continue
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		case <-ctx.Done():
			return
		}
	}
}

// genAll makes code of the .proto files of some folders.
func (s *sourceWatch) genAll(ctx context.Context, dirs map[string]bool) error {
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if err := s.gen(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}

// protoDir returns where to make code of a .proto file: files import others of the same
// module, so elsewhere that is where the module begins.
func (s *sourceWatch) protoDir(name string) string {
	if isBelow(s.dir, name) {
		return s.dir
	}
	for dir := filepath.Dir(name); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return filepath.Dir(name)
		}
	}
}

// isBelow reports whether a file or folder is in a folder, or it.
func isBelow(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// counts reports whether a change may make another program, and watches new folders. An
// error says that there are too many.
func (s *sourceWatch) counts(e fsnotify.Event) (bool, error) {
	if !e.Has(fsnotify.Create) && !e.Has(fsnotify.Write) && !e.Has(fsnotify.Remove) && !e.Has(fsnotify.Rename) {
		return false, nil
	}
	isDir := false
	if e.Has(fsnotify.Create) {
		info, err := os.Stat(e.Name)
		isDir = err == nil && info.IsDir()
	}
	if s.ignored(e.Name, isDir) {
		return false, nil
	}
	if isDir {
		return true, s.addLater(e.Name)
	}
	dir, base := filepath.Split(e.Name)
	s.mu.Lock()
	needs := s.needs
	s.mu.Unlock()
	needed := needs == nil || needs[filepath.Clean(dir)]
	switch {
	case base == ".gitignore" || base == ".microignore":
		if isBelow(s.dir, e.Name) {
			s.ignore = image.NewIgnore(s.dir) // which has the rules as they are now
			return true, s.addLater(s.dir)    // what was ignored may be not any more
		}
		return true, nil
	case base == "go.mod" || base == "go.sum" || base == "go.work" || base == manifestName || strings.HasPrefix(base, "Dockerfile"):
		return true, nil
	case strings.HasPrefix(base, ".") || strings.HasSuffix(base, "~") || strings.HasSuffix(base, "_test.go"):
		return false, nil
	case filepath.Ext(base) == ".proto", filepath.Ext(base) == ".yaml":
		return true, nil
	case slices.Contains([]string{".go", ".s", ".S", ".c", ".h"}, filepath.Ext(base)):
		return needed, nil
	default: // it counts where files are embedded
		return needs[filepath.Clean(dir)+embedded], nil
	}
}

// embedded marks a folder of which files are embedded, in needs.
const embedded = "\x00"

// know finds out which folders the program is made of, when it has been built. Where
// that cannot be told, every file of the source counts.
func (s *sourceWatch) know(ctx context.Context) {
	const form = `{{if not .Standard}}{{if or (not .Module) .Module.Main .Module.Replace}}{{.Dir}}{{"\n"}}{{$d := .Dir}}{{range .EmbedFiles}}` +
		`{{$d}}/{{.}}{{"\x00\n"}}{{end}}{{end}}{{end}}`
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", form, ".")
	cmd.Dir = s.dir
	out, err := cmd.Output()
	var needs map[string]bool
	if err == nil {
		needs = map[string]bool{}
		for line := range strings.Lines(string(out)) {
			line = strings.TrimSuffix(line, "\n")
			if file, ok := strings.CutSuffix(line, embedded); ok {
				needs[filepath.Dir(file)+embedded] = true
				continue
			}
			needs[line] = true
			if !isBelow(s.dir, line) {
				_ = s.fs.Add(line) // when it cannot be watched, it is built at the next change
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.needs = needs
}

// forget has every file of the source count, because what is built next may need others.
func (s *sourceWatch) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.needs = nil
}
