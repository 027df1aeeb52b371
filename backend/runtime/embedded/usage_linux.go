package embedded

import (
	"context"
	"os"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

var _ runtime.Meter = (*Runtime)(nil)

// tickTime is how long a tick is in what the system tells of processes; it is the same
// on all machines.
const tickTime = time.Second / 100

// Usage implements [runtime.Meter]. An instance is a session; what has left it is not
// counted.
func (r *Runtime) Usage(ctx context.Context) ([]runtime.Usage, error) {
	sessions := map[int]*runtime.Usage{}
	r.mu.Lock()
	for _, in := range r.instances {
		if in.run != nil {
			sessions[in.run.process.pid()] = &runtime.Usage{ID: in.id, Namespace: in.info.Namespace, Service: in.info.Service}
		}
	}
	r.mu.Unlock()
	if len(sessions) == 0 {
		return nil, nil
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		pid := number([]byte(name))
		if pid <= 0 {
			continue
		}
		s, ok := readStatus(pid)
		if u := sessions[s.session]; ok && u != nil {
			u.CPU += time.Duration(s.ticks) * tickTime
			u.Memory += s.pages * int64(os.Getpagesize())
		}
	}
	var list []runtime.Usage
	for _, u := range sessions {
		if u.Memory > 0 { // else it has ended meanwhile
			list = append(list, *u)
		}
	}
	return list, nil
}
