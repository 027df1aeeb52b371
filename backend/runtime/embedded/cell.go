package embedded

import (
	"fmt"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// A cell is what holds the processes of one run of an instance: it bounds what they
// take of the machine, and what they see of it. How far a system can do that differs,
// so each has its own:
//
//	start(p) (*process, error)  start a program inside
//	unmet() []supervisor.Unmet             bounds that were asked for and are not held
//	memoryKills() int64         how many processes in it were killed for want of memory
//	usage() (usage, bool)       what it has used; false: it does not know
//	kill() (bool, error)        end all that runs inside, whatever it calls itself; false:
//	                            it cannot
//	close() error               kill, and leave nothing
//
// start may be called by several at the same time. After close it returns
// [runtime.ErrNotRunning].
//
// The cells of a runtime are made by:
//
//	openCells(c cellsConfig) (*cells, error)
//	open(h, img, bounds) (*cell, error)  a cell of an instance; it is closed once
//	forget(h)                            the instance is there no more
//	describe() runtime.Description
//	close() error                        when all cells are closed
//
// openCells ends what runs in the cells that a runtime of before has left.
var (
	_ interface {
		start(p program) (*process, error)
		unmet() []supervisor.Unmet
		memoryKills() int64
		usage() (usage, bool)
		kill() (bool, error)
		close() error
	} = (*cell)(nil)
	_ interface {
		open(h home, img *image, bounds runtime.Resources) (*cell, error)
		forget(h home)
		describe() runtime.Description
		close() error
	} = (*cells)(nil)
)

// cellsConfig is what cells have in common.
type cellsConfig struct {
	id      string // of the runtime
	dir     string // of the runtime
	private string // a directory that contains dir; nobody in a cell sees it
	confine bool   // see [Config]
	proc    string // see [Config]
}

// unmetOf returns all bounds as not held, for one reason.
func unmetOf(b runtime.Resources, reason string) []supervisor.Unmet {
	var list []supervisor.Unmet
	for _, u := range []supervisor.Unmet{
		{What: fmt.Sprintf("its use of processors is not bounded to %g", float64(b.CPU)/1000), Reason: reason, Bounds: runtime.Resources{CPU: b.CPU}},
		{What: fmt.Sprintf("its memory is not bounded to %d bytes", b.Memory), Reason: reason, Bounds: runtime.Resources{Memory: b.Memory}},
		{What: fmt.Sprintf("its processes are not bounded to %d", b.Processes), Reason: reason, Bounds: runtime.Resources{Processes: b.Processes}},
	} {
		if u.Bounds != (runtime.Resources{}) {
			list = append(list, u)
		}
	}
	return list
}

// usage is what a cell has used of the machine.
type usage struct {
	cpu    time.Duration // of all processors together
	memory int64         // bytes now
}
