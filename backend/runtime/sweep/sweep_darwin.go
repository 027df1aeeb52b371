package sweep

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// killAll kills the processes of this user that l means and returns them. Groups
// are not looked at: a process that has cleared its environment is not found.
func killAll(l Leftover) ([]Process, error) {
	procs, err := unix.SysctlKinfoProcSlice("kern.proc.uid", os.Geteuid())
	if err != nil {
		return nil, err
	}
	var killed []Process
	for i := range procs {
		id := idOf(&procs[i])
		if id.PID == 0 || id.PID == os.Getpid() || !l.Known[id] && !l.Mark.in(environ(id.PID)) {
			continue
		}
		if killErr := unix.Kill(id.PID, unix.SIGKILL); killErr != nil && !errors.Is(killErr, unix.ESRCH) {
			err = killErr
		}
		killed = append(killed, id)
	}
	return killed, err
}

// idOf returns the identity of a process, an empty one if it has ended.
func idOf(p *unix.KinfoProc) Process {
	const zombie = 5 // SZOMB of sys/proc.h
	if p.Proc.P_stat == zombie {
		return Process{}
	}
	start := p.Proc.P_starttime
	return Process{PID: int(p.Proc.P_pid), Start: uint64(start.Nano())} //nolint:gosec // after 1970
}

// Identify returns the identity of a process, an empty one if it has ended.
func Identify(pid int) Process {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return Process{}
	}
	return idOf(p)
}

// environ returns what a process was started with: the number of arguments, the
// program, zeros, the arguments, the environment, all ended by zeros. The mark is
// looked for in the whole, since no argument of this runtime's holds a zero.
func environ(pid int) []byte {
	b, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil || len(b) < binary.Size(int32(0)) {
		return nil // gone, or not ours to see
	}
	return b[binary.Size(int32(0)):]
}

// BootID returns what tells this start of the machine from others, empty when
// that is unknown.
func BootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
