package embedded

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// limits bound what an image may take of the machine. It comes from a stranger.
type limits struct {
	entries   int   // of all layers
	bytes     int64 // of all files
	names     int   // bytes of all names
	path      int   // bytes of a name
	component int   // bytes of a part of a name
	depth     int   // parts of a name
	trailer   int64 // bytes after an archive's end
}

var defaultLimits = limits{
	entries:   200_000,
	bytes:     4 << 30,
	names:     32 << 20,
	path:      4 << 10,
	component: 255,
	depth:     64,
	trailer:   1 << 20,
}

// unpacker lays the layers of one image over each other, below a root that
// nothing of it leaves: not by name, not by link, not through a link of an
// earlier entry, since all is done through an [os.Root].
//
// Files, folders, symbolic and hard links are kept, with their permission bits.
// Owners, times, extended attributes and set-user-id are not: everything belongs
// to this process. Devices, pipes and sockets are left out.
type unpacker struct {
	root   *os.Root
	limits limits // what is left of them
	// own holds what the layer at hand has brought, which its whiteouts spare.
	own map[string]bool
}

// layer lays one layer over those that there are. The error is
// [runtime.ErrImage] when the image is to blame, and not the machine or who
// delivers the layer.
func (u *unpacker) layer(ctx context.Context, r io.Reader) error {
	u.own = map[string]bool{}
	in := readFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(b)
	})
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, tar.ErrHeader) {
			return supervisor.Refuse("read archive: %w", err)
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if err := u.entry(header, archive); err != nil {
			return err
		}
	}
	// Who checks the layer's digest does it at its end.
	n, err := io.Copy(io.Discard, io.LimitReader(in, u.limits.trailer+1))
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	if n > u.limits.trailer {
		return supervisor.Refuse("there is data after the archive's end")
	}
	return nil
}

// readFunc is a reader that is a function.
type readFunc func(b []byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// Names of whiteouts: what hides something of the layers below.
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
	whiteoutMeta   = ".wh..wh." // any other is some builder's own
)

func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	u.limits.entries--
	u.limits.names -= len(header.Name)
	if u.limits.entries < 0 || u.limits.names < 0 {
		return supervisor.Refuse("it has too many files")
	}
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := u.name(header.Name)
	if err != nil || name == "." {
		return err
	}
	switch dir, base := path.Split(name); {
	case base == whiteoutOpaque:
		_, err := u.hide(path.Clean(dir), u.limits.depth)
		return u.blame(name, err)
	case strings.HasPrefix(base, whiteoutMeta):
		return nil
	case strings.HasPrefix(base, whiteoutPrefix):
		return u.blame(name, u.remove(dir, strings.TrimPrefix(base, whiteoutPrefix)))
	}
	mode := fs.FileMode(header.Mode).Perm() //nolint:gosec // the permission bits alone are taken
	switch header.Typeflag {
	case tar.TypeDir:
		err = u.folder(name, mode)
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return u.file(name, mode, header.Size, content)
	case tar.TypeSymlink:
		err = u.symlink(name, header.Linkname)
	case tar.TypeLink:
		err = u.link(name, header.Linkname)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil
	default:
		return supervisor.Refuse("%.100q is of an unknown kind (%q)", name, header.Typeflag)
	}
	return u.blame(name, err)
}

// name returns the name of an entry as a local path, "." for the root.
func (u *unpacker) name(name string) (string, error) {
	if len(name) > u.limits.path {
		return "", supervisor.Refuse("%.100q…: the name is too long", name)
	}
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if strings.Count(clean, "/") >= u.limits.depth {
		return "", supervisor.Refuse("%.100q…: the name is too deep", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." || len(part) > u.limits.component {
			return "", supervisor.Refuse("%.100q: a part of the name is too long or leads upward", name)
		}
	}
	foreign := goruntime.GOOS == "windows" && strings.ContainsAny(name, `\:`)
	if foreign || strings.ContainsRune(name, 0) || !filepath.IsLocal(filepath.FromSlash(clean)) {
		return "", supervisor.Refuse("%.100q is no name of a file on this system", name)
	}
	return clean, nil
}

