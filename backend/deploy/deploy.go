// Package deploy keeps running what should run. What should run is a record in
// the store; a reconciler for each service compares it with what the runtime
// says and acts on the difference, again and again, whatever crashed in between.
//
//	NAMESPACE/deploy/service/NAME            what should run, with the current release
//	NAMESPACE/deploy/release/NAME/NUMBER     the last releases
//	NAMESPACE/deploy/change/NAME/NUMBER      the last changes of what should run
//	NAMESPACE/deploy/journal/NAME/NUMBER     what was done, and why
//	$system/deploy/NAMESPACE/NAME            that there is such a service
//
// A release is what instances are made of; how many there are, and how one release
// takes over from another, is not. Release and change are written with the record in
// one transaction. Of a service that was killed all is kept for a while, so that it
// can come back.
//
// It knows neither protocols nor addresses of callers: what makes an instance
// callable is done by a [Directory].
package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// ErrState marks a request that cannot be met in the state that a service is in; its
// text says why.
var ErrState = errors.New("not possible now")

// stateError is an [ErrState] that has no text but its own.
type stateError string

func (e stateError) Error() string { return string(e) }

func (e stateError) Is(target error) bool { return target == ErrState }

func cannot(format string, args ...any) error { return stateError(fmt.Sprintf(format, args...)) }

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
	Foreign   bool // it need not speak gRPC to be well
}

// Config is what [Open] needs.
type Config struct {
	Store     store.Store
	Runtime   runtime.Runtime
	Directory Directory
	// Env is what every instance gets beside its own variables.
	Env map[string]string
	// Lookup returns what the configuration of a namespace has at a path, secrets too,
	// as the text of an environment variable; [ErrNotFound] when nothing is there.
	Lookup func(ctx context.Context, namespace, path string) (string, error)
	// Exec runs a command in an instance and returns why it has failed, in words that
	// follow on "it"; nil: the runtime cannot, and specs that ask for it are refused.
	Exec   func(ctx context.Context, instance string, command []string) error
	Logger *slog.Logger

	// Probe makes a check of an instance; when nil, it is made in earnest.
	Probe func(ctx context.Context, in runtime.Instance, c Check) error
}

// Deployer keeps the services of a store running on a runtime. All methods are
// safe for concurrent use.
type Deployer struct {
	config Config
	writer *writer
	hub    *hub
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
		c.Probe = prober{c.Exec}.probe
	}
	d := &Deployer{config: c, hub: newHub(), services: map[string]*reconciler{}}
	d.writer = newWriter(c.Store, func(err error) { c.Logger.Error("cannot write what was done with services", "err", err) })
	d.ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	d.wg.Go(func() { d.writer.run(d.ctx) })

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

// Close stops reconciling, and writes what is left of the journals. It stops no
// instance: that is the runtime's to do.
func (d *Deployer) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop()
	d.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeIn)
	defer cancel()
	return d.writer.write(ctx)
}

// closeIn bounds how long it may take to write the rest of the journals.
const closeIn = 5 * time.Second

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
		r = newReconciler(&d.config, d.hub, d.writer, ns, name)
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
