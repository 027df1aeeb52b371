package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

const (
	// An instance that ran for so long has recovered from the crashes before.
	recovered = 10 * time.Second
	// The pause after the first crash of an instance that was healthy, after
	// the first of one that was not, and the longest; they double in between.
	shortPause = 100 * time.Millisecond
	firstPause = time.Second
	longPause  = 5 * time.Minute
	// While an instance starts it is asked more often than its probe's period.
	fastProbe = 5 * time.Millisecond
	slowProbe = 250 * time.Millisecond
	// How many of its last lines tell why an instance ended.
	lastLines = 20
)

// keeper takes care of one instance: starts it, waits until it is healthy,
// makes it callable, and starts it again when it ends, until it is retired.
type keeper struct {
	r       *reconciler
	id      string
	release Release
	exited  chan runtime.Instance // the newest exit, for as long as nobody has looked
	retiree chan struct{}         // closed when the instance is to end
	once    sync.Once

	mu       sync.Mutex
	state    Status
	instance runtime.Instance // as it was started last
	up       bool             // the directory knows it
}

func newKeeper(r *reconciler, id string, rel Release) *keeper {
	return &keeper{
		r:       r,
		id:      id,
		release: rel,
		exited:  make(chan runtime.Instance, 1),
		retiree: make(chan struct{}),
		state:   Status{ID: id, Release: rel.Number, Phase: Pending},
	}
}

// retire makes the instance end for good. It does not wait for that.
func (k *keeper) retire() { k.once.Do(func() { close(k.retiree) }) }

func (k *keeper) retired() bool {
	select {
	case <-k.retiree:
		return true
	default:
		return false
	}
}

func (k *keeper) status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

func (k *keeper) phase() Phase { return k.status().Phase }

// last returns the instance as the runtime knows it, false when it was never started.
func (k *keeper) last() (runtime.Instance, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.instance, k.instance.ID != ""
}

// set changes what people see.
func (k *keeper) set(change func(*Status)) {
	k.mu.Lock()
	change(&k.state)
	k.mu.Unlock()
	k.r.notify()
}

// event takes an exit that the runtime tells of.
func (k *keeper) event(in runtime.Instance) {
	if in.State != runtime.Exited {
		return
	}
	for {
		select {
		case k.exited <- in:
			return
		default:
		}
		select {
		case <-k.exited: // an older one
		default:
		}
	}
}

// run keeps the instance until it is retired, and then ends it. When ctx ends
// first it returns at once and leaves the instance as it is. found is what the
// runtime has of the instance from before, nil for a new one.
func (k *keeper) run(ctx context.Context, found *runtime.Instance) {
	if found != nil {
		k.mu.Lock()
		k.instance = *found
		k.mu.Unlock()
	}
	crashes := 0
	for !k.retired() && ctx.Err() == nil {
		began := time.Now()
		running := found != nil && found.State == runtime.Running
		healthy, reason := k.live(ctx, running)
		found = nil
		k.down(ctx)
		if k.retired() || ctx.Err() != nil {
			break
		}
		if healthy && time.Since(began) > recovered {
			crashes = 0
		}
		crashes++
		k.pause(ctx, pauseAfter(crashes, healthy), reason)
	}
	if ctx.Err() != nil {
		return
	}
	k.end(ctx)
}

// pauseAfter returns how long to wait after so many crashes.
func pauseAfter(crashes int, healthy bool) time.Duration {
	if crashes == 1 && healthy {
		return shortPause
	}
	d := longPause
	if crashes < 10 {
		d = min(d, firstPause<<(crashes-1))
	}
	return d + time.Duration(rand.Int64N(int64(d)/5))
}

// pause waits before the next start.
func (k *keeper) pause(ctx context.Context, d time.Duration, reason string) {
	lines := k.lastLines(ctx)
	next := time.Now().Add(d)
	k.set(func(s *Status) {
		s.Phase, s.Reason, s.LastLines, s.NextStart, s.Address = Crashed, reason, lines, next, ""
	})
	select {
	case <-time.After(d):
		k.set(func(s *Status) { s.Restarts++ })
	case <-k.retiree:
	case <-ctx.Done():
	}
}

