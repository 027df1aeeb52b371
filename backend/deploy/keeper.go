package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// How often it is looked whether there is what an instance lacks.
	lookAgain = time.Second
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
	up       bool             // the directory may know it
}

func newKeeper(r *reconciler, id string, rel Release) *keeper {
	return &keeper{
		r:       r,
		id:      id,
		release: rel,
		exited:  make(chan runtime.Instance, 1),
		retiree: make(chan struct{}),
		state:   Status{ID: id, Release: rel.Number, Phase: Pending, Since: time.Now()},
	}
}

// retire makes the instance end for good. It does not wait for that.
func (k *keeper) retire(why string) {
	k.once.Do(func() {
		k.record(KindRetired, "is to end: %s", why)
		close(k.retiree)
	})
}

// record adds an entry about the instance to the journal.
func (k *keeper) record(kind Kind, format string, args ...any) {
	k.r.record(Entry{Kind: kind, Instance: k.id, Release: k.release.Number, Text: fmt.Sprintf(format, args...)})
}

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

// last returns the instance as the runtime knows it; it has no id when the runtime was
// never told to start it.
func (k *keeper) last() runtime.Instance {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.instance
}

// set changes what people see.
func (k *keeper) set(change func(*Status)) {
	k.mu.Lock()
	before := k.state.Phase
	if change(&k.state); k.state.Phase != before {
		k.state.Since = time.Now()
	}
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
	for {
		began := time.Now()
		running := found != nil && found.State == runtime.Running
		found = nil
		healthy, err := k.live(ctx, running)
		if ctx.Err() != nil {
			return
		}
		if k.retired() {
			break
		}
		k.down(ctx)
		// What is not healthy may run still. That it cannot be stopped will show
		// when it is to be started.
		if err := k.config().Runtime.Stop(ctx, k.id, k.grace()); err != nil && ctx.Err() == nil {
			k.logger().Error("cannot stop an instance", "err", err)
		}
		if healthy && time.Since(began) > recovered {
			crashes = 0
		}
		crashes++
		d := pauseAfter(crashes, healthy)
		if errors.Is(err, runtime.ErrImage) {
			d = longPause // it is the image that is wrong, and that never changes
		}
		k.pause(ctx, d, err)
		if ctx.Err() != nil {
			return
		}
		if k.retired() {
			break
		}
	}
	k.end(ctx)
}

func (k *keeper) config() *Config { return k.r.config }

func (k *keeper) logger() *slog.Logger {
	return k.config().Logger.With("namespace", k.r.ns, "service", k.r.name, "instance", k.id)
}

func (k *keeper) grace() time.Duration {
	return cmp.Or(k.release.Spec.StopGrace, DefaultStopGrace)
}

// pauseAfter returns how long to wait after so many crashes, with up to a fifth more
// so that those who crashed together do not start together.
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

// pause says why an instance ended, and waits before the next start.
func (k *keeper) pause(ctx context.Context, d time.Duration, why error) {
	kind := KindNotStarted
	var lines []string
	if !errors.As(why, new(*startError)) {
		kind, lines = KindCrashed, k.lastLines(ctx)
	}
	cause := likelyCause(why, lines)
	k.r.failed(k.release.Number, joinReason(why.Error(), cause), errors.Is(why, runtime.ErrImage))
	next := time.Now().Add(d)
	k.record(kind, "%s; it is started again in %s", joinReason(why.Error(), cause), d.Round(100*time.Millisecond))
	k.set(func(s *Status) {
		s.Phase, s.Reason, s.Cause, s.LastLines, s.NextStart, s.Address = Crashed, why.Error(), cause, lines, next, ""
	})
	select {
	case <-time.After(d):
	case <-k.configured(ctx, why):
	case <-k.retiree:
		return
	case <-ctx.Done():
		return
	}
	k.set(func(s *Status) { s.Restarts++ })
}

