package embedded

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/micro/micro/v3/backend/runtime"
)

// killedCode is the exit code of what kill ended: the one that Windows gives to
// a program that the user interrupts.
const killedCode = 0xC000013A

// process is a program in a job object, which holds all that it starts as well,
// and kills it when the last handle to it is closed: at the latest by the end of
// this process, however it ends.
type process struct {
	leader *os.Process

	mu     sync.Mutex
	job    windows.Handle
	reaped bool
}

func start(p program) (*process, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, err
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{
			LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
		},
	}
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		return nil, errors.Join(err, windows.CloseHandle(job))
	}
	leader, err := startIn(job, p)
	if err != nil {
		return nil, errors.Join(err, windows.CloseHandle(job))
	}
	return &process{leader: leader, job: job}, nil
}

// startIn starts a program and puts it into a job. What it starts in the moment
// between the two is not in the job.
func startIn(job windows.Handle, p program) (*os.Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	leader, err := os.StartProcess(p.path, p.argv, &os.ProcAttr{
		Dir:   p.dir,
		Env:   p.env,
		Files: []*os.File{null, p.stdout, p.stderr},
		Sys:   &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP},
	})
	if err != nil {
		return nil, err
	}
	var assignErr error
	err = leader.WithHandle(func(handle uintptr) {
		assignErr = windows.AssignProcessToJobObject(job, windows.Handle(handle))
	})
	if err := errors.Join(err, assignErr); err != nil {
		killErr := leader.Kill()
		_, waitErr := leader.Wait()
		return nil, errors.Join(err, killErr, waitErr)
	}
	return leader, nil
}

func (p *process) pid() int { return p.leader.Pid }

// terminate sends what a console sends for Ctrl-Break, which Go programs see as
// an interrupt. It reaches those that share this process's console.
func (p *process) terminate() error {
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(p.leader.Pid)) //nolint:gosec // a process id
}

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = windows.TerminateJobObject(p.job, killedCode) // it fails when all are gone
	}
}

// wait returns when the program has ended and the job with it.
func (p *process) wait(finish func(session int)) runtime.Exit {
	state, err := p.leader.Wait()
	p.kill()
	finish(0)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	_ = windows.CloseHandle(p.job) // nothing is left that could fail
	switch {
	case err != nil:
		return runtime.Exit{Code: -1}
	case uint32(state.ExitCode()) == killedCode: //nolint:gosec // as the system has it
		return runtime.Exit{Code: -1, Signal: "SIGKILL"}
	default:
		return runtime.Exit{Code: state.ExitCode()}
	}
}
