package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Landlock takes the right to open files from a thread and from what it starts, for
// whatever was not named before. It needs no rights itself. It also keeps who was
// restricted from looking into processes that were not in the same way, and from
// sending them signals.
//
// The package that there is for it restricts all threads of a process, which here
// must go on as it is.

// What can be done with files, as versions of Landlock have learned of it. What a
// version does not know it does not restrict.
const (
	readFiles = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	// ofFile is what can be done with what is no folder.
	ofFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	useDevice = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

	handled1 = 1<<13 - 1 // from EXECUTE to MAKE_SYM
)

// landlockABI returns the version of Landlock that there is, 0 when there is none.
func landlockABI() int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi) //nolint:gosec // a small number
}

// handled returns what a version restricts.
func handled(abi int) unix.LandlockRulesetAttr {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handled1}
	for _, later := range []struct {
		abi    int
		access uint64
	}{
		{2, unix.LANDLOCK_ACCESS_FS_REFER},
		{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE},
		{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV},
		{9, unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX},
	} {
		if abi >= later.abi {
			attr.Handled_access_fs |= later.access
		}
	}
	if abi >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	return attr
}

// grant is what is left of files at a path and below it.
type grant struct {
	path   string
	access uint64
}

// landlock restricts the calling thread, which must be locked, to grants. A path that
// is not there is no error.
func landlock(abi int, grants []grant) error {
	attr := handled(abi) // an old kernel takes the fields that it does not know when they are 0
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return os.NewSyscallError("landlock_create_ruleset", errno)
	}
	rules := int(fd) //nolint:gosec // a descriptor
	defer func() { _ = unix.Close(rules) }()
	for _, g := range grants {
		if err := g.add(rules, attr.Handled_access_fs); err != nil {
			return err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_restrict_self", errno)
	}
	return nil
}

// add adds a grant to rules, as far as these handle it.
func (g grant) add(rules int, handled uint64) error {
	fd, err := unix.Open(g.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: g.path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	access := g.access & handled
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= ofFile
	}
	if access == 0 {
		return nil
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}                                                                 //nolint:gosec // a descriptor
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0) //nolint:gosec // a descriptor
	if errno != 0 {
		return &os.PathError{Op: "landlock_add_rule", Path: g.path, Err: errno}
	}
	return nil
}

// systemFiles are those of the machine that a program may need: libraries, programs,
// certificates, time zones, how names are resolved, and what the kernel tells. Neither
// people's homes are among them, nor what services keep.
func systemFiles() []string {
	return []string{
		"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/opt", "/nix", "/gnu", "/etc", "/proc", "/sys", "/dev",
		"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/var/lib/ca-certificates",
	}
}

// devices are those that any program may use.
func devices() []string {
	return []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"}
}

// besides returns paths that together hold what is at path and below it, but for what
// is at hidden and below it.
func besides(path, hidden string) []string {
	rel, err := filepath.Rel(path, hidden)
	switch {
	case err != nil || rel == ".":
		return nil
	case rel == ".." || strings.HasPrefix(rel, "../"):
		if inside, err := filepath.Rel(hidden, path); err == nil && filepath.IsLocal(inside) {
			return nil
		}
		return []string{path}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil
	}
	var paths []string
	for _, e := range entries {
		paths = append(paths, besides(filepath.Join(path, e.Name()), hidden)...)
	}
	return paths
}
