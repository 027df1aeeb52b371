package deploy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

const (
	// While an instance starts it is asked more often than its probe's period.
	fastProbe = 5 * time.Millisecond
	slowProbe = 250 * time.Millisecond
	// How long an instance may start before watchers are told why it is not healthy yet.
	quietStart = time.Second
)

// tend probes the instance until ctx ends, or it has exited, is retired, or is to be
// started again; what came first is why. began says how this life of it did.
func (k *keeper) tend(ctx context.Context, in runtime.Instance, began string) (healthy bool, why error) {
	startup, readiness, liveness, deadAfter := k.release.Spec.Probes.plan()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var probes sync.WaitGroup
	probes.Go(func() {
		if err := k.awaitHealthy(ctx, in, startup, began); err != nil {
			cancel(err)
			return
		}
		healthy = true
		// On goroutines of their own: what it took to come here has grown this one's stack.
		if readiness != nil {
			probes.Go(func() { cancel(k.watchReadiness(ctx, in, *readiness, startup.within(), deadAfter)) })
		}
		if liveness != nil {
			probes.Go(func() { cancel(k.watchLiveness(ctx, in, *liveness)) })
		}
	})
	k.watch(ctx, in, cancel)
	probes.Wait()
	return healthy, context.Cause(ctx)
}

// awaitHealthy probes a starting instance until it is healthy and callable. It
// returns why it is not when that takes too long.
func (k *keeper) awaitHealthy(ctx context.Context, in runtime.Instance, p Probe, began string) error {
	start := time.Now()
	came := func() string {
		return fmt.Sprintf("healthy and called, %s after it %s", time.Since(start).Round(time.Millisecond), began)
	}
	deadline := time.NewTimer(p.within())
	defer deadline.Stop()
	good, told := 0, ""
	for wait := fastProbe; ; wait = min(2*wait, slowProbe, p.Period) {
		err := k.config().ask(ctx, in, p)
		good++
		if err != nil {
			good = 0
		} else if good >= p.Successes {
			if err = k.raise(ctx, in, p.within(), came); err == nil {
				return nil
			}
		} else {
			err = fmt.Errorf("it was well %d of %d times in a row", good, p.Successes)
		}
		k.mu.Lock()
		k.state.Reason = err.Error()
		k.mu.Unlock()
		if time.Since(start) > quietStart && told != err.Error() {
			told = err.Error()
			k.r.announce()
		}
		select {
		case <-time.After(wait):
		case <-deadline.C:
			return &unhealthyError{p.within(), err}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unhealthyError is why an instance that never became healthy is started again.
type unhealthyError struct {
	within time.Duration
	err    error
}

func (e *unhealthyError) Error() string {
	return fmt.Sprintf("did not become healthy within %s: %s", e.within, e.err)
}

func (e *unhealthyError) Unwrap() error { return e.err }

// watchReadiness has the instance called only while it can be. It returns when ctx ends,
// or when the instance was not ready deadAfter times in a row, unless that is 0.
func (k *keeper) watchReadiness(ctx context.Context, in runtime.Instance, p Probe, within time.Duration, deadAfter int) error {
	ready, good, bad := true, 0, 0
	return k.ask(ctx, in, p, func(err error) error {
		if err == nil {
			bad = 0
			if good++; ready || good < p.Successes {
				return nil
			}
			failed := k.raise(ctx, in, within, func() string { return "called again: its readiness probe succeeded" })
			if ready = failed == nil; !ready {
				k.set(func(s *Status) { s.Reason = failed.Error() })
			}
			return nil
		}
		good = 0
		bad++
		why := probeError("readiness", bad, err)
		if ready && bad >= p.Failures {
			ready = false
			k.record(KindUnready, "not called any more: %s", why)
			k.set(func(s *Status) { s.Phase, s.Reason = Unhealthy, why.Error() })
			k.down(ctx)
		}
		if deadAfter > 0 && bad >= deadAfter {
			return why
		}
		return nil
	})
}

// watchLiveness returns when ctx ends, or why the instance does not live any more.
func (k *keeper) watchLiveness(ctx context.Context, in runtime.Instance, p Probe) error {
	bad := 0
	return k.ask(ctx, in, p, func(err error) error {
		if err == nil {
			bad = 0
			return nil
		}
		if bad++; bad >= p.Failures {
			return probeError("liveness", bad, err)
		}
		return nil
	})
}

func probeError(which string, failures int, err error) error {
	return fmt.Errorf("its %s probe failed %d times: %w", which, failures, err)
}

// ask probes the instance each period until ctx ends or judge, which gets what came out,
// returns an error.
func (k *keeper) ask(ctx context.Context, in runtime.Instance, p Probe, judge func(error) error) error {
	tick := time.NewTicker(p.Period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		// It takes much stack, for a moment, and this goroutine is there for as long as
		// the instance.
		asked := make(chan error, 1)
		go func() { asked <- k.config().ask(ctx, in, p) }()
		err := <-asked
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := judge(err); err != nil {
			return err
		}
	}
}

// raise makes the instance callable; how says in the journal how that came.
func (k *keeper) raise(ctx context.Context, in runtime.Instance, within time.Duration, how func() string) error {
	k.mu.Lock()
	k.up = true // whatever Up says
	k.mu.Unlock()
	up, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := k.config().Directory.Up(up, k.entry(in)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err() // it has ended meanwhile, and is not called any more in a moment
	}
	k.record(KindHealthy, "%s", how())
	k.set(func(s *Status) { s.Phase, s.Reason, s.Cause, s.LastLines = Running, "", "", nil })
	return nil
}
