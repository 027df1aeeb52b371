// Package atomicfile replaces files so that whoever reads one sees the old content or
// the new one, whole, whatever happens in between. Only the owner can read what it
// writes.
package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Write replaces a file. When it returns nil, the new content is on the disk.
func Write(path string, data []byte) error {
	return Replace(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Replace is [Write] for what write writes. Its error leaves the file as it was.
func Replace(path string, write func(io.Writer) error) error {
	err := replace(path, func(f *os.File) error {
		if err := write(f); err != nil {
			return err
		}
		return f.Sync()
	})
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Cache is [Write] for what can be made again: a machine that loses its power may lose
// it too.
func Cache(path string, data []byte) error {
	return replace(path, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

func replace(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // with mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what it was about is the error before
	}
	return err
}

// SyncDir puts the names in a directory on the disk. Windows does that by itself, and
// has no call for it.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
