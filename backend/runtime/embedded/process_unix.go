//go:build unix

package embedded

import (
	"cmp"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/micro/micro/v3/backend/runtime"
)

// process is the leader of a session of its own, and so of a process group.
type process struct {
	leader *os.Process
	end    *endWatch

	mu     sync.Mutex
	reaped bool // the number may be somebody else's
}

// start runs p with nothing of this process but what p says.
func start(p program) (*process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	attr := &os.ProcAttr{
		Dir:   p.dir,
		Env:   p.env,
		Files: []*os.File{null, p.stdout, p.stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if p.attr != nil {
		p.attr(attr.Sys)
	}
	end := newEndWatch(attr.Sys)
	leader, err := os.StartProcess(p.path, p.argv, attr)
	if err != nil {
		return nil, err
	}
	return &process{leader: leader, end: end}, nil
}

func (p *process) pid() int { return p.leader.Pid }

func (p *process) terminate() error { return p.signal(unix.SIGTERM) }

func (p *process) kill() { _ = p.signal(unix.SIGKILL) } // it fails when all are gone

func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return nil
	}
	return unix.Kill(-p.leader.Pid, s)
}

// wait returns when the leader has ended and its group with it.
func (p *process) wait(finish func(session int)) runtime.Exit {
	state, err := p.end.reap(p, finish)
	if err != nil {
		return runtime.Exit{Code: -1}
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		name := unix.SignalName(status.Signal())
		return runtime.Exit{Code: -1, Signal: cmp.Or(name, status.Signal().String())}
	}
	return runtime.Exit{Code: state.ExitCode()}
}

// running reports whether the leader's number is the group's still.
func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.reaped
}

// gone says that the leader's number is no longer the group's.
func (p *process) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
}
