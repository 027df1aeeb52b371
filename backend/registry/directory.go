package registry

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/micro/micro/v3/backend/store"
)

// Directory is what can be called in one namespace, in memory. An instance whose
// lease has ended is in it for a moment longer. All methods are safe for concurrent
// use.
type Directory struct {
	view *store.View[Instance]

	// A change touches what it is about: that leases are renewed, which is most of
	// what happens, costs as much in a large namespace as in a small one. Slices
	// are replaced, never changed, since they are handed out.
	mu        sync.RWMutex
	services  map[string][]Instance // by service, ordered by release and id
	provided  map[string][]string   // by service: the gRPC services that it has, ordered
	providers map[string][]string   // by gRPC service: the services that have it, ordered
	changed   chan struct{}
}

// opened is a directory as the registry has it.
type opened struct{ *Directory }

func openDirectory(ctx context.Context, s store.Store, prefix string) (opened, error) {
	d := &Directory{
		services:  map[string][]Instance{},
		provided:  map[string][]string{},
		providers: map[string][]string{},
		changed:   make(chan struct{}),
	}
	view, err := store.NewObservedView(ctx, s, prefix, decode, d.observe)
	if err != nil {
		return opened{}, err
	}
	d.view = view
	return opened{d}, nil
}

func (o opened) Wait(ctx context.Context, revision int64) error { return o.view.Wait(ctx, revision) }

func (o opened) Close() { o.view.Close() }

// Instances returns the instances of a service, those of the newest release
// last; the caller must not change them.
func (d *Directory) Instances(service string) []Instance {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.services[service]
}

// Services yields the services with their instances, as they were when Services was
// called, ordered by name. None is without an instance.
func (d *Directory) Services() iter.Seq2[string, []Instance] {
	d.mu.RLock()
	services := maps.Clone(d.services)
	d.mu.RUnlock()
	return func(yield func(string, []Instance) bool) {
		for _, name := range slices.Sorted(maps.Keys(services)) {
			if !yield(name, services[name]) {
				return
			}
		}
	}
}

// Providers returns the names of the services that have the gRPC service of
// the given full name, ordered; the caller must not change them.
func (d *Directory) Providers(grpcService string) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.providers[grpcService]
}

// speaks reports whether an instance speaks the schema with a digest.
func (d *Directory) speaks(digest string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, instances := range d.services {
		if slices.ContainsFunc(instances, func(in Instance) bool { return in.Schema == digest }) {
			return true
		}
	}
	return false
}

// Changed returns a channel that is closed when something changes next, other than
// that leases are renewed. It is not closed by the directory's end: see
// [Directory.Done].
func (d *Directory) Changed() <-chan struct{} {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.changed
}

// Done is closed when the directory is not kept current any more; [Directory.Err]
// says why. [Registry.Directory] returns another one then.
func (d *Directory) Done() <-chan struct{} { return d.view.Done() }

// Err returns why the directory is not kept current any more, nil while it is.
func (d *Directory) Err() error { return d.view.Err() }

// observe takes the changes of a transaction over.
func (d *Directory) observe(deltas []store.Delta[Instance]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := map[string]map[string]*Instance{} // by service and id; nil: it is gone
	silent := true
	for _, c := range deltas {
		in := cmp.Or(c.Is, c.Was)
		if touched[in.Service] == nil {
			touched[in.Service] = map[string]*Instance{}
		}
		touched[in.Service][in.ID] = c.Is
		if c.Is == nil || c.Was == nil || c.Is.differs(c.Was) {
			silent = false
		}
	}
	for service, now := range touched {
		d.update(service, now)
		if !silent {
			d.index(service)
		}
	}
	if !silent {
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// update replaces instances of a service.
func (d *Directory) update(service string, now map[string]*Instance) {
	before := d.services[service]
	after := make([]Instance, 0, len(before)+len(now))
	for _, in := range before {
		is, touched := now[in.ID]
		switch {
		case !touched:
			after = append(after, in)
		case is != nil:
			after = append(after, *is)
		}
		delete(now, in.ID)
	}
	for _, in := range now {
		if in != nil {
			after = append(after, *in)
		}
	}
	if len(after) == 0 {
		delete(d.services, service)
		return
	}
	slices.SortFunc(after, func(a, b Instance) int {
		return cmp.Or(cmp.Compare(a.Release, b.Release), cmp.Compare(a.ID, b.ID))
	})
	d.services[service] = after
}

// index finds out which gRPC services a service has now.
func (d *Directory) index(service string) {
	var now []string
	for _, in := range d.services[service] {
		now = append(now, in.Provides...)
	}
	slices.Sort(now)
	now = slices.Compact(now)
	before := d.provided[service]
	if slices.Equal(before, now) {
		return
	}
	for _, p := range before {
		if _, still := slices.BinarySearch(now, p); still {
			continue
		}
		d.providers[p] = slices.DeleteFunc(slices.Clone(d.providers[p]), func(s string) bool { return s == service })
		if len(d.providers[p]) == 0 {
			delete(d.providers, p)
		}
	}
	for _, p := range now {
		if i, found := slices.BinarySearch(d.providers[p], service); !found {
			d.providers[p] = slices.Insert(slices.Clone(d.providers[p]), i, service)
		}
	}
	if d.provided[service] = now; len(now) == 0 {
		delete(d.provided, service)
	}
}
