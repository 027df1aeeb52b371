package deploy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/store"
)

const (
	// keptInstances is how many ended instances of a service keep what they wrote.
	keptInstances = 5
	// retryAfter is the pause after an error of the store or the runtime.
	retryAfter = time.Second
)

// reconciler makes one service run as its record says. It decides which
// instances there should be; each of them is taken care of by a keeper.
type reconciler struct {
	config *Config
	ns     string
	name   string
	wake   chan struct{} // holds one token: something has changed

	mu      sync.Mutex
	keepers map[string]*keeper
	ended   map[string]runtime.Instance // no longer wanted, their logs are kept
	changed chan struct{}               // closed at the next change of what people see
}

func newReconciler(c *Config, ns, name string) *reconciler {
	return &reconciler{
		config:  c,
		ns:      ns,
		name:    name,
		wake:    make(chan struct{}, 1),
		keepers: map[string]*keeper{},
		ended:   map[string]runtime.Instance{},
		changed: make(chan struct{}),
	}
}

// poke makes the reconciler look again.
func (r *reconciler) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// announce tells watchers that there is something new to see.
func (r *reconciler) announce() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

// notify announces, and looks again.
func (r *reconciler) notify() {
	r.announce()
	r.poke()
}

func (r *reconciler) changes() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// event takes what the runtime says of an instance.
func (r *reconciler) event(in runtime.Instance) {
	r.mu.Lock()
	k := r.keepers[in.ID]
	switch {
	case k != nil:
	case in.State == runtime.Removed:
		delete(r.ended, in.ID)
	default:
		r.ended[in.ID] = in
	}
	r.mu.Unlock()
	if k != nil {
		k.event(in)
	}
	r.poke()
}

// run reconciles until ctx ends, or the service is gone and nothing waits to
// be looked at.
func (r *reconciler) run(ctx context.Context) {
	var keepers sync.WaitGroup
	defer keepers.Wait()
	for {
		var retry <-chan time.Time
		gone, err := r.reconcile(ctx, &keepers)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.config.Logger.Error("cannot reconcile", "namespace", r.ns, "service", r.name, "err", err)
			retry = time.After(retryAfter)
		case gone:
			r.announce()
			return
		}
		select {
		case <-r.wake:
		case <-retry:
		case <-ctx.Done():
			return
		}
	}
}

// reconcile compares once and acts. It reports that the service is gone.
func (r *reconciler) reconcile(ctx context.Context, keepers *sync.WaitGroup) (gone bool, err error) {
	rec, revision, err := loadDesired(ctx, r.config.Store, r.ns, r.name)
	if err != nil {
		return false, err
	}
	if revision == 0 || rec.Deleted {
		return r.remove(ctx, revision)
	}
	p, err := r.plan(ctx, rec)
	if err != nil {
		return false, err
	}
	r.retire(p.retire)
	for _, release := range p.start {
		rel, err := r.release(ctx, rec, release)
		if err != nil {
			return false, err
		}
		r.keep(ctx, keepers, rel)
	}
	if p.healthy && rec.Serving != rec.Number {
		rec.Serving = rec.Number
		_, err := r.config.Store.Txn(ctx, store.Txn{
			If: []store.Cond{{Key: serviceKey(r.ns, r.name), Revision: revision}},
			Do: []store.Op{store.Put(serviceKey(r.ns, r.name), encode(rec))},
		})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return false, err
		}
		r.notify()
	}
	return false, r.collect(ctx)
}

