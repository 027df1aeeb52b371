package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// view is what an instance sees of the machine: of the server's files its own alone,
// and of the machine's what programs need. Without any rights that is Landlock's work.
// A server that is root has more: in a mount namespace of its own an instance finds
// nothing of the server but its folder and its image, and it has a user of its own, so
// that other instances are strangers to it.
type view struct {
	dir     string // of the runtime
	private string // contains dir; hidden
	cover   string // the outermost folder on the way to dir that strangers cannot enter
	abi     int    // of Landlock; 0: there is none
	mounts  bool   // there are mount namespaces
}

// enter gives the calling thread, which must be locked and is good for nothing else
// afterwards, the view of an instance.
func (v *view) enter(h home, img *image) error {
	root := filepath.Join(img.dir, imageRoot)
	if v.mounts {
		if err := v.mount(h, root); err != nil {
			return fmt.Errorf("a view of its own: %w", err)
		}
	}
	// No program that is started may have more rights than this one, and this one
	// none of root's.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		// It fails where there are none to lose, and for those that the kernel does not have.
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
	}
	if v.abi == 0 {
		return nil
	}
	return landlock(v.abi, v.grants(h, root))
}

func (v *view) grants(h home, root string) []grant {
	own := handled(v.abi).Handled_access_fs
	list := []grant{
		{h.work(), own},
		{h.tmp(), own},
		{h.identity(), unix.LANDLOCK_ACCESS_FS_READ_FILE},
		{root, readFiles},
	}
	for _, path := range systemFiles() {
		for _, p := range besides(path, v.private) {
			list = append(list, grant{p, readFiles})
		}
	}
	for _, path := range devices() {
		list = append(list, grant{path, useDevice | unix.LANDLOCK_ACCESS_FS_READ_DIR})
	}
	if v.mounts { // what is there is the instance's alone
		list = append(list, grant{"/dev/shm", own})
	}
	if v.ownTmp() {
		list = append(list, grant{"/tmp", own})
	}
	return list
}

// mount makes a mount namespace in which an instance finds no files of the server but
// its own.
func (v *view) mount(h home, root string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return mountError("/", err)
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV
	places := []struct {
		path     string
		readOnly bool
		tree     int // a copy of what is there, not mounted yet
	}{{path: string(h)}, {path: root, readOnly: true}}
	for i := range places {
		tree, err := unix.OpenTree(unix.AT_FDCWD, places[i].path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return mountError(places[i].path, err)
		}
		defer func() { _ = unix.Close(tree) }()
		places[i].tree = tree
	}
	if err := unix.Mount("none", v.cover, "tmpfs", flags, "mode=0711,size=64k,nr_inodes=64"); err != nil {
		return mountError(v.cover, err)
	}
	for _, p := range places {
		if err := os.MkdirAll(p.path, 0o711); err != nil { //nolint:gosec // to go through, not to read
			return err
		}
		if err := unix.MoveMount(p.tree, "", unix.AT_FDCWD, p.path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return mountError(p.path, err)
		}
		bits := uintptr(unix.MS_REMOUNT | unix.MS_BIND | flags)
		if p.readOnly {
			bits |= unix.MS_RDONLY
		}
		if err := unix.Mount("", p.path, "", bits, ""); err != nil {
			return mountError(p.path, err)
		}
	}
	if err := unix.Mount("none", v.cover, "tmpfs", flags|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return mountError(v.cover, err)
	}
	return v.mountShared(h)
}

// mountShared gives the instance its own of the folders that all programs of a machine
// share, and has it see no processes of others.
func (v *view) mountShared(h home) error {
	if err := unix.Mount("none", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=64m"); err != nil && !errors.Is(err, unix.ENOENT) {
		return mountError("/dev/shm", err)
	}
	if v.ownTmp() {
		if err := unix.Mount(h.tmp(), "/tmp", "", unix.MS_BIND, ""); err != nil && !errors.Is(err, unix.ENOENT) {
			return mountError("/tmp", err)
		}
	}
	// Not in every container can this be had.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "hidepid=invisible")
	return nil
}

// ownTmp reports whether instances have a /tmp of their own. They have not where the way
// to their files leads through it.
func (v *view) ownTmp() bool { return v.mounts && !strings.HasPrefix(v.dir, "/tmp/") }

func mountError(path string, err error) error {
	return &os.PathError{Op: "mount", Path: path, Err: err}
}

// coverOf returns the outermost folder on the way to dir that strangers cannot enter,
// dir itself when they could.
func coverOf(dir string) string {
	cover := dir
	for at := dir; at != "/"; at = filepath.Dir(at) {
		if info, err := os.Lstat(at); err != nil || info.Mode()&0o001 == 0 {
			cover = at
		}
	}
	return cover
}
