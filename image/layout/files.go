package layout

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// stage makes a file with a new name in a directory, which is made when it is
// not there. The caller closes and renames or removes it.
func stage(dir string) (*os.File, error) {
	open := func() (*os.File, error) {
		return os.OpenFile(filepath.Join(dir, "."+rand.Text()+".tmp"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	}
	f, err := open()
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(dir); err != nil {
			return nil, err
		}
		return open()
	}
	return f, err
}

// create makes the directory a layout, with a place for blobs with digests of one
// kind, when it is none. The index is made later, with the first manifest.
func (l *Layout) create(algorithm string) error {
	if err := makeDir(l.blobs(algorithm)); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(l.dir, "oci-layout")); err == nil {
		return nil
	}
	return l.replace("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

// replace puts a new content in the place of a file of the layout in one step.
func (l *Layout) replace(name string, data []byte) error {
	f, err := stage(l.staging)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // after the rename there is nothing to remove
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(l.dir, name)); err != nil {
		return err
	}
	return syncDir(l.dir)
}

// makeDir makes a directory and those above it that are missing, and puts their
// names on the disk.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir puts the names in a directory on the disk. Windows does that by
// itself, and has no call for it.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
