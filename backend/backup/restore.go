package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/archive"
	"github.com/micro/micro/v3/internal/atomicfile"
)

// ErrNotEmpty is returned for a data directory that holds something.
var ErrNotEmpty = errors.New("the data directory is not empty")

// A restore goes through these names in the data directory, each step one rename:
//
//	.restore-ID  what comes out of the backup; removed when that ends early
//	.restore     all of it, verified: from here on it will be done
//	.replaced    what was there before, while it is taken out of the way
//	.restored    the same as .restore, when nothing is left of what was there
//	replaced-ID  what was there before, for who wants it back
//
// Whoever opens the directory next finishes what was interrupted; see [Finish].
const (
	unpackPrefix   = ".restore-"
	verifiedName   = ".restore"
	replacingName  = ".replaced"
	movingName     = ".restored"
	replacedPrefix = "replaced-"
)

// Lock is the name of the file in a data directory that its user has locked.
const Lock = "lock"

// Target is where a backup is put.
type Target struct {
	// DataDir is the data directory, which the caller has locked.
	DataDir string
	// Force puts the backup in the place of what is there.
	Force bool
	// Verify says what is wrong with a data directory that has come out of a backup.
	Verify func(ctx context.Context, dir string) error
	// Now tells the time, for a name.
	Now func() time.Time
}

// Result says what a restore has done.
type Result struct {
	Created time.Time // when the backup was taken
	Micro   string    // the version that took it
	Files   int
	Bytes   int64
	// Replaced is where that is now which was there before; empty when nothing was.
	Replaced string
}

// Restore puts a backup in the place of what a data directory holds. Nothing of that is
// touched before all of the backup has come, has the digests that it was written with
// and is what Verify accepts; from then on it is done, if need be by [Finish].
// [ErrNotEmpty] without Force, and the errors of package archive.
func Restore(ctx context.Context, r io.Reader, t Target) (Result, error) {
	if _, err := Finish(t.DataDir); err != nil {
		return Result{}, err
	}
	there, err := contents(t.DataDir)
	if err != nil {
		return Result{}, err
	}
	if len(there) > 0 && !t.Force {
		return Result{}, fmt.Errorf("%w: %s holds %s", ErrNotEmpty, t.DataDir, strings.Join(there, ", "))
	}
	u := unpacking{dir: filepath.Join(t.DataDir, unpackPrefix+rand.Text()), made: map[string]bool{}}
	if err := os.Mkdir(u.dir, 0o700); err != nil {
		return Result{}, err
	}
	h, err := archive.Read(ctx, r, kind, version, u.file)
	if err == nil {
		err = u.sync()
	}
	if err == nil {
		err = t.Verify(ctx, u.dir)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Result{}, errors.Join(err, os.RemoveAll(u.dir))
	}
	if err := rename(t.DataDir, filepath.Base(u.dir), verifiedName); err != nil {
		return Result{}, err
	}
	replaced, err := finish(t.DataDir, t.Now)
	return Result{Created: h.Created, Micro: h.Micro, Files: u.files, Bytes: u.bytes, Replaced: replaced}, err
}

// unpacking is a backup that comes out.
type unpacking struct {
	dir   string
	made  map[string]bool // directories
	files int
	bytes int64
}

// file takes a file. Only what a backup has is taken.
func (u *unpacking) file(name string, _ int64, r io.Reader) error {
	top, _, nested := strings.Cut(name, "/")
	if nested && top != storeDir && top != imagesDir || !nested && !slices.Contains(files(), name) {
		return fmt.Errorf("%w: %q belongs to no backup", archive.ErrDamaged, name)
	}
	path := filepath.Join(u.dir, filepath.FromSlash(name))
	if err := u.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	u.files++
	u.bytes += n
	return errors.Join(err, f.Close())
}

func (u *unpacking) mkdir(dir string) error {
	if u.made[dir] || dir == u.dir {
		return nil
	}
	if err := u.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	u.made[dir] = true
	return os.Mkdir(dir, 0o700)
}

// sync makes the names of all files durable.
func (u *unpacking) sync() error {
	for dir := range u.made {
		if err := atomicfile.SyncDir(dir); err != nil {
			return err
		}
	}
	return atomicfile.SyncDir(u.dir)
}

// contents returns what a data directory holds, but for what is left there on purpose.
func contents(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		switch name := e.Name(); {
		case name == Lock, name == "lost+found", name == verifiedName, name == replacingName, name == movingName:
		case strings.HasPrefix(name, replacedPrefix), strings.HasPrefix(name, unpackPrefix):
		default:
			names = append(names, name)
		}
	}
	return names, nil
}

// Finish goes on with a restore that was interrupted when nothing could go wrong with it
// any more, and returns where that is now which was there before; empty when there was
// nothing to do. It removes what backups and restores that ended early have left. The
// caller has locked the directory.
func Finish(dir string) (replaced string, err error) {
	if err := errors.Join(clean(dir, stagingPrefix), clean(dir, unpackPrefix)); err != nil {
		return "", err
	}
	return finish(dir, time.Now)
}

// Unfinished reports whether there is something to do for [Finish].
func Unfinished(dir string) bool { return exists(dir, verifiedName) || exists(dir, movingName) }

func finish(dir string, now func() time.Time) (replaced string, err error) {
	if exists(dir, verifiedName) {
		if err := takeAway(dir); err != nil {
			return "", err
		}
		if err := rename(dir, verifiedName, movingName); err != nil {
			return "", err
		}
	}
	if !exists(dir, movingName) {
		return "", nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, movingName))
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(dir, movingName, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return "", err
		}
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return "", err
	}
	if exists(dir, replacingName) {
		replaced = replacedPrefix + now().UTC().Format("20060102-150405")
		for exists(dir, replaced) {
			replaced += "-"
		}
		if err := os.Rename(filepath.Join(dir, replacingName), filepath.Join(dir, replaced)); err != nil {
			return "", err
		}
		replaced = filepath.Join(dir, replaced)
	}
	// Only now: as long as this is there the rest has to be done.
	if err := os.Remove(filepath.Join(dir, movingName)); err != nil {
		return "", err
	}
	return replaced, atomicfile.SyncDir(dir)
}

// takeAway moves what a data directory holds out of the way.
func takeAway(dir string) error {
	there, err := contents(dir)
	if err != nil || len(there) == 0 {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, replacingName), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, name := range there {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, replacingName, name)); err != nil {
			return err
		}
	}
	return errors.Join(atomicfile.SyncDir(filepath.Join(dir, replacingName)), atomicfile.SyncDir(dir))
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

func rename(dir, from, to string) error {
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		return err
	}
	return atomicfile.SyncDir(dir)
}
