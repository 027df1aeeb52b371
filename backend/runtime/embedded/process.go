package embedded

import (
	"os"

	"github.com/micro/micro/v3/backend/runtime"
)

// program is what to start as a process.
type program struct {
	path           string
	argv           []string // the name first
	env            []string
	dir            string
	stdout, stderr *os.File
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
// wait has returned. A starter starts processes; it is closed when none is
// left, since on Linux they die with it.
var (
	_ interface {
		pid() int
		terminate() error
		kill()
		wait(finish func(session int)) runtime.Exit
	} = (*process)(nil)
	_ interface {
		start(p program) (*process, error)
		close()
	} = (*starter)(nil)
)
