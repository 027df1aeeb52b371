package embedded

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
)

// mark is what the environment of processes of this runtime begins the value of
// [markVariable] with. The mark of a runtime begins those of its instances, and the
// mark of an instance those of what runs beside its program.
type mark string

// markOf returns the mark that a path of ids ends with, from the runtime's down.
func markOf(ids ...string) mark { return mark(strings.Join(ids, ".") + ".") }

// in reports whether an environment, its variables each ended by a zero byte, has
// the mark or one that begins with it.
func (m mark) in(environ []byte) bool {
	variable := []byte(markVariable + "=" + string(m))
	return bytes.HasPrefix(environ, variable) || bytes.Contains(environ, append([]byte{0}, variable...))
}

// processID tells a process from any other since the machine was started, those
// included that get its number later.
type processID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in units of the system's
}

// leftover says which processes to sweep away.
type leftover struct {
	mark    mark               // those that have it
	session int                // and those of this session; 0: of none
	known   map[processID]bool // and these
	groups  map[int]bool       // and those of these groups and sessions of an earlier life
	dir     string             // that run in here
}

// sweepTime bounds how long a killed process may take to be gone.
const sweepTime = 10 * time.Second

// sweep kills processes until none is left that it should, those included that
// they start meanwhile, and returns how many it killed. It knows them by what
// they inherit, not by their parents: whoever changes its group, session or
// parent to outlive a service is found too.
func sweep(ctx context.Context, l leftover) (killed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	seen := map[processID]bool{}
	l.known = maps.Clone(l.known)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		left, err := killAll(l)
		if err != nil || len(left) == 0 {
			return len(seen), err
		}
		for _, p := range left {
			seen[p] = true
		}
		// One that is about to end has lost what it is known by otherwise.
		if l.known == nil {
			l.known = map[processID]bool{}
		}
		maps.Copy(l.known, seen)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return len(seen), fmt.Errorf("%d processes do not end, %d among them: %w", len(left), left[0].PID, ctx.Err())
		}
	}
}
