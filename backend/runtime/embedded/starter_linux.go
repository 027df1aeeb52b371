package embedded

import (
	"errors"
	"os"
	goruntime "runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// starter starts the processes of one cell from a thread of their own, which lives as
// long as they may. For two reasons. What a process may see and do it inherits from
// the thread that started it, and a thread that has given something up does not get
// it back. And the kernel kills a process with a parent-death signal when the thread
// that started it ends, not the process (golang/go#27505): so programs end with this
// process, however it ends.
type starter struct {
	requests chan startRequest
	quit     chan struct{} // closed to end the thread
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

// newStarter starts the thread, which first calls prepare.
func newStarter(prepare func() error) (*starter, error) {
	s := &starter{requests: make(chan startRequest), quit: make(chan struct{}), ended: make(chan struct{})}
	ready := make(chan error, 1)
	go s.run(prepare, ready)
	return s, <-ready
}

func (s *starter) run(prepare func() error, ready chan<- error) {
	goruntime.LockOSThread() // and never unlocked: the thread ends with this
	if unix.Gettid() == os.Getpid() {
		// This one stands for the whole process, and never ends. While it is held
		// here, another is taken.
		go s.run(prepare, ready)
		<-s.ended
		goruntime.UnlockOSThread()
		return
	}
	defer close(s.ended)
	err := prepare()
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case r := <-s.requests:
			p, err := startRetrying(r.program)
			r.answer <- startAnswer{p, err}
		case <-s.quit:
			return
		}
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
	select {
	case s.requests <- startRequest{p, answer}:
	case <-s.quit:
		return nil, runtime.ErrNotRunning
	}
	a := <-answer
	return a.process, a.err
}

// close ends the thread, and with it what it started. It is called once.
func (s *starter) close() {
	close(s.quit)
	<-s.ended
}

// keepFiles sees to it that programs get no file that this process has inherited
// itself, from a shell or a supervisor. Those that Go opens are safe anyway.
func keepFiles() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd := sweep.Number([]byte(e.Name())); fd > unix.Stderr {
			unix.CloseOnExec(fd)
		}
	}
}