// blame decides who is at fault for what the root said: the image, if it is
// about names and links, else the machine.
func (u *unpacker) blame(name string, err error) error {
	if err == nil || errors.Is(err, runtime.ErrImage) {
		return err
	}
	errno, isErrno := errors.AsType[syscall.Errno](err)
	if !isErrno { // a root's own: the path leaves it
		return supervisor.Refuse("%.100q: %w", name, err)
	}
	switch errno {
	case syscall.ENOENT, syscall.EEXIST, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP,
		syscall.ENAMETOOLONG, syscall.EINVAL, syscall.EXDEV, syscall.EILSEQ, syscall.EMLINK:
		return supervisor.Refuse("%.100q: %w", name, err)
	default:
		return err
	}
}

// place makes room for an entry: its parents are there afterwards, and it is
// not. A folder stays for a folder; then place reports true.
func (u *unpacker) place(name string, folder bool) (bool, error) {
	if dir := path.Dir(name); dir != "." {
		if err := u.root.MkdirAll(dir, 0o755); err != nil {
			return false, err
		}
	}
	u.own[name] = true
	info, err := u.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.IsDir() && folder:
		return true, nil
	default:
		return false, u.root.RemoveAll(name)
	}
}

func (u *unpacker) folder(name string, mode fs.FileMode) error {
	there, err := u.place(name, true)
	if err != nil || there {
		return err
	}
	return u.root.Mkdir(name, mode|0o700)
}

// file writes a regular file. Errors of content are as they are.
func (u *unpacker) file(name string, mode fs.FileMode, size int64, content io.Reader) error {
	if u.limits.bytes -= size; size < 0 || u.limits.bytes < 0 {
		return supervisor.Refuse("it is too large")
	}
	if _, err := u.place(name, false); err != nil {
		return u.blame(name, err)
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o400)
	if err != nil {
		return u.blame(name, err)
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// symlink makes a symbolic link. A target that is absolute or leads out of the
// root means, in the image's own world, something below the root: so it does here.
func (u *unpacker) symlink(name, target string) error {
	if target == "" || len(target) > u.limits.path || strings.ContainsRune(target, 0) {
		return supervisor.Refuse("%.100q links to nothing", name)
	}
	dir := path.Dir(name)
	if path.IsAbs(target) || !filepath.IsLocal(path.Join(dir, target)) {
		inside := path.Clean(target)
		if !path.IsAbs(target) {
			inside = path.Join("/", dir, target)
		}
		up := 0
		if dir != "." {
			up = strings.Count(dir, "/") + 1
		}
		target = path.Clean(strings.Repeat("../", up) + "." + inside)
	}
	if _, err := u.place(name, false); err != nil {
		return err
	}
	return u.root.Symlink(filepath.FromSlash(target), name)
}

func (u *unpacker) link(name, target string) error {
	old, err := u.name(target)
	if err != nil {
		return err
	}
	if old == name {
		return supervisor.Refuse("%.100q links to itself", name)
	}
	info, err := u.root.Lstat(old)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return supervisor.Refuse("%.100q is a hard link to a folder", name)
	}
	if _, err := u.place(name, false); err != nil {
		return err
	}
	return u.root.Link(old, name)
}

// remove takes away what layers below have brought under a name.
func (u *unpacker) remove(dir, base string) error {
	if base == "" || base == "." || base == ".." {
		return supervisor.Refuse("a whiteout of %q", base)
	}
	name := path.Join(dir, base)
	info, err := u.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		spared, err := u.hide(name, u.limits.depth)
		if err != nil || spared {
			return err
		}
	}
	if u.own[name] {
		return nil
	}
	return u.root.Remove(name)
}

// hide empties a folder of what layers below have brought, and reports whether
// something of this layer stays in it.
func (u *unpacker) hide(dir string, depth int) (spared bool, err error) {
	if depth < 0 {
		return false, supervisor.Refuse("%.100q…: the name is too deep", dir)
	}
	f, err := u.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	entries, err := f.ReadDir(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		stays := u.own[name]
		if e.IsDir() {
			below, err := u.hide(name, depth-1)
			if err != nil {
				return false, err
			}
			stays = stays || below
		}
		if stays {
			spared = true
		} else if err := u.root.Remove(name); err != nil {
			return false, err
		}
	}
	return spared, nil
}
