package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Phase is the state of a service or an instance in one word.
type Phase string

// The phases.
const (
	Pending   Phase = "pending"   // nothing has been started yet
	Starting  Phase = "starting"  // started, and not yet healthy
	Running   Phase = "running"   // healthy and called
	Unhealthy Phase = "unhealthy" // was healthy, its probe fails now; not called
	Crashed   Phase = "crashed"   // ended or never became healthy; is started again after a pause
	Stopping  Phase = "stopping"  // asked to end
	Stopped   Phase = "stopped"   // ended, and nothing should run
)

// Service is what should run and what does.
type Service struct {
	Name    string
	Release Release // the current one
	Wanted  int     // so many instances should run
	Rollout Rollout
	Set     string
	Last    Change // the newest change of all that
	// Serving is the release that is called: an earlier one until the instances of
	// Release are healthy, 0 when none ever was.
	Serving   int64
	Phase     Phase
	Reason    string // why it is not running
	Instances []Status
}

// Status is what is known of an instance.
type Status struct {
	ID        string
	Release   int64
	Phase     Phase
	Since     time.Time // when it came into this phase
	Reason    string    // why it is in this phase
	Cause     string    // what most likely made it end; empty when nothing is known
	LastLines []string  // what it wrote before it ended
	Restarts  int
	Started   time.Time
	NextStart time.Time // while it waits after a crash
	Address   string
	Unmet     Resources // bounds that the runtime does not hold on its machine
}

func newService(name string, rec desired) Service {
	s := Service{
		Name: name, Release: rec.Release, Wanted: rec.Instances, Rollout: rec.Rollout, Set: rec.Set,
		Last: rec.Last, Serving: rec.Serving, Phase: Pending,
	}
	if rec.Deleted {
		s.Phase = Stopping
	}
	return s
}

// summarize derives the phase of the service from its instances.
func (s *Service) summarize(deleted bool) {
	slices.SortFunc(s.Instances, func(a, b Status) int {
		return cmp.Or(cmp.Compare(b.Release, a.Release), cmp.Compare(a.ID, b.ID))
	})
	if deleted {
		s.Phase = Stopping
		return
	}
	count := map[Phase]int{}
	worst := map[Phase]Status{}
	for _, in := range s.Instances {
		if in.Release == s.Release.Number {
			count[in.Phase]++
			if _, seen := worst[in.Phase]; !seen || in.Restarts > worst[in.Phase].Restarts {
				worst[in.Phase] = in
			}
		}
	}
	want := s.Wanted
	s.Phase = Pending
	for _, p := range []Phase{Crashed, Unhealthy, Starting, Running} {
		if count[p] > 0 {
			s.Phase, s.Reason = p, worst[p].Reason
			break
		}
	}
	if s.Phase == Running && (count[Running] < want || s.replacing()) {
		s.Phase = Starting
	}
	if s.Last.Action == AutoRollback {
		s.Reason = joinReason(fmt.Sprintf("release %d was rolled back: %s", s.Last.Before.Release, s.Last.Reason), s.Reason)
	}
	if s.Phase != Running && want > 1 {
		s.Reason = joinReason(fmt.Sprintf("%d of %d instances run", count[Running], want), s.Reason)
	}
	if s.Phase != Running && s.Serving != 0 && s.Serving != s.Release.Number {
		s.Reason = joinReason(fmt.Sprintf("release %d serves until release %d is healthy", s.Serving, s.Release.Number), s.Reason)
	}
}

// replacing reports whether instances of another release are called still.
func (s *Service) replacing() bool {
	return slices.ContainsFunc(s.Instances, func(in Status) bool {
		return in.Release != s.Release.Number && in.Phase == Running
	})
}

func instances(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

func joinReason(a, b string) string {
	if b == "" {
		return a
	}
	return a + "; " + b
}

// String says what was changed, and by whom.
func (c Change) String() string {
	text := string(c.Action)
	switch {
	case c.Undoes != 0:
		text += fmt.Sprintf(" of change %d", c.Undoes)
	case c.Action == Scale && c.Before != nil && c.After != nil:
		text += fmt.Sprintf(" from %d to %s", c.Before.Instances, instances(c.After.Instances))
	}
	if c.By != "" {
		text += " by " + c.By
	}
	if c.After != nil && (c.Before == nil || c.Before.Release != c.After.Release) {
		text += fmt.Sprintf(": release %d", c.After.Release)
	}
	return joinReason(text, c.Reason)
}
