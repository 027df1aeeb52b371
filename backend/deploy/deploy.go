// Package deploy keeps running what should run. What should run is a record in
// the store; a reconciler for each service compares it with what the runtime
// says and acts on the difference, again and again, whatever crashed in between.
//
//	NAMESPACE/deploy/service/NAME            the current release
//	NAMESPACE/deploy/release/NAME/NUMBER     the last releases
//	$system/deploy/NAMESPACE/NAME            that there is such a service
//
// It knows neither protocols nor addresses of callers: what makes an instance
// callable is done by a [Directory].
package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/store"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound: there is no such service.
	ErrNotFound = errors.New("not found")
	// ErrInvalid marks a request that can never succeed; its text says why.
	ErrInvalid = errors.New("invalid")
)

// invalidError is an [ErrInvalid] that has no text but its own.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func (e invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// Spec is how a service should run.
type Spec struct {
	Image     string            `json:"image"` // repository@sha256:…
	Source    Source            `json:"source,omitzero"`
	Version   string            `json:"version,omitempty"`
	Instances int               `json:"instances"`
	Env       map[string]string `json:"env,omitempty"`
	Args      []string          `json:"args,omitempty"`
	Probe     Probe             `json:"probe,omitzero"`
	StopGrace time.Duration     `json:"stop_grace,omitempty"`
}

