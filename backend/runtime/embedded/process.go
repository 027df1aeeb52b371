package embedded

import (
	"os"
	"syscall"

	"github.com/micro/micro/v3/backend/runtime"
)

// program is what to start as a process.
type program struct {
	path           string
	argv           []string // the name first
	env            []string
	dir            string
	stdout, stderr *os.File
	attr           func(*syscall.SysProcAttr) // adds what its cell asks for; nil: nothing
}

// A process is a program that was started, with all that it starts in turn. How
// a system keeps these together differs, so each has its own:
//
//	pid() int                   of the program itself
//	terminate() error           ask all to end
//	kill()                      end all at once
//	wait(finish) runtime.Exit    wait for the program's end, then kill the rest
//
// wait is called once. It calls finish after the program has ended, with its
// session, whose number is nobody else's until finish returns; with 0 where there
// is no such thing. The others are safe for concurrent use, and do nothing when
// wait has returned.
var _ interface {
	pid() int
	terminate() error
	kill()
	wait(finish func(session int)) runtime.Exit
} = (*process)(nil)
