package deploy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
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
	hub    *hub
	// journal is what was done and why.
	journal *journal

	mu      sync.Mutex
	rollout rollout
	keepers map[string]*keeper
	ended   map[string]runtime.Instance // no longer wanted, their logs are kept
	changed chan struct{}               // closed at the next change of what people see
}

func newReconciler(c *Config, h *hub, w *writer, ns, name string) *reconciler {
	return &reconciler{
		config:  c,
		ns:      ns,
		name:    name,
		wake:    make(chan struct{}, 1),
		hub:     h,
		journal: newJournal(w, ns, name),
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
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	r.hub.changed(r.ns, r.name)
}

// record adds an entry to the journal, and tells those who follow it.
func (r *reconciler) record(e Entry) {
	r.journal.add(e)
	r.announce()
}

// note adds a change of what should run to the journal.
func (r *reconciler) note(c *Change) {
	e := Entry{Kind: KindChanged, Text: c.String()}
	if c.After != nil {
		e.Release = c.After.Release
	}
	r.record(e)
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
		var again <-chan time.Time
		gone, at, err := r.reconcile(ctx, &keepers)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.config.Logger.Error("cannot reconcile", "namespace", r.ns, "service", r.name, "err", err)
			again = time.After(retryAfter)
		case gone:
			r.announce()
			return
		case !at.IsZero():
			again = time.After(time.Until(at))
		}
		select {
		case <-r.wake:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// reconcile compares once and acts. It reports that the service is gone, or when it has
// to look again at the latest; zero: when something changes.
func (r *reconciler) reconcile(ctx context.Context, keepers *sync.WaitGroup) (gone bool, again time.Time, err error) {
	rec, revision, err := loadDesired(ctx, r.config.Store, r.ns, r.name)
	if err != nil {
		return false, again, err
	}
	if revision == 0 || rec.Deleted {
		gone, err = r.remove(ctx, rec, revision)
		return gone, again, err
	}
	p, err := r.plan(ctx, rec)
	if err != nil {
		return false, again, err
	}
	why, again := r.judge(rec, p.called)
	if why != "" {
		return false, time.Time{}, r.giveUp(ctx, rec.Number, why)
	}
	r.retire(p.retire)
	for _, release := range p.start {
		rel, err := loadRelease(ctx, r.config.Store, r.ns, r.name, &rec, release)
		if err != nil {
			return false, again, err
		}
		r.keep(ctx, keepers, rel)
	}
	if p.healthy && rec.Serving != rec.Number {
		if err := r.takeOver(ctx, rec, revision); err != nil {
			return false, again, err
		}
	}
	return false, again, r.collect(ctx)
}

// takeOver makes the current release the one that serves.
func (r *reconciler) takeOver(ctx context.Context, rec desired, revision int64) error {
	rec.Serving = rec.Number
	if rec.Served.IsZero() {
		rec.Served = time.Now().UTC()
	}
	_, err := r.config.Store.Txn(ctx, store.Txn{
		If: []store.Cond{{Key: serviceKey(r.ns, r.name), Revision: revision}},
		Do: []store.Op{
			store.Put(serviceKey(r.ns, r.name), encode(rec)),
			store.Put(numbered(releasePrefix(r.ns, r.name), rec.Number), encode(rec.Release)),
		},
	})
	switch {
	case errors.Is(err, store.ErrConflict):
	case err != nil:
		return err
	default:
		r.journal.add(Entry{Kind: KindServing, Release: rec.Number, Text: "serves with " + instances(rec.Instances)})
	}
	r.notify()
	return nil
}

// plan compares the instances that there are with those that there should be.
func (r *reconciler) plan(ctx context.Context, rec desired) (plan, error) {
	w := wanted{current: rec.Number, instances: rec.Instances}
	if rec.replaces() {
		_, err := loadRelease(ctx, r.config.Store, r.ns, r.name, &rec, rec.Serving)
		if err == nil {
			w.serving, w.olds = rec.Serving, rec.Olds
		} else if !errors.Is(err, store.ErrNotFound) {
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
	return makePlan(w, there), nil
}

// retire makes instances end for good, for the reasons given by their ids.
func (r *reconciler) retire(why map[string]string) {
	r.mu.Lock()
	var retired []*keeper
	for id := range why {
		retired = append(retired, r.keepers[id]) // this goroutine alone could have taken it out
	}
	r.mu.Unlock()
	for _, k := range retired {
		k.retire(why[k.id])
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

// remove stops everything, and then forgets the service but for what is kept of it for
// a while.
func (r *reconciler) remove(ctx context.Context, rec desired, revision int64) (gone bool, err error) {
	r.mu.Lock()
	keepers := slices.Collect(maps.Values(r.keepers))
	ended := slices.Collect(maps.Values(r.ended))
	r.mu.Unlock()
	for _, k := range keepers {
		k.retire("the service is killed")
	}
	if len(keepers) > 0 {
		return false, nil
	}
	for _, in := range ended {
		if err := r.forget(ctx, in); err != nil {
			return false, err
		}
	}
	// That it was killed may have been told when it was gone already.
	if revision == 0 || rec.Gone && r.journal.isEmpty() {
		return true, nil
	}
	// The numbers of a next journal go on from what is in the store.
	if err := r.journal.write(ctx); err != nil {
		return false, err
	}
	rec.Gone = true
	last := store.Put(serviceKey(r.ns, r.name), encode(rec))
	last.TTL = KeptKilled
	ops, err := keep(ctx, r.config.Store, r.ns, r.name, KeptKilled)
	if err != nil {
		return false, err
	}
	_, err = r.config.Store.Txn(ctx, store.Txn{
		If: []store.Cond{{Key: serviceKey(r.ns, r.name), Revision: revision}},
		Do: append(ops, last, store.Delete(indexKey(r.ns, r.name))),
	})
	if errors.Is(err, store.ErrConflict) { // it was applied again in between
		r.poke()
		return false, nil
	}
	return err == nil, err
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