// live starts the instance, or takes it as it runs, and returns when it does not
// run any more, or should not: whether it was ever healthy, and why it ended.
func (k *keeper) live(ctx context.Context, running bool) (healthy bool, reason string) {
	if !running {
		k.set(func(s *Status) { s.Phase, s.NextStart = Starting, time.Time{} })
		if err := k.start(ctx); err != nil {
			return false, "cannot be started: " + err.Error()
		}
	}
	in, _ := k.last()
	k.set(func(s *Status) { s.Phase, s.Started, s.Address = Starting, in.Started, in.Address })

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := make(chan struct{})
	go func() {
		defer close(watch)
		k.watch(ctx, in, cancel)
	}()
	healthy, reason = k.tend(ctx, in)
	// What ended the life may be that the instance has exited, which says more.
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		reason = cause.Error()
	}
	cancel(nil)
	<-watch
	return healthy, reason
}

// watch cancels when the instance exits or is retired.
func (k *keeper) watch(ctx context.Context, in runtime.Instance, cancel context.CancelCauseFunc) {
	for {
		select {
		case e := <-k.exited:
			if e.Started.Before(in.Started) {
				continue // of a run before
			}
			cancel(errors.New(exitReason(e.Exit)))
			return
		case <-k.retiree:
			cancel(errors.New("retired"))
			return
		case <-ctx.Done():
			return
		}
	}
}

func exitReason(e runtime.Exit) string {
	switch {
	case e.OutOfMemory:
		return "ran out of memory"
	case e.Signal != "":
		return "killed by " + e.Signal
	default:
		return fmt.Sprintf("exited with code %d", e.Code)
	}
}

func (k *keeper) start(ctx context.Context) error {
	select {
	case <-k.exited: // of a run before
	default:
	}
	spec := k.release.Spec
	identity, err := k.r.config.Directory.Identify(ctx, k.entry(runtime.Instance{}))
	if err != nil {
		return err
	}
	env := map[string]string{}
	maps.Copy(env, spec.Env)
	maps.Copy(env, k.r.config.Env)
	maps.Copy(env, map[string]string{
		"MICRO_NAMESPACE":       k.r.ns,
		"MICRO_SERVICE_NAME":    k.r.name,
		"MICRO_SERVICE_VERSION": spec.Version,
		"MICRO_INSTANCE_ID":     k.id,
	})
	started, err := k.r.config.Runtime.Start(ctx, runtime.Spec{
		ID:        k.id,
		Namespace: k.r.ns,
		Service:   k.r.name,
		Release:   k.release.Number,
		Image:     spec.Image,
		Args:      spec.Args,
		Env:       env,
		Identity:  identity,
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.instance = started
	k.mu.Unlock()
	return nil
}

// tend probes the instance until ctx ends or it is to be started again.
func (k *keeper) tend(ctx context.Context, in runtime.Instance) (healthy bool, reason string) {
	p := k.release.Spec.Probe.withDefaults()
	if reason, ok := k.awaitHealthy(ctx, in, p); !ok {
		return false, reason
	}
	tick := time.NewTicker(p.Period)
	defer tick.Stop()
	bad := 0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return true, ""
		}
		err := k.probe(ctx, in, p)
		switch {
		case ctx.Err() != nil:
			return true, ""
		case err == nil && bad < p.Failures:
			bad = 0
		case err == nil:
			if err := k.raise(ctx, in); err != nil {
				k.set(func(s *Status) { s.Reason = err.Error() })
				continue
			}
			bad = 0
		default:
			bad++
			reason := fmt.Sprintf("its probe failed %d times: %s", bad, err)
			switch {
			case bad == p.Failures:
				k.set(func(s *Status) { s.Phase, s.Reason = Unhealthy, reason })
				k.down(ctx)
			case bad >= 2*p.Failures:
				return true, reason
			}
		}
	}
}

