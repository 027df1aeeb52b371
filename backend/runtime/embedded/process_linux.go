package embedded

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// endWatch waits for the end of a process without keeping a thread busy.
type endWatch struct {
	pidfd int // -1: the kernel has no such thing
}

// newEndWatch adds to attr what is needed to watch the process started with it,
// and asks for the signal that ends it with the starter's thread.
func newEndWatch(attr *syscall.SysProcAttr) *endWatch {
	w := &endWatch{pidfd: -1}
	attr.PidFD = &w.pidfd
	attr.Pdeathsig = unix.SIGKILL
	return w
}

// reap waits for the leader's end and ends its session before the leader is
// reaped: until then the number of both is nobody else's.
func (w *endWatch) reap(p *process, finish func(session int)) (*os.ProcessState, error) {
	w.await(p.leader)
	p.kill()
	finish(p.pid())
	p.gone()
	return p.leader.Wait()
}

// await returns when leader has ended.
func (w *endWatch) await(leader *os.Process) {
	if w.pidfd >= 0 && w.poll() == nil {
		return
	}
	for {
		err := unix.Waitid(unix.P_PID, leader.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// poll waits on the pidfd, which becomes readable when the process has ended.
func (w *endWatch) poll() error {
	if err := unix.SetNonblock(w.pidfd, true); err != nil {
		return errors.Join(err, unix.Close(w.pidfd))
	}
	f := os.NewFile(uintptr(w.pidfd), "pidfd")
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var waitErr error
	err = conn.Read(func(fd uintptr) bool {
		var info unix.Siginfo
		waitErr = unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil) //nolint:gosec // a descriptor
		return waitErr != nil || info.Signo != 0
	})
	return errors.Join(err, waitErr)
}
