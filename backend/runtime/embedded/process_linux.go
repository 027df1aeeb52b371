package embedded

import (
	"errors"
	"os"
	goruntime "runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// starter starts all processes from one thread, which lives as long as they may:
// the kernel kills a process with a parent-death signal when the thread that
// started it ends, not the process (golang/go#27505). So programs end with this
// process, however it ends.
type starter struct {
	requests chan startRequest
	ended    chan struct{}
}

type startRequest struct {
	program program
	answer  chan<- startAnswer
}

type startAnswer struct {
	process *process
	err     error
}

func newStarter() *starter {
	keepFiles()
	s := &starter{requests: make(chan startRequest), ended: make(chan struct{})}
	go s.run()
	return s
}

// keepFiles sees to it that programs get no file that this process has inherited
// itself, from a shell or a supervisor. Those that Go opens are safe anyway.
func keepFiles() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd := number([]byte(e.Name())); fd > unix.Stderr {
			unix.CloseOnExec(fd)
		}
	}
}

func (s *starter) run() {
	defer close(s.ended)
	goruntime.LockOSThread() // and never unlocked: the thread ends with this
	for r := range s.requests {
		p, err := startRetrying(r.program)
		r.answer <- startAnswer{p, err}
	}
}

// startRetrying starts a program that was written a moment ago. Another child
// that is between fork and exec may still hold the file open for writing, which
// makes the kernel refuse (golang/go#22315).
func startRetrying(p program) (*process, error) {
	for pause := time.Millisecond; ; pause *= 2 {
		started, err := start(p)
		if !errors.Is(err, unix.ETXTBSY) || pause > 500*time.Millisecond {
			return started, err
		}
		time.Sleep(pause)
	}
}

func (s *starter) start(p program) (*process, error) {
	answer := make(chan startAnswer, 1)
	s.requests <- startRequest{p, answer}
	a := <-answer
	return a.process, a.err
}

// close ends the thread, and with it what it started.
func (s *starter) close() {
	close(s.requests)
	<-s.ended
}

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
