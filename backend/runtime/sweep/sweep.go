// Package sweep ends processes of this machine that belong together. It knows them by
// what they inherit from the one that was started, not by their parents: whoever changes
// its group, session or parent to outlive a service is found too.
package sweep

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Variable holds which data directory and which instance a process belongs to.
const Variable = "MICRO_RUNTIME_ID"

// Mark is what the environment of processes of a runtime begins the value of
// [Variable] with. The mark of a runtime begins those of its instances, and the
// mark of an instance those of what runs beside its program.
type Mark string

// MarkOf returns the mark that a path of ids ends with, from the runtime's down.
func MarkOf(ids ...string) Mark { return Mark(strings.Join(ids, ".") + ".") }

// in reports whether an environment, its variables each ended by a zero byte, has
// the mark or one that begins with it.
func (m Mark) in(environ []byte) bool {
	variable := []byte(Variable + "=" + string(m))
	return bytes.HasPrefix(environ, variable) || bytes.Contains(environ, append([]byte{0}, variable...))
}

// Process tells a process from any other since the machine was started, those
// included that get its number later.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in units of the system's
}

// Leftover says which processes to sweep away.
type Leftover struct {
	Mark    Mark             // those that have it
	Session int              // and those of this session; 0: of none
	Known   map[Process]bool // and these
	Groups  map[int]bool     // and those of these groups and sessions of an earlier life
	Dir     string           // that run in here
}

// Time bounds how long a killed process may take to be gone.
const Time = 10 * time.Second

// Kill kills processes until none is left that it should, those included that
// they start meanwhile, and returns how many it killed.
func Kill(ctx context.Context, l Leftover) (killed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, Time)
	defer cancel()
	seen := map[Process]bool{}
	l.Known = maps.Clone(l.Known)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		left, err := killAll(l)
		if err != nil || len(left) == 0 {
			return len(seen), err
		}
		for _, p := range left {
			seen[p] = true
		}
		// One that is about to end has lost what it is known by otherwise.
		if l.Known == nil {
			l.Known = map[Process]bool{}
		}
		maps.Copy(l.Known, seen)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return len(seen), fmt.Errorf("%d processes do not end, %d among them: %w", len(left), left[0].PID, ctx.Err())
		}
	}
}
