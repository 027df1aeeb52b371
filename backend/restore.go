package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/micro/v3/backend/backup"
	"github.com/micro/micro/v3/backend/runtime"
	runtimeembedded "github.com/micro/micro/v3/backend/runtime/embedded"
	"github.com/micro/micro/v3/internal/filelock"
)

// DamagedError is what [Restore] returns for a backup of data that are not whole.
type DamagedError struct{ Problems []Problem }

func (e *DamagedError) Error() string {
	p := e.Problems[0]
	more := ""
	if n := len(e.Problems) - 1; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return fmt.Sprintf("the data in the backup are damaged: %s: %s%s", p.File, p.What, more)
}

// ErrInUse is returned for a data directory that a server uses.
var ErrInUse = filelock.ErrLocked

// lockDataDir makes a data directory ours, until what it returns is called.
func lockDataDir(dir string) (unlock func(), err error) {
	f, err := filelock.Lock(filepath.Join(dir, backup.Lock))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return func() { _ = filelock.Unlock(f) }, nil // the process gives it back at the latest
}

// Restore puts a backup into a data directory that no server uses, which is made when it
// is not there; see [backup.Restore]. With force it takes the place of what is there.
func Restore(ctx context.Context, r io.Reader, dir string, force bool) (backup.Result, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return backup.Result{}, err
	}
	unlock, err := lockDataDir(dir)
	if err != nil {
		return backup.Result{}, err
	}
	defer unlock()
	if force {
		if err := endRuntime(ctx, dir); err != nil {
			return backup.Result{}, err
		}
	}
	return backup.Restore(ctx, r, backup.Target{
		DataDir: dir,
		Force:   force,
		Now:     time.Now,
		Verify: func(ctx context.Context, dir string) error {
			report, err := check(ctx, dir)
			if err == nil && len(report.Problems) > 0 {
				err = &DamagedError{report.Problems}
			}
			return err
		},
	})
}

// endRuntime ends what a server that was killed has left running: the next one would not
// know of it.
func endRuntime(ctx context.Context, dir string) error {
	name := filepath.Join(dir, "runtime")
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r, err := runtimeembedded.Open(ctx, runtimeembedded.Config{
		Dir:       name,
		OpenImage: func(context.Context, string) (*runtime.Image, error) { return nil, runtime.ErrNotFound },
	})
	if err != nil {
		return err
	}
	return r.Close()
}
