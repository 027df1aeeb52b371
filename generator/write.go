package generator

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
)

// File is a file of a project.
type File struct {
	Path       string // below the project's directory, with slashes
	Content    []byte
	Executable bool
}

func (f File) mode() fs.FileMode {
	if f.Executable {
		return 0o755
	}
	return 0o644
}

// replaceFile writes a file beside the one that it replaces, and then puts it in
// its place, so that there is always a whole one.
func replaceFile(root *os.Root, f File) error {
	temp := path.Join(path.Dir(f.Path), "."+path.Base(f.Path)+".tmp"+strconv.Itoa(os.Getpid()))
	if err := root.WriteFile(temp, f.Content, 0o644); err != nil {
		return errors.Join(err, ignoreAbsent(root.Remove(temp)))
	}
	if err := root.Rename(temp, f.Path); err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
