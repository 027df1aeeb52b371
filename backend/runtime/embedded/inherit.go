package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// inherit takes over what the runtime before has left: it ends processes that
// still run, learns of the instances, and removes what belongs to none.
func (r *Runtime) inherit(ctx context.Context, c cellsConfig) (err error) {
	staging := filepath.Join(r.dir, "staging")
	if err := errors.Join(os.RemoveAll(staging), os.Mkdir(staging, 0o700)); err != nil {
		return err
	}
	// What runs in the cells of before ends here.
	if r.cells, err = openCells(c); err != nil {
		return err
	}
	records := map[*instance]record{}
	left := leftover{mark: markOf(r.id), known: map[processID]bool{}, groups: map[int]bool{}, dir: r.dir}
	for _, in := range r.logged() {
		rec, err := readRecord(in.home.state())
		if err != nil {
			return err
		}
		r.instances[in.id], records[in] = in, rec
		if rec.Exit == nil && rec.Process.PID != 0 && rec.Boot != "" && rec.Boot == r.boot {
			left.known[rec.Process] = true
			left.groups[rec.Process.PID] = true
		}
	}
	killed, err := sweep(ctx, left)
	if err != nil {
		return fmt.Errorf("end what still runs: %w", err)
	}
	if killed > 0 {
		r.log.Info("ended processes of a server that was not stopped", "processes", killed)
	}
	for in, rec := range records {
		r.takeOver(in, rec)
	}
	return errors.Join(r.images.clean(), r.removeStray())
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

// takeOver fills in what is known of an instance, nothing of which runs any more.
// A full disk is no obstacle.
func (r *Runtime) takeOver(in *instance, rec record) {
	if rec.Exit == nil {
		rec.Exit = &runtime.Exit{Code: -1, Signal: "SIGKILL", At: time.Now()}
		in.log.Append(rec.Release, runtime.System, []byte("killed: the server ended without stopping it"))
		in.log.Rest()
		err := errors.Join(in.home.dropIdentity(), os.MkdirAll(string(in.home), 0o700), rec.write(in.home.state()))
		if err != nil {
			r.log.Warn("the end of an instance is not on record", "instance", in.id, "err", err)
		}
	}
	in.image = r.images.adopt(rec.Image)
	in.info = runtime.Instance{
		ID:        in.id,
		Namespace: in.service.Namespace,
		Service:   in.service.Name,
		Release:   rec.Release,
		State:     runtime.Exited,
		Address:   rec.Address,
		Started:   rec.Started,
		Exit:      *rec.Exit,
	}
}

// removeStray removes folders of instances that have no log: they were being
// removed, or made.
func (r *Runtime) removeStray() error {
	dir := filepath.Join(r.dir, "instances")
	return folders(dir, func(id string) error {
		if r.instances[id] != nil {
			return nil
		}
		return os.RemoveAll(filepath.Join(dir, id))
	})
}