// awaitHealthy probes a starting instance until it is healthy and callable. It
// returns why it is not, and false, when that takes too long.
func (k *keeper) awaitHealthy(ctx context.Context, in runtime.Instance, p Probe) (string, bool) {
	deadline := time.NewTimer(p.Startup)
	defer deadline.Stop()
	for wait := fastProbe; ; wait = min(2*wait, slowProbe) {
		err := k.probe(ctx, in, p)
		if err == nil {
			if err = k.raise(ctx, in); err == nil {
				return "", true
			}
		}
		k.mu.Lock()
		k.state.Reason = err.Error() // not worth waking anybody
		k.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-deadline.C:
			return fmt.Sprintf("did not become healthy within %s: %s", p.Startup, err), false
		case <-ctx.Done():
			return "", false
		}
	}
}

func (k *keeper) probe(ctx context.Context, in runtime.Instance, p Probe) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	return k.r.config.Probe(ctx, in.Address, p)
}

func (k *keeper) raise(ctx context.Context, in runtime.Instance) error {
	if err := k.r.config.Directory.Up(ctx, k.entry(in)); err != nil {
		return err
	}
	k.mu.Lock()
	k.up = true
	k.mu.Unlock()
	k.set(func(s *Status) { s.Phase, s.Reason, s.LastLines = Running, "", nil })
	return nil
}

// down makes the instance be called no more; it reports whether it was called.
func (k *keeper) down(ctx context.Context) bool {
	k.mu.Lock()
	up, in := k.up, k.instance
	k.up = false
	k.mu.Unlock()
	if !up {
		return false
	}
	if err := k.r.config.Directory.Down(ctx, k.entry(in)); err != nil && ctx.Err() == nil {
		k.r.config.Logger.Error("cannot take an instance out of the registry",
			"namespace", k.r.ns, "service", k.r.name, "instance", k.id, "err", err)
	}
	return true
}

func (k *keeper) entry(in runtime.Instance) Instance {
	return Instance{
		ID:        k.id,
		Namespace: k.r.ns,
		Service:   k.r.name,
		Version:   k.release.Spec.Version,
		Release:   k.release.Number,
		Image:     k.release.Spec.Image,
		Address:   in.Address,
	}
}

// end stops the instance for good.
func (k *keeper) end(ctx context.Context) {
	called := k.down(ctx)
	k.set(func(s *Status) { s.Phase, s.Reason = Stopping, "" })
	if called {
		in, _ := k.last()
		k.r.config.Directory.Drain(ctx, k.entry(in))
	}
	grace := k.release.Spec.StopGrace
	if grace == 0 {
		grace = DefaultStopGrace
	}
	logger := k.r.config.Logger.With("namespace", k.r.ns, "service", k.r.name, "instance", k.id)
	if err := k.r.config.Runtime.Stop(ctx, k.id, grace); err == nil {
		k.mu.Lock()
		k.instance.State = runtime.Exited
		k.mu.Unlock()
	} else if ctx.Err() == nil {
		logger.Error("cannot stop an instance", "err", err)
	}
	if err := k.r.config.Directory.Forget(ctx, k.entry(runtime.Instance{})); err != nil && ctx.Err() == nil {
		logger.Error("cannot revoke the identity of an instance", "err", err)
	}
}

// lastLines returns what the instance wrote last.
func (k *keeper) lastLines(ctx context.Context) []string {
	var lines []string
	q := runtime.LogQuery{Namespace: k.r.ns, Service: k.r.name, Instance: k.id, Tail: lastLines}
	for l, err := range k.r.config.Runtime.Logs(ctx, q) {
		if err != nil {
			break
		}
		if l.Stream != runtime.System {
			lines = append(lines, l.Text)
		}
	}
	return lines
}
