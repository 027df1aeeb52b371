package embedded

import (
	"context"
	"os"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

var _ runtime.Meter = (*Runtime)(nil)

// tickTime is how long a tick is in what the system tells of processes; it is the same
// on all machines.
const tickTime = time.Second / 100

// Usage implements [runtime.Meter]. Without control groups an instance is a session, and
// what has left it is not counted.
func (r *Runtime) Usage(ctx context.Context) ([]runtime.Usage, error) {
	var list []runtime.Usage
	sessions := map[int]*runtime.Usage{}
	for p, in := range r.Running() {
		current, _ := p.(*run)
		u := runtime.Usage{ID: in.ID, Namespace: in.Namespace, Service: in.Service}
		used, ok := current.cell.usage()
		if !ok {
			sessions[current.process.pid()] = &u
			continue
		}
		if u.CPU, u.Memory = used.cpu, used.memory; u.Memory > 0 { // else it has ended meanwhile
			list = append(list, u)
		}
	}
	if len(sessions) == 0 {
		return list, ctx.Err()
	}
	if err := countSessions(ctx, sessions); err != nil {
		return nil, err
	}
	for _, u := range sessions {
		if u.Memory > 0 {
			list = append(list, *u)
		}
	}
	return list, nil
}

// countSessions adds to each session what its processes use.
func countSessions(ctx context.Context, sessions map[int]*runtime.Usage) error {
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		pid := sweep.Number([]byte(name))
		if pid <= 0 {
			continue
		}
		s, ok := sweep.ReadStatus(pid)
		if u := sessions[s.Session]; ok && u != nil {
			u.CPU += time.Duration(s.Ticks) * tickTime
			u.Memory += s.Pages * int64(os.Getpagesize())
		}
	}
	return nil
}
