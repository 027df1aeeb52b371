package deploy

import (
	"context"
	"fmt"
	"time"
)

// rollout follows how the current release comes up.
type rollout struct {
	release  int64
	best     int       // so many of its instances were healthy at once
	since    time.Time // when best was reached, or the release seen first
	failures int       // instances that did not come up since then
	hopeless bool      // it never can
	reason   string    // of the last failure
}

// failed says that an instance of a release did not come up, or did not last.
func (r *reconciler) failed(release int64, reason string, hopeless bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rollout.release == release {
		r.rollout.failures++
		r.rollout.reason = reason
		r.rollout.hopeless = r.rollout.hopeless || hopeless
	}
}

// judge looks how the current release does. It returns why the release is to be given
// up, empty when it is not, and when to look again at the latest; zero: never.
func (r *reconciler) judge(rec desired, healthy int) (verdict string, again time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := &r.rollout
	if o.release != rec.Number {
		*o = rollout{release: rec.Number, since: time.Now()}
	}
	if healthy > o.best {
		o.best, o.failures, o.since = healthy, 0, time.Now()
	}
	if !rec.replaces() || rec.Rollout.KeepTrying {
		return "", time.Time{}
	}
	limits := rec.Rollout.withDefaults()
	deadline := o.since.Add(limits.Deadline)
	switch {
	case o.hopeless:
		return o.reason, time.Time{}
	case o.failures >= limits.Failures:
		return fmt.Sprintf("%s (failed %d times)", o.reason, o.failures), time.Time{}
	case !time.Now().Before(deadline):
		verdict = fmt.Sprintf("%d of %d instances came up, and no other within %s", o.best, rec.Instances, limits.Deadline)
		return joinReason(verdict, o.reason), time.Time{}
	default:
		return "", deadline
	}
}

// giveUp makes the release that serves current again.
func (r *reconciler) giveUp(ctx context.Context, release int64, why string) error {
	c, err := changeRecord(ctx, r.config.Store, r.ns, r.name, "", func(e *edit) error {
		if e.was == nil || e.rec.Number != release || !e.rec.replaces() {
			return nil // somebody was faster
		}
		to, err := e.release(ctx, e.rec.Serving)
		if err != nil {
			return err
		}
		e.Action, e.Reason = AutoRollback, why
		e.back(to)
		return nil
	})
	if err != nil {
		return err
	}
	r.poke() // there is something else to do now
	if c == nil {
		return nil
	}
	r.record(Entry{Kind: KindGivenUp, Release: release, Text: fmt.Sprintf("given up, release %d is current again: %s", c.After.Release, why)})
	return nil
}