// Source is where an image came from.
type Source struct {
	Address  string `json:"address,omitempty"`
	Folder   string `json:"folder,omitempty"`
	Ref      string `json:"ref,omitempty"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
}

// Limits and defaults of a [Spec].
const (
	MaxInstances     = 1000
	MaxStopGrace     = 10 * time.Minute
	DefaultStopGrace = 10 * time.Second
	// MinPeriod is how often an instance may be probed at the most.
	MinPeriod = 100 * time.Millisecond
	// KeptReleases is how many releases of a service are remembered.
	KeptReleases = 100
)

// Release is one state of what should run.
type Release struct {
	Number int64     `json:"number"`
	Spec   Spec      `json:"spec"`
	By     string    `json:"by,omitempty"` // the account that made it
	At     time.Time `json:"at"`
}

// desired is the record of a service.
type desired struct {
	Release
	// Serving is the newest release whose instances were all healthy, 0 when
	// none ever was: it is called until a later one can take over.
	Serving int64 `json:"serving,omitempty"`
	// Deleted says that nothing should run; the record goes when nothing does.
	Deleted bool `json:"deleted,omitempty"`
}

const index = "$system/deploy/"

func serviceKey(ns, name string) string    { return ns + "/deploy/service/" + name }
func indexKey(ns, name string) string      { return index + ns + "/" + name }
func releasePrefix(ns, name string) string { return ns + "/deploy/release/" + name + "/" }
func releaseKey(ns, name string, n int64) string {
	return fmt.Sprintf("%s%020d", releasePrefix(ns, name), n)
}

// Directory makes instances callable. The server implements it.
type Directory interface {
	// Up makes an instance callable, or says why it cannot be.
	Up(ctx context.Context, in Instance) error
	// Down ends that; no new call goes to the instance when it has returned.
	Down(ctx context.Context, in Instance) error
	// Drain waits, not for ever, for the calls that go on after Down.
	Drain(ctx context.Context, in Instance)
	// Identify returns what an instance proves who it is with.
	Identify(ctx context.Context, in Instance) ([]byte, error)
	// Forget makes that void.
	Forget(ctx context.Context, in Instance) error
}

// Instance is an instance as a [Directory] sees it.
type Instance struct {
	ID        string
	Namespace string
	Service   string
	Version   string
	Release   int64
	Image     string
	Address   string
}

// Config is what [Open] needs.
type Config struct {
	Store     store.Store
	Runtime   runtime.Runtime
	Directory Directory
	// Env is what every instance gets beside its own variables.
	Env    map[string]string
	Logger *slog.Logger

	// Probe asks an instance for its health; over grpc.health.v1 when nil.
	Probe func(ctx context.Context, address string, p Probe) error
}

// Deployer keeps the services of a store running on a runtime. All methods are
// safe for concurrent use.
type Deployer struct {
	config Config
	stop   context.CancelFunc
	ctx    context.Context //nolint:containedctx // the life of the reconcilers, which outlive the calls that make them
	wg     sync.WaitGroup

	mu       sync.Mutex
	services map[string]*reconciler // by namespace/name
	begun    bool                   // the reconcilers run
	closed   bool
}

// Open starts to reconcile every service of the store.
func Open(ctx context.Context, c Config) (*Deployer, error) {
	if c.Probe == nil {
		c.Probe = Check
	}
	d := &Deployer{config: c, services: map[string]*reconciler{}}
	d.ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))

	synced := make(chan error, 1)
	d.wg.Go(func() { d.follow(synced) })
	if err := d.begin(ctx, synced); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// begin starts the reconcilers, when it is known what runs already: nothing must be
// started twice, and nothing be stopped because its like was started anew.
func (d *Deployer) begin(ctx context.Context, synced <-chan error) error {
	select {
	case err := <-synced:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	for r, err := range d.config.Store.Range(ctx, store.Prefix(index)) {
		if err != nil {
			return err
		}
		ns, name, ok := strings.Cut(strings.TrimPrefix(r.Key, index), "/")
		if !ok {
			return fmt.Errorf("%s: not the key of a service", r.Key)
		}
		d.poke(ns, name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun = true
	for key, r := range d.services {
		d.wg.Go(func() { d.run(key, r) })
	}
	return nil
}

// Close stops reconciling. It stops no instance: that is the runtime's to do.
func (d *Deployer) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop()
	d.wg.Wait()
	return nil
}

// poke makes the reconciler of a service look again, starting it at first use.
func (d *Deployer) poke(ns, name string) { d.with(ns, name, (*reconciler).poke) }

// with calls f with the reconciler of a service, which it starts at first use. The
// reconciler cannot end before it has seen what f leaves for it.
func (d *Deployer) with(ns, name string, f func(*reconciler)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := ns + "/" + name
	r := d.services[key]
	if r == nil {
		r = newReconciler(&d.config, ns, name)
		d.services[key] = r
		if d.begun && !d.closed {
			d.wg.Go(func() { d.run(key, r) })
		}
	}
	f(r)
}

// run runs a reconciler until there is nothing left for it to do.
func (d *Deployer) run(key string, r *reconciler) {
	for again := true; again; {
		r.run(d.ctx)
		again = d.again(key, r)
	}
	r.announce() // to those who wait for what another one will tell
}

// again reports whether a reconciler that has ended has something to look at, and
// forgets it when it has not.
func (d *Deployer) again(key string, r *reconciler) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() == nil {
		select {
		case <-r.wake:
			return true
		default:
		}
	}
	delete(d.services, key)
	return false
}

// follow hands the runtime's events to the reconcilers until the Deployer is closed.
// It tells synced when the first watch has shown what there is, or why it did not.
func (d *Deployer) follow(synced chan<- error) {
	for first := true; ; {
		err := d.watch(func() {
			if first {
				first = false
				synced <- nil
			}
		})
		if first {
			synced <- err
			return
		}
		if d.ctx.Err() != nil {
			return
		}
		d.config.Logger.Error("the runtime's events ended", "err", err)
		select {
		case <-time.After(retryAfter):
		case <-d.ctx.Done():
			return
		}
	}
}

// watch hands events to the reconcilers until the watch ends.
func (d *Deployer) watch(synced func()) error {
	for e, err := range d.config.Runtime.Watch(d.ctx) {
		switch {
		case err != nil:
			return err
		case e.Synced:
			synced()
		default:
			d.with(e.Instance.Namespace, e.Instance.Service, func(r *reconciler) { r.event(e.Instance) })
		}
	}
	return errors.New("the watch ended without a reason")
}

// Apply makes spec what should run, and returns the release that says so and
// whether that is a new one. With update it is [ErrNotFound] when there is no
// such service; with restart there is a new release even when nothing differs.
// It does not wait for the effect.
func (d *Deployer) Apply(ctx context.Context, ns, name string, spec Spec, by string, update, restart bool) (Release, bool, error) {
	if spec.Instances == 0 {
		spec.Instances = 1
	}
	if err := spec.check(); err != nil {
		return Release{}, false, err
	}
	for {
		current, revision, err := d.load(ctx, ns, name)
		if err != nil {
			return Release{}, false, err
		}
		exists := revision != 0 && !current.Deleted
		if !exists && update {
			return Release{}, false, ErrNotFound
		}
		if exists && !restart && equal(current.Spec, spec) {
			return current.Release, false, nil
		}
		next := desired{Release: Release{Number: current.Number + 1, Spec: spec, By: by, At: time.Now()}}
		if exists {
			next.Serving = current.Serving // what was deleted never serves again
		}
		ops := []store.Op{
			store.Put(serviceKey(ns, name), encode(next)),
			store.Put(releaseKey(ns, name, next.Number), encode(next.Release)),
			store.Put(indexKey(ns, name), nil),
		}
		if old := next.Number - KeptReleases; old > 0 && old != next.Serving {
			ops = append(ops, store.Delete(releaseKey(ns, name, old)))
		}
		_, err = d.config.Store.Txn(ctx, store.Txn{
			If: []store.Cond{{Key: serviceKey(ns, name), Revision: revision}},
			Do: ops,
		})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return Release{}, false, err
		}
		d.poke(ns, name)
		return next.Release, true, nil
	}
}

// Delete makes a service stop for good; its releases are forgotten when its last
// instance is gone. It does not wait for that.
func (d *Deployer) Delete(ctx context.Context, ns, name string) error {
	for {
		current, revision, err := d.load(ctx, ns, name)
		if err != nil {
			return err
		}
		if revision == 0 || current.Deleted {
			return ErrNotFound
		}
		current.Deleted = true
		_, err = d.config.Store.Txn(ctx, store.Txn{
			If: []store.Cond{{Key: serviceKey(ns, name), Revision: revision}},
			Do: []store.Op{store.Put(serviceKey(ns, name), encode(current))},
		})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		d.poke(ns, name)
		return nil
	}
}

// Services returns the services of a namespace, ordered by name.
func (d *Deployer) Services(ctx context.Context, ns string) ([]Service, error) {
	var services []Service
	prefix := serviceKey(ns, "")
	for r, err := range d.config.Store.Range(ctx, store.Prefix(prefix)) {
		if err != nil {
			return nil, err
		}
		var rec desired
		if err := json.Unmarshal(r.Value, &rec); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Key, err)
		}
		name := strings.TrimPrefix(r.Key, prefix)
		services = append(services, d.service(ns, name, rec))
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
	rec, revision, err := d.load(ctx, ns, name)
	if err != nil {
		return Service{}, err
	}
	if revision == 0 {
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
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-d.ctx.Done():
			return store.ErrClosed
		}
	}
}

func (d *Deployer) load(ctx context.Context, ns, name string) (desired, int64, error) {
	return loadDesired(ctx, d.config.Store, ns, name)
}

// loadDesired returns the record of a service; the revision is 0 when there is none.
func loadDesired(ctx context.Context, s store.Store, ns, name string) (rec desired, revision int64, err error) {
	r, err := s.Get(ctx, serviceKey(ns, name))
	if errors.Is(err, store.ErrNotFound) {
		return desired{}, 0, nil
	}
	if err != nil {
		return desired{}, 0, err
	}
	if err := json.Unmarshal(r.Value, &rec); err != nil {
		return desired{}, 0, fmt.Errorf("%s: %w", r.Key, err)
	}
	return rec, r.Revision, nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("deploy: a record that JSON cannot hold: %v", err))
	}
	return b
}

// equal reports whether two specs mean the same; that one was built from
// another commit with the same outcome makes no difference.
func equal(a, b Spec) bool {
	return a.Image == b.Image && a.Instances == b.Instances && a.Version == b.Version &&
		a.Probe == b.Probe && a.StopGrace == b.StopGrace &&
		maps.Equal(a.Env, b.Env) && slices.Equal(a.Args, b.Args)
}

func (s Spec) check() error {
	switch {
	case s.Image == "":
		return invalid("no image")
	case s.Instances < 0 || s.Instances > MaxInstances:
		return invalid("%d instances; 1 to %d are possible", s.Instances, MaxInstances)
	case s.StopGrace < 0 || s.StopGrace > MaxStopGrace:
		return invalid("a grace of %s; up to %s is possible", s.StopGrace, MaxStopGrace)
	case s.Probe.Period < 0 || s.Probe.Timeout < 0 || s.Probe.Startup < 0 || s.Probe.Failures < 0:
		return invalid("a probe with a negative value")
	case s.Probe.Period > 0 && s.Probe.Period < MinPeriod:
		return invalid("a probe each %s; each %s is possible", s.Probe.Period, MinPeriod)
	case s.Probe.Failures > maxFailures:
		return invalid("%d failures of a probe; up to %d are possible", s.Probe.Failures, maxFailures)
	}
	for i, arg := range s.Args {
		if strings.ContainsRune(arg, 0) {
			return invalid("argument %d holds a zero byte", i+1)
		}
	}
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return invalid("%q cannot name an environment variable", name)
		}
		if strings.ContainsRune(value, 0) {
			return invalid("the environment variable %s holds a zero byte", name)
		}
		if strings.HasPrefix(name, "MICRO_") {
			return invalid("the environment variable %s is the platform's; names that begin with MICRO_ are reserved", name)
		}
	}
	return nil
}
