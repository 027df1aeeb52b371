package layout

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// CopyTo makes a copy of the layout in a directory that is not there yet, as it is now.
// It shares the blobs where the file system can. Nothing must be removed meanwhile. The
// copy is not synced to the disk. A layout that is not there has none.
func (l *Layout) CopyTo(dir string) error {
	// The index first: what comes while blobs are copied is not in it.
	index, err := os.ReadFile(filepath.Join(l.dir, "index.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	version, err := os.ReadFile(filepath.Join(l.dir, "oci-layout"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, algorithm := range []string{"sha256", "sha512"} {
		from, to := l.blobs(algorithm), filepath.Join(dir, "blobs", algorithm)
		entries, err := os.ReadDir(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.MkdirAll(to, 0o700); err != nil {
			return err
		}
		for _, e := range entries {
			if err := linkOrCopy(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
	}
	if index != nil {
		if err := os.WriteFile(filepath.Join(dir, "index.json"), index, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "oci-layout"), version, 0o600)
}

func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
