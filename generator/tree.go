package generator

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
)

// ConflictError tells that files of a new project exist already.
type ConflictError struct {
	Dir   string
	Paths []string // at least one
}

// Error names the first of the files.
func (e *ConflictError) Error() string {
	more := ""
	if n := len(e.Paths) - 1; n > 0 {
		more = " and " + strconv.Itoa(n) + " more"
	}
	return fmt.Sprintf("%s exists%s; nothing was written", filepath.Join(e.Dir, filepath.FromSlash(e.Paths[0])), more)
}

// createTree writes a project. A directory that does not exist appears with all
// of its files at once. Into one that exists the files are added, and none of
// them stays when one cannot be written; a file that exists is a
// [*ConflictError], and nothing is written.
func createTree(dir string, files []File) error {
	if _, err := os.Lstat(dir); err == nil {
		return addTree(dir, files)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	staging, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+"-*")
	if err != nil {
		return err
	}
	if err := fillTree(staging, files); err != nil {
		return errors.Join(err, os.RemoveAll(staging))
	}
	if err := os.Rename(staging, dir); err != nil {
		return errors.Join(err, os.RemoveAll(staging))
	}
	return nil
}

// fillTree writes files into an empty directory of ours.
func fillTree(dir string, files []File) error {
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // a project is read by others
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range files {
		if err := root.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(f.Path, f.Content, f.mode()); err != nil {
			return err
		}
	}
	return nil
}

// addTree writes files into a directory of the user's.
func addTree(dir string, files []File) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	conflict := &ConflictError{Dir: dir}
	for _, f := range files {
		if _, err := root.Lstat(f.Path); err == nil {
			conflict.Paths = append(conflict.Paths, f.Path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(conflict.Paths) > 0 {
		return conflict
	}
	var made []string // files and folders, in order
	defer func() {
		if err == nil {
			return
		}
		for _, name := range slices.Backward(made) {
			err = errors.Join(err, root.Remove(name))
		}
	}()
	for _, f := range files {
		folders, err := makeFolders(root, path.Dir(f.Path))
		made = append(made, folders...)
		if err != nil {
			return err
		}
		// With O_EXCL even a file that appeared meanwhile stays as it is.
		w, err := root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode())
		if errors.Is(err, fs.ErrExist) {
			return &ConflictError{Dir: dir, Paths: []string{f.Path}}
		}
		if err != nil {
			return err
		}
		made = append(made, f.Path)
		_, err = w.Write(f.Content)
		if err := errors.Join(err, w.Close()); err != nil {
			return err
		}
	}
	return nil
}

// makeFolders makes a folder and those above it, and returns the new ones.
func makeFolders(root *os.Root, folder string) (made []string, err error) {
	if folder == "." {
		return nil, nil
	}
	if info, err := root.Stat(folder); err == nil {
		if !info.IsDir() {
			return nil, fmt.Errorf("%s is not a directory", folder)
		}
		return nil, nil
	}
	made, err = makeFolders(root, path.Dir(folder))
	if err != nil {
		return made, err
	}
	if err := root.Mkdir(folder, 0o755); err != nil {
		return made, err
	}
	return append(made, folder), nil
}
