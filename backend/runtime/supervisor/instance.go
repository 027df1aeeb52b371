package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/logfile"
)

// instance is an instance that has been started, is being started, or was found
// on the disk.
type instance struct {
	id      string
	service logfile.Service
	home    string // its folder
	log     *logfile.Log
	// op is held by the one call that starts or removes the instance.
	op chan struct{}

	// Guarded by Runtime.mu:
	info    runtime.Instance // its State is 0 before the first start
	run     *run             // nil when it does not run
	image   Image            // of the last start; nil when it is not ready
	removed bool
}

// newInstance returns an instance that has not been started. Its log comes with
// the first start.
func (r *Runtime) newInstance(id string, service logfile.Service) *instance {
	return &instance{
		id:      id,
		service: service,
		home:    filepath.Join(r.dir, "instances", id),
		op:      make(chan struct{}, 1),
	}
}

// acquire returns the instance of an id and holds it; the caller releases it. When
// there is none it is one that create makes, or nil when create is nil.
func (r *Runtime) acquire(ctx context.Context, id string, create func() *instance) (*instance, error) {
	for {
		r.mu.Lock()
		in := r.instances[id]
		if in == nil && create != nil {
			in = create()
			r.instances[id] = in
		}
		r.mu.Unlock()
		if in == nil {
			return nil, nil //nolint:nilnil // there is none, and that is no error
		}
		if err := in.hold(ctx); err != nil {
			return nil, err
		}
		r.mu.Lock()
		removed := in.removed
		r.mu.Unlock()
		if !removed {
			return in, nil
		}
		in.release()
	}
}

// hold waits until nobody holds the instance; a new one is held without waiting.
func (in *instance) hold(ctx context.Context) error {
	select {
	case in.op <- struct{}{}:
		return nil
	default:
	}
	select {
	case in.op <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (in *instance) release() { <-in.op }

// idle waits until a run that is being stopped has ended, and returns
// [runtime.ErrRunning] for one that is not. The caller holds in.
func (r *Runtime) idle(ctx context.Context, in *instance) error {
	r.mu.Lock()
	current := in.run
	r.mu.Unlock()
	if current == nil {
		return nil
	}
	if !current.stopped() {
		return runtime.ErrRunning
	}
	select {
	case <-current.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Start implements [runtime.Runtime].
func (r *Runtime) Start(ctx context.Context, spec runtime.Spec) (runtime.Instance, error) {
	var info runtime.Instance
	err := spec.Validate()
	if err == nil {
		err = r.call(ctx, func(ctx context.Context) error {
			info, err = r.start(ctx, spec)
			return err
		})
	}
	if err != nil {
		return runtime.Instance{}, fmt.Errorf("start instance %q: %w", spec.ID, err)
	}
	return info, nil
}

func (r *Runtime) start(ctx context.Context, spec runtime.Spec) (info runtime.Instance, err error) {
	service := logfile.Service{Namespace: spec.Namespace, Name: spec.Service}
	in, err := r.acquire(ctx, spec.ID, func() *instance { return r.newInstance(spec.ID, service) })
	if err != nil {
		return info, err
	}
	defer in.release()
	if in.service != service {
		return info, fmt.Errorf("it is one of service %q in namespace %q", in.service.Name, in.service.Namespace)
	}
	if err := r.idle(ctx, in); err != nil {
		return info, err
	}
	defer func() {
		if err != nil {
			r.forgetUnstarted(in)
		}
	}()
	img, err := r.engine.Image(ctx, spec.Image)
	if err != nil {
		return info, err
	}
	if in.log == nil {
		if in.log, err = r.logs.Open(service, in.id); err != nil {
			img.Release()
			return info, err
		}
	}
	info, err = r.launch(ctx, in, spec, img)
	if err != nil {
		img.Release()
	}
	return info, err
}

// forgetUnstarted drops an instance that could not be started and never was.
// The caller holds it.
func (r *Runtime) forgetUnstarted(in *instance) {
	r.mu.Lock()
	started := in.info.State != 0
	r.mu.Unlock()
	if started {
		return
	}
	if err := r.drop(in); err != nil {
		r.log.Warn("an instance that was not started stays on the disk", "instance", in.id, "err", err)
	}
}

// Remove implements [runtime.Runtime].
func (r *Runtime) Remove(ctx context.Context, id string) error {
	err := r.call(ctx, func(ctx context.Context) error {
		in, err := r.acquire(ctx, id, nil)
		if in == nil {
			return err
		}
		defer in.release()
		if err := r.idle(ctx, in); err != nil {
			return err
		}
		return r.drop(in)
	})
	if err != nil {
		return fmt.Errorf("remove instance %q: %w", id, err)
	}
	return nil
}

// drop removes an instance and what it left. The caller holds it, and it does
// not run. It is forgotten in one step, when its log is out of its place; what
// stays on the disk then is removed by the next runtime at the latest.
func (r *Runtime) drop(in *instance) error {
	if in.log != nil {
		trash := TrashName(r.staging())
		if err := r.logs.Remove(in.log, trash); err != nil {
			return err
		}
		defer r.discard(trash)
	}
	r.mu.Lock()
	in.removed = true
	delete(r.instances, in.id)
	if in.info.State != 0 {
		info := in.info
		info.State = runtime.Removed
		r.set(in, info)
	}
	img := in.image
	in.image = nil
	r.mu.Unlock()
	if img != nil {
		img.Release()
	}
	r.engine.Forget(in.id)
	trash := TrashName(r.staging())
	if err := os.Rename(in.home, trash); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.discard(trash)
	return nil
}

// discard removes a folder that nothing refers to.
func (r *Runtime) discard(dir string) {
	if err := os.RemoveAll(dir); err != nil {
		r.log.Warn("what is of no more use stays on the disk", "path", dir, "err", err)
	}
}

// Stop implements [runtime.Runtime]. Several may stop one instance; the least
// patient of them decides.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration) error {
	current, err := r.running(ctx, id)
	if err == nil && current != nil {
		err = current.stop(ctx, grace)
	}
	if err != nil {
		return fmt.Errorf("stop instance %q: %w", id, err)
	}
	return nil
}

// running returns what runs of an instance, after a start that is under way; nil
// when nothing does.
func (r *Runtime) running(ctx context.Context, id string) (*run, error) {
	r.mu.Lock()
	closing, in := r.closing, r.instances[id]
	var current *run
	if in != nil {
		current = in.run
	}
	r.mu.Unlock()
	switch {
	case closing:
		return nil, runtime.ErrClosed
	case in == nil || current != nil:
		return current, nil
	}
	in, err := r.acquire(ctx, id, nil)
	if in == nil {
		return nil, err
	}
	defer in.release()
	r.mu.Lock()
	defer r.mu.Unlock()
	return in.run, nil
}

// runs returns what runs now.
func (r *Runtime) runs() []*run {
	r.mu.Lock()
	defer r.mu.Unlock()
	var runs []*run
	for _, in := range r.instances {
		if in.run != nil {
			runs = append(runs, in.run)
		}
	}
	return runs
}

// stopAll ends all instances at the same time.
func (r *Runtime) stopAll(grace time.Duration) error {
	runs := r.runs()
	errs := make(chan error, len(runs))
	for _, current := range runs {
		go func() { errs <- current.stop(context.Background(), grace) }()
	}
	var err error
	for range runs {
		err = errors.Join(err, <-errs)
	}
	return err
}
