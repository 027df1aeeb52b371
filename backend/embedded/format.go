package embedded

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// format is the version of all that is in the directory: Pebble's files, ours and
// the drivers' keys.
const format = 1

const (
	formatFile = "FORMAT"
	formatTemp = "FORMAT.tmp"
	formatText = "micro database, format %d"
	lockFile   = "LOCK"
)

// claim makes the directory ours, or finds that it is, and locks it. One that holds
// something else is left as it is.
func claim(fsys vfs.FS, dir string) (*pebble.Lock, error) {
	if err := mkdir(fsys, dir); err != nil {
		return nil, err
	}
	if _, err := readFormat(fsys, dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	ours, err := readFormat(fsys, dir)
	if err == nil && !ours {
		err = writeFormat(fsys, dir)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// lockOurs locks a directory that is ours already.
func lockOurs(fsys vfs.FS, dir string) (*pebble.Lock, error) {
	ours, err := readFormat(fsys, dir)
	if err != nil {
		return nil, err
	}
	if !ours {
		return nil, fmt.Errorf("%w: it is empty", ErrForeign)
	}
	return lockDir(fsys, dir)
}

func lockDir(fsys vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fsys)
	// Of another process, and of this one.
	if err != nil && (errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "held by current process")) {
		return nil, ErrInUse
	}
	return lock, err
}

// readFormat reports whether the directory is ours already. It is an error when it
// is neither ours nor empty.
func readFormat(fsys vfs.FS, dir string) (bool, error) {
	text, err := readFile(fsys, fsys.PathJoin(dir, formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		names, err := fsys.List(dir)
		if err != nil {
			return false, err
		}
		names = slices.DeleteFunc(names, func(n string) bool { return n == lockFile || n == formatTemp })
		if len(names) > 0 {
			return false, fmt.Errorf("%w: it holds %q and no file %s", ErrForeign, slices.Min(names), formatFile)
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	line, check, _ := strings.Cut(string(text), ", check ")
	var n int
	if _, err := fmt.Sscanf(line, formatText, &n); err != nil {
		return false, fmt.Errorf("%w: its file %s is of something else", ErrForeign, formatFile)
	}
	if check != formatCheck(line) {
		return false, fmt.Errorf("%w: %s", ErrDamaged, fsys.PathJoin(dir, formatFile))
	}
	if n > format {
		return false, fmt.Errorf("%w: a newer micro made it, with format %d, and this one knows formats up to %d",
			ErrForeign, n, format)
	}
	return true, nil
}

// formatCheck returns what ends the file: a damaged version must not look like a
// newer one.
func formatCheck(line string) string {
	return fmt.Sprintf("%08x\n", crc32.Checksum([]byte(line), castagnoli))
}

// writeFormat marks the directory as ours. After a crash the mark is there as a
// whole or not at all.
func writeFormat(fsys vfs.FS, dir string) error {
	temp := fsys.PathJoin(dir, formatTemp)
	f, err := fsys.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	line := fmt.Sprintf(formatText, format)
	_, err = f.Write([]byte(line + ", check " + formatCheck(line)))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(temp, fsys.PathJoin(dir, formatFile)); err != nil {
		return err
	}
	return syncDir(fsys, dir)
}

// mkdir makes a directory with those above it, all durable.
func mkdir(fsys vfs.FS, dir string) error {
	var made []string
	for d := dir; ; {
		info, err := fsys.Stat(d)
		if err == nil {
			if !info.IsDir() {
				return fmt.Errorf("%s: %w", d, syscall.ENOTDIR)
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		made = append(made, d)
		up := fsys.PathDir(d)
		if up == d {
			break
		}
		d = up
	}
	if len(made) == 0 {
		return nil
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range slices.Backward(made) {
		if err := syncDir(fsys, fsys.PathDir(d)); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readFile(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}
