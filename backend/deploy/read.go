package deploy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/micro/micro/v3/backend/store"
)

// Services returns the services of a namespace, ordered by name.
func (d *Deployer) Services(ctx context.Context, ns string) ([]Service, error) {
	var services []Service
	prefix := serviceKey(ns, "")
	for r, err := range d.config.Store.Range(ctx, store.Prefix(prefix)) {
		if err != nil {
			return nil, err
		}
		var rec desired
		if err := decode(r, &rec); err != nil {
			return nil, err
		}
		if !rec.Gone {
			services = append(services, d.service(ns, strings.TrimPrefix(r.Key, prefix), rec))
		}
	}
	return services, nil
}

// Names returns the names of the services of a namespace that should run, or still do,
// in no order. It reads nothing.
func (d *Deployer) Names(ns string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for key := range d.services {
		if name, ok := strings.CutPrefix(key, ns+"/"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Service returns one service.
func (d *Deployer) Service(ctx context.Context, ns, name string) (Service, error) {
	rec, revision, err := loadDesired(ctx, d.config.Store, ns, name)
	if err != nil {
		return Service{}, err
	}
	if revision == 0 || rec.Gone {
		return Service{}, ErrNotFound
	}
	return d.service(ns, name, rec), nil
}

func (d *Deployer) service(ns, name string, rec desired) Service {
	d.mu.Lock()
	r := d.services[ns+"/"+name]
	d.mu.Unlock()
	if r == nil {
		return newService(name, rec)
	}
	return r.service(rec)
}

// Releases returns the releases that are kept of a service, the newest first. Those of
// one that was killed are there too, for a while.
func (d *Deployer) Releases(ctx context.Context, ns, name string) ([]Release, error) {
	all, err := loadAll[Release](ctx, d.config.Store, releasePrefix(ns, name))
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	return all, err
}

// Changes returns the changes that are kept of a service, the newest first, and the one
// that Undo would take back; nil: none. Those of one that was killed are there too, for
// a while.
func (d *Deployer) Changes(ctx context.Context, ns, name string) (all []Change, undoable *Change, err error) {
	rec, revision, err := loadDesired(ctx, d.config.Store, ns, name)
	if err != nil {
		return nil, nil, err
	}
	if revision == 0 {
		return nil, nil, ErrNotFound
	}
	all, err = loadAll[Change](ctx, d.config.Store, changePrefix(ns, name))
	return all, rec.Undoable, err
}

// Images returns the references of the images that a namespace needs, ordered: those
// of all releases that are kept.
func (d *Deployer) Images(ctx context.Context, ns string) ([]string, error) {
	all, err := loadAll[Release](ctx, d.config.Store, releasesPrefix(ns))
	if err != nil {
		return nil, err
	}
	images := map[string]bool{}
	for _, r := range all {
		images[r.Spec.Image] = true
	}
	return slices.Sorted(maps.Keys(images)), nil
}

// Watch calls f with the state of a service, and again after each change, until
// ctx ends or f returns an error, which Watch returns. States in between may be
// left out when f is slow, never the last one. It returns [ErrNotFound] when the
// service is gone, and [store.ErrClosed] when the Deployer is closed.
func (d *Deployer) Watch(ctx context.Context, ns, name string, f func(Service) error) error {
	if _, err := d.Service(ctx, ns, name); err != nil {
		return err
	}
	var changed <-chan struct{}
	for {
		d.with(ns, name, func(r *reconciler) { changed = r.changes() })
		s, err := d.Service(ctx, ns, name)
		if err != nil {
			return err
		}
		if err := f(s); err != nil {
			return err
		}
		if err := d.wait(ctx, changed); err != nil {
			return err
		}
	}
}

// wait returns when something has changed, or why it is not waited for any more.
func (d *Deployer) wait(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-d.ctx.Done():
		return store.ErrClosed
	}
}