// plan compares the instances that there are with those that there should be.
func (r *reconciler) plan(ctx context.Context, rec desired) (plan, error) {
	serving := Release{}
	if rec.Serving != 0 && rec.Serving != rec.Number {
		var err error
		serving, err = r.release(ctx, rec, rec.Serving)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return plan{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var there []member
	for id, k := range r.keepers {
		if !k.retired() {
			there = append(there, member{id: id, release: k.release.Number, phase: k.phase()})
		}
	}
	return makePlan(rec.Release, serving, there), nil
}

func (r *reconciler) release(ctx context.Context, rec desired, number int64) (Release, error) {
	if number == rec.Number {
		return rec.Release, nil
	}
	v, err := r.config.Store.Get(ctx, releaseKey(r.ns, r.name, number))
	if err != nil {
		return Release{}, fmt.Errorf("release %d: %w", number, err)
	}
	var rel Release
	if err := json.Unmarshal(v.Value, &rel); err != nil {
		return Release{}, fmt.Errorf("release %d: %w", number, err)
	}
	return rel, nil
}

// retire makes instances end for good.
func (r *reconciler) retire(ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.keepers[id].retire() // this goroutine alone could have taken it out
	}
}

// keep adds an instance of a release. One that was there before is taken up again,
// best one that runs, so that it keeps its name and what it wrote.
func (r *reconciler) keep(ctx context.Context, keepers *sync.WaitGroup, rel Release) {
	r.mu.Lock()
	var found *runtime.Instance
	for _, in := range r.ended {
		if in.Release == rel.Number && (found == nil || better(in, *found)) {
			found = &in
		}
	}
	id := newID(r.name, rel.Number)
	if found != nil {
		id = found.ID
		delete(r.ended, id)
	}
	k := newKeeper(r, id, rel)
	r.keepers[id] = k
	r.mu.Unlock()
	keepers.Go(func() {
		k.run(ctx, found)
		if ctx.Err() != nil {
			return // it goes on running; the runtime knows
		}
		r.mu.Lock()
		delete(r.keepers, id)
		if last := k.last(); last.ID != "" {
			r.ended[id] = last
		}
		r.mu.Unlock()
		r.notify()
	})
}

// better reports whether it is a rather than b that should be taken up again.
func better(a, b runtime.Instance) bool {
	if ra, rb := a.State == runtime.Running, b.State == runtime.Running; ra != rb {
		return ra
	}
	return a.Started.After(b.Started)
}

// newID returns an id for an instance. It is unique on the server, whatever the
// services of other namespaces are called, and no longer than a DNS label.
func newID(service string, release int64) string {
	end := fmt.Sprintf("-%d-%s", release, strings.ToLower(rand.Text()[:8]))
	return service[:min(len(service), 63-len(end))] + end
}

// remove stops everything and then forgets the service.
func (r *reconciler) remove(ctx context.Context, revision int64) (gone bool, err error) {
	r.mu.Lock()
	running := len(r.keepers)
	for _, k := range r.keepers {
		k.retire()
	}
	ended := make([]runtime.Instance, 0, len(r.ended))
	for _, in := range r.ended {
		ended = append(ended, in)
	}
	r.mu.Unlock()
	if running > 0 {
		return false, nil
	}
	for _, in := range ended {
		if err := r.forget(ctx, in); err != nil {
			return false, err
		}
	}
	if revision == 0 {
		return true, nil
	}
	var ops []store.Op
	for rec, err := range r.config.Store.Range(ctx, store.Prefix(releasePrefix(r.ns, r.name))) {
		if err != nil {
			return false, err
		}
		ops = append(ops, store.Delete(rec.Key))
	}
	// What goes last is what says that there is something to remove.
	ops = append(ops, store.Delete(serviceKey(r.ns, r.name)), store.Delete(indexKey(r.ns, r.name)))
	for chunk := range slices.Chunk(ops, store.MaxOps) {
		// Never a release of a service that was applied again in between.
		_, err := r.config.Store.Txn(ctx, store.Txn{
			If: []store.Cond{{Key: serviceKey(r.ns, r.name), Revision: revision}},
			Do: chunk,
		})
		if errors.Is(err, store.ErrConflict) {
			r.poke()
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// forget stops what may still run of an instance, and drops its files and identity.
func (r *reconciler) forget(ctx context.Context, in runtime.Instance) error {
	if in.State == runtime.Running {
		if err := r.config.Runtime.Stop(ctx, in.ID, DefaultStopGrace); err != nil {
			return err
		}
	}
	// Whoever kept it did so, but for one that a server before has left.
	if err := r.config.Directory.Forget(ctx, Instance{
		ID: in.ID, Namespace: r.ns, Service: r.name, Release: in.Release, Address: in.Address,
	}); err != nil {
		return err
	}
	if err := r.config.Runtime.Remove(ctx, in.ID); err != nil {
		return err
	}
	r.mu.Lock()
	delete(r.ended, in.ID)
	r.mu.Unlock()
	return nil
}

// collect forgets the instances that ended longest ago, and stops those that run
// and are not wanted: a server before may have died between two steps.
func (r *reconciler) collect(ctx context.Context) error {
	r.mu.Lock()
	ended := make([]runtime.Instance, 0, len(r.ended))
	for _, in := range r.ended {
		ended = append(ended, in)
	}
	r.mu.Unlock()
	slices.SortFunc(ended, func(a, b runtime.Instance) int { return b.Started.Compare(a.Started) })
	for i, in := range ended {
		if i < keptInstances && in.State != runtime.Running {
			continue
		}
		if err := r.forget(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// service returns what people see.
func (r *reconciler) service(rec desired) Service {
	s := newService(r.name, rec)
	r.mu.Lock()
	for _, k := range r.keepers {
		s.Instances = append(s.Instances, k.status())
	}
	r.mu.Unlock()
	s.summarize(rec.Deleted)
	return s
}
