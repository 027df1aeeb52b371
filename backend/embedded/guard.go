package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// retryFull is how long something waits that found no room on the disk.
const retryFull = 100 * time.Millisecond

// guardFS stands between Pebble and the files and decides what a failure means.
//
//	a write or an fsync failed    stops the database: see halt
//	no room, log or manifest      waits for room: Pebble would panic
//	no room, a table              fails after a pause: Pebble makes it again, at once
//	anything else                 is passed on
//
// Reading is not touched, and neither are files in other directories, where copies of
// the database are made: one that fails is no harm. Until allowRemove is called files are not removed but
// noted: when the newest part of the list of tables is damaged, the tables that it
// named look as if nobody needed them.
type guardFS struct {
	vfs.FS
	dir   string // cleaned
	halt  *halt
	space *space

	mu      sync.Mutex
	allowed bool
	noted   []string
}

// Unwrap makes Pebble find what is below.
func (g *guardFS) Unwrap() vfs.FS { return g.FS }

// ours reports whether a name is one in the directory of the database.
func (g *guardFS) ours(name string) bool { return g.PathDir(name) == g.dir }

// clean returns the name of a directory as that of a file in it begins.
func clean(fs vfs.FS, dir string) string { return fs.PathDir(fs.PathJoin(dir, "x")) }

// Create makes a file. Before a marker says which list of tables is the current
// one, that list has a durable name: Pebble makes both names durable at once, and a
// crash before that could leave the marker alone.
func (g *guardFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if g.ours(name) && strings.HasPrefix(g.PathBase(name), "marker.manifest.") {
		if err := syncDir(g, g.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return g.make("create", name, c, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

// ReuseForWrite makes a file out of one that is not needed any more.
func (g *guardFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.make("create", name, c, func() (vfs.File, error) { return g.FS.ReuseForWrite(old, name, c) })
}

// OpenReadWrite opens a file, and makes it when it is not there.
func (g *guardFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.make("open", name, c, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

// Remove removes a file, or notes it.
func (g *guardFS) Remove(name string) error {
	if g.ours(name) && g.note(name) {
		return nil
	}
	return g.FS.Remove(name)
}

func (g *guardFS) note(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.allowed {
		g.noted = append(g.noted, name)
	}
	return !g.allowed
}

// allowRemove removes what was noted, and makes Remove remove from now on.
func (g *guardFS) allowRemove() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.allowed = true
	for _, name := range g.noted {
		if err := g.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", name, pathless(err))
		}
	}
	g.noted = nil
	return nil
}

// OpenDir opens a directory for an fsync.
func (g *guardFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil || clean(g.FS, name) != g.dir {
		return f, err
	}
	return &guardFile{File: f, g: g, name: name, vital: true}, nil
}

func (g *guardFS) make(op, name string, c vfs.DiskWriteCategory, open func() (vfs.File, error)) (vfs.File, error) {
	if !g.ours(name) {
		return open()
	}
	vital := c != "pebble-memtable-flush" && c != "pebble-compaction"
	for {
		f, err := open()
		switch {
		case err == nil:
			return &guardFile{File: f, g: g, name: name, vital: vital}, nil
		case isFull(err):
			if err := g.full(op, name, vital, err); err != nil {
				return nil, err
			}
		case vital && g.halt.opened.Load():
			g.halt.park(fmt.Errorf("%s %s: %w", op, name, pathless(err)))
		default:
			return nil, err
		}
	}
}

// full deals with a disk that has no room. It returns nil when the operation is
// to be tried again.
func (g *guardFS) full(op, name string, vital bool, err error) error {
	g.space.exhausted()
	if !g.halt.opened.Load() {
		// Open is to say so, not to wait.
		g.halt.park(fmt.Errorf("%s %s: %w", op, name, pathless(err)))
	}
	pause := time.NewTimer(retryFull)
	defer pause.Stop()
	select {
	case <-pause.C:
		if vital {
			return nil
		}
		return err
	case <-g.halt.stopped:
		if vital {
			g.halt.park(fmt.Errorf("%s %s: %w", op, name, pathless(err)))
		}
		return err
	}
}

func isFull(err error) bool { return vfs.IsNoSpaceError(err) }

// guardFile is a file that is written. A vital one is not a table: there is no
// second copy of what goes into it.
type guardFile struct {
	vfs.File
	g     *guardFS
	name  string
	vital bool
}

// Write appends p.
func (f *guardFile) Write(p []byte) (int, error) {
	done := 0
	for {
		n, err := f.File.Write(p[done:])
		done += n
		if err == nil {
			return done, nil
		}
		if err := f.failed("write", err); err != nil {
			return done, err
		}
	}
}

// WriteAt writes p at an offset.
func (f *guardFile) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	for {
		n, err := f.File.WriteAt(p[done:], off+int64(done))
		done += n
		if err == nil {
			return done, nil
		}
		if err := f.failed("write", err); err != nil {
			return done, err
		}
	}
}

// Sync makes what was written durable.
func (f *guardFile) Sync() error { return f.synced(f.File.Sync()) }

// SyncData makes what was written durable.
func (f *guardFile) SyncData() error { return f.synced(f.File.SyncData()) }

// SyncTo begins to make a part of the file durable.
func (f *guardFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.synced(err)
}

// Stat describes the file.
func (f *guardFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	return info, f.must("stat", err)
}

// Close closes the file.
func (f *guardFile) Close() error { return f.must("close", f.File.Close()) }

// failed deals with a write that failed; nil means that the rest is to be tried.
func (f *guardFile) failed(op string, err error) error {
	if isFull(err) {
		return f.g.full(op, f.name, f.vital, err)
	}
	f.g.halt.park(fmt.Errorf("%s %s: %w", op, f.name, pathless(err)))
	return err
}

// synced deals with the end of an fsync. One that failed for want of room has
// lost what was to be written all the same.
func (f *guardFile) synced(err error) error {
	if err != nil {
		f.g.halt.park(fmt.Errorf("fsync %s: %w", f.name, pathless(err)))
	}
	return nil
}

// must stops the database when an operation failed on a vital file: Pebble would
// panic.
func (f *guardFile) must(op string, err error) error {
	if err != nil && f.vital {
		f.g.halt.park(fmt.Errorf("%s %s: %w", op, f.name, pathless(err)))
	}
	return err
}
