package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// inherit takes over what the runtime before has left: it learns of the instances,
// has the engine take over what runs, and removes what belongs to none.
func (r *Runtime) inherit(ctx context.Context) error {
	records := map[*instance]record{}
	var left []Left
	for _, in := range r.logged() {
		rec, err := readRecord(in.record())
		if err != nil {
			return err
		}
		r.instances[in.id], records[in] = in, rec
		in.image = r.engine.Adopt(rec.Image)
		if rec.Exit == nil {
			left = append(left, Left{in.id, in.home, r.output(in, rec.Release, rec.Started), rec.Process})
		}
	}
	processes, err := r.engine.TakeOver(ctx, left)
	if err != nil {
		return err
	}
	for in, rec := range records {
		r.takeOver(in, rec, processes[in.id])
	}
	return r.removeStray()
}

// logged returns an instance for each log that there is.
func (r *Runtime) logged() []*instance {
	var found []*instance
	for _, l := range r.logs.All() {
		service, id := l.Of()
		in := r.newInstance(id, service)
		in.log = l
		found = append(found, in)
	}
	return found
}

// takeOver fills in what is known of an instance; p is what runs of it, nil when
// nothing does. A full disk is no obstacle.
func (r *Runtime) takeOver(in *instance, rec record, p Process) {
	in.info = runtime.Instance{
		ID:        in.id,
		Namespace: in.service.Namespace,
		Service:   in.service.Name,
		Release:   rec.Release,
		State:     runtime.Exited,
		Address:   rec.Address,
		Started:   rec.Started,
		Unmet:     rec.Unmet,
	}
	if rec.Exit == nil && p != nil {
		in.info.State = runtime.Running
		if port, ok := portOf(rec.Address); ok {
			r.ports.reserve(port)
		}
		current, info := newRun(in, rec.Release, p), in.info
		in.run = current
		r.waits.Go(func() { r.supervise(current, info, rec) })
		return
	}
	if rec.Exit == nil {
		rec.Exit = &runtime.Exit{Code: -1, Signal: "SIGKILL", At: time.Now()}
		in.log.Append(rec.Release, runtime.System, []byte("killed: the server ended without stopping it"))
		in.log.Rest()
		if err := errors.Join(os.MkdirAll(in.home, 0o700), rec.write(in.record())); err != nil {
			r.log.Warn("the end of an instance is not on record", "instance", in.id, "err", err)
		}
	}
	in.info.Exit = *rec.Exit
}

// removeStray removes folders of instances that have no log: they were being
// removed, or made.
func (r *Runtime) removeStray() error {
	dir := filepath.Join(r.dir, "instances")
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() && r.instances[e.Name()] == nil {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