// configured returns a channel that is closed when there is what an instance lacked of
// the configuration; nil when that was not why it ended.
func (k *keeper) configured(ctx context.Context, why error) <-chan struct{} {
	missing, ok := errors.AsType[*missingConfigError](why)
	if !ok {
		return nil
	}
	there := make(chan struct{})
	go func() {
		defer close(there)
		for {
			if _, err := k.config().Lookup(ctx, k.r.ns, missing.path); err == nil {
				return
			}
			select {
			case <-time.After(lookAgain):
			case <-k.retiree:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return there
}

// live starts the instance, or takes it as it runs, and returns when it does not
// run any more, or should not: whether it was ever healthy, and why it ended.
func (k *keeper) live(ctx context.Context, running bool) (healthy bool, why error) {
	if !running {
		k.set(func(s *Status) { s.Phase, s.NextStart = Starting, time.Time{} })
		// It takes much stack, for a moment, and this goroutine is there for as long as
		// the instance.
		started := make(chan error, 1)
		go func() { started <- k.start(ctx) }()
		if err := <-started; err != nil {
			return false, &startError{err}
		}
	}
	in := k.last()
	began := "was started"
	if running {
		began = "was found"
		k.record(KindFound, "runs on %s since %s", in.Address, in.Started.UTC().Format(time.DateTime))
	} else {
		k.record(KindStarted, "started on %s", in.Address)
	}
	unmet := Resources(in.Unmet)
	if unmet != (Resources{}) {
		k.record(KindUnbounded, "runs without bounds that it should have: the machine of the server does not let it hold them; its log says why")
	}
	k.set(func(s *Status) { s.Phase, s.Started, s.Address, s.Unmet = Starting, in.Started, in.Address, unmet })

	return k.tend(ctx, in, began)
}

// watch cancels when the instance exits or is retired, and returns when ctx has ended.
func (k *keeper) watch(ctx context.Context, in runtime.Instance, cancel context.CancelCauseFunc) {
	for {
		select {
		case e := <-k.exited:
			if e.Started.Before(in.Started) {
				continue // of a run before
			}
			cancel(&exitError{e.Exit})
			return
		case <-k.retiree:
			cancel(errors.New("retired"))
			return
		case <-ctx.Done():
			return
		}
	}
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
	if err := k.config().Directory.Down(ctx, k.entry(in)); err != nil && ctx.Err() == nil {
		k.logger().Error("cannot take an instance out of the registry", "err", err)
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
		Foreign:   !k.release.Spec.Probes.SpeaksGRPC(),
	}
}

// end stops the instance for good, and makes its identity void. It tries until both
// are done or ctx ends.
func (k *keeper) end(ctx context.Context) {
	called := k.down(ctx)
	k.set(func(s *Status) { s.Phase, s.Reason, s.NextStart = Stopping, "", time.Time{} })
	if called {
		k.config().Directory.Drain(ctx, k.entry(k.last()))
	}
	k.insist(ctx, "cannot stop an instance", func() error {
		return k.config().Runtime.Stop(ctx, k.id, k.grace())
	})
	if ctx.Err() == nil {
		k.record(KindStopped, "stopped")
	}
	k.mu.Lock()
	k.instance.State = runtime.Exited
	k.mu.Unlock()
	k.insist(ctx, "cannot revoke the identity of an instance", func() error {
		return k.config().Directory.Forget(ctx, k.entry(runtime.Instance{}))
	})
}

// insist calls f until it succeeds or ctx ends.
func (k *keeper) insist(ctx context.Context, failure string, f func() error) {
	for ctx.Err() == nil {
		err := f()
		if err == nil || ctx.Err() != nil {
			return
		}
		k.logger().Error(failure, "err", err)
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
		}
	}
}

// lastLines returns what the instance wrote last since it was started.
func (k *keeper) lastLines(ctx context.Context) []string {
	var lines []string
	q := runtime.LogQuery{Namespace: k.r.ns, Service: k.r.name, Instance: k.id, Since: k.last().Started, Tail: lastLines}
	for l, err := range k.config().Runtime.Logs(ctx, q) {
		if err != nil {
			break
		}
		if l.Stream != runtime.System {
			lines = append(lines, l.Text)
		}
	}
	return lines
}
