package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
)

// group is where the consumers of a group are.
type group struct {
	name  events.Group
	topic *topic

	mu   sync.Mutex
	next int64    // the first offset that was not looked at
	open []*entry // what is before it and not settled, in order
}

// entry is an event that is not settled.
type entry struct {
	offset   int64
	key      string
	attempts int   // how often it was delivered
	out      bool  // it is with a consumer
	until    int64 // when it may be delivered again, for that or for a nack
}

// waits reports whether the event waits after a nack.
func (e *entry) waits() bool { return !e.out && e.until > 0 }

// find returns the place of an offset in g.open, with g.mu held.
func (g *group) find(offset int64) (int, bool) {
	return slices.BinarySearchFunc(g.open, offset, func(e *entry, o int64) int { return cmp.Compare(e.offset, o) })
}

// drop removes an offset from g.open, with g.mu held.
func (g *group) drop(offset int64) bool {
	i, there := g.find(offset)
	if there {
		g.open = slices.Delete(g.open, i, i+1)
	}
	return there
}

// save writes where a group is, in a write, with g.mu held.
func (g *group) save(b *pebble.Batch) {
	k := groupKey(g.name)
	_ = b.Set(k, seal(k, formatPlace(g.next, g.open)), nil)
}

// findKeys completes what is known of the open events of a group, when the log is
// opened. One that is gone is settled with that.
func (l *Log) findKeys(g *group) error {
	kept := g.open[:0]
	for _, e := range g.open {
		k := eventKey(g.name.Topic, e.offset)
		v, closer, err := l.db.Get(k)
		if errors.Is(err, engine.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		ev, err := parseEvent(k, v)
		if err = errors.Join(err, closer.Close()); err != nil {
			return err
		}
		e.key = ev.Key
		kept = append(kept, e)
	}
	g.open = kept
	return nil
}

// group returns a group that is durable, nil when there is none.
func (l *Log) group(name events.Group) *group {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if t := l.topics[name.Topic]; t != nil {
		return t.groups[name.Name]
	}
	return nil
}

// join returns a group, and makes it when it is not there.
func (l *Log) join(ctx context.Context, name events.Group, f events.Fetch) (*group, error) {
	if g := l.group(name); g != nil {
		return g, nil
	}
	if err := l.room(0); err != nil {
		return nil, err
	}
	from := max(f.From, 1)
	if t := l.topic(name.Topic); t != nil {
		var err error
		if from, err = l.begin(t, f.From, f.Since); err != nil {
			return nil, err
		}
	}
	var g *group
	err := l.commits.Do(ctx, func(b *pebble.Batch, here, _ *batch) (engine.Outcome, error) {
		t, err := l.make(b, here, name.Topic, events.MaxTopics)
		if err != nil {
			return engine.Nothing, err
		}
		if g = t.writtenGroups[name.Name]; g == nil {
			if len(t.writtenGroups) >= events.MaxGroups {
				// What made the topic, if anything did, had no groups.
				return engine.Nothing, fmt.Errorf("the topic has %d groups: %w", events.MaxGroups, events.ErrTooMany)
			}
			g = &group{name: name, topic: t, next: from}
			t.writtenGroups[name.Name] = g
			here.noteGroup(g, true)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.save(b)
		return engine.Written, nil
	})
	return g, err
}

func (b *batch) noteGroup(g *group, there bool) {
	if b.groups == nil {
		b.groups = map[*group]bool{}
	}
	b.groups[g] = there
}

// update changes a group in a write; f is called with g.mu held, and reports whether
// it did.
func (l *Log) update(ctx context.Context, g *group, f func(b *pebble.Batch, here *batch) (bool, error)) error {
	return l.commits.Do(ctx, func(b *pebble.Batch, here, _ *batch) (engine.Outcome, error) {
		if t := l.written[g.name.Topic]; t == nil || t.writtenGroups[g.name.Name] != g {
			return engine.Nothing, noGroup(g.name)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if changed, err := f(b, here); err != nil || !changed {
			return engine.Nothing, err
		}
		g.save(b)
		if here.wake == nil {
			here.wake = map[events.Topic]bool{}
		}
		here.wake[g.name.Topic] = true
		return engine.Written, nil
	})
}

func noGroup(g events.Group) error {
	return fmt.Errorf("the group %q of the topic %q of namespace %q: %w", g.Name, g.Topic.Name, g.Topic.Namespace, events.ErrNotFound)
}

// Fetch implements [events.Groups].
func (l *Log) Fetch(ctx context.Context, name events.Group, f events.Fetch) ([]events.Delivery, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	if err := cmp.Or(name.Check(), f.Check(name.Topic)); err != nil {
		return nil, err
	}
	if f.AckWait == 0 {
		f.AckWait = 30 * time.Second
	}
	wake := l.hub.add(name.Topic)
	defer l.hub.remove(name.Topic, wake)
	for {
		g, err := l.join(ctx, name, f)
		if err != nil {
			return nil, err
		}
		got, err := l.take(g, f)
		if err != nil {
			g.giveBack(got.list)
			return nil, err
		}
		if len(got.dead) > 0 {
			if err := l.bury(ctx, g, got.dead, f); err != nil {
				g.giveBack(got.list)
				return nil, err
			}
		}
		if len(got.list) > 0 {
			return got.list, nil
		}
		if len(got.dead) > 0 {
			continue
		}
		if err := l.waitUntil(ctx, wake, got.again); err != nil {
			return nil, err
		}
	}
}

// waitUntil waits for the topic, or until a time if that is not 0.
func (l *Log) waitUntil(ctx context.Context, wake <-chan struct{}, at int64) error {
	if at == 0 {
		return l.wait(ctx, wake, nil)
	}
	timer := time.NewTimer(time.Duration(max(at-l.now(), 0)))
	defer timer.Stop()
	return l.wait(ctx, wake, timer.C)
}

// taken is what a fetch found.
type taken struct {
	list  []events.Delivery
	dead  []events.Delivery // what was delivered too often
	again int64             // when to look again, 0: when something happens
	size  int64
}

// take hands out what there is.
func (l *Log) take(g *group, f events.Fetch) (taken, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var got taken
	limit, now := limitOf(f.Limit), l.now()
	full := func() bool { return len(got.list) >= limit || got.size >= events.MaxReadBytes }
	give := func(e *entry, ev events.Event) {
		e.attempts, e.out, e.until = e.attempts+1, true, now+int64(f.AckWait)
		got.list = append(got.list, events.Delivery{Event: ev, Attempt: e.attempts})
		got.size += ev.Size()
	}

	// What is open comes first: it is older.
	before := map[string]bool{} // the keys of open events
	for _, e := range slices.Clone(g.open) {
		if full() {
			return got, nil
		}
		blocked := e.key != "" && before[e.key]
		before[e.key] = true
		if blocked {
			continue
		}
		spent := f.MaxDeliveries > 0 && e.attempts >= f.MaxDeliveries
		if e.until > now && (e.out || !spent) {
			if got.again == 0 || e.until < got.again {
				got.again = e.until
			}
			continue
		}
		ev, err := l.event(g.topic, e.offset)
		switch {
		case errors.Is(err, events.ErrNotFound):
			g.drop(e.offset) // retention has removed it
		case err != nil:
			return got, err
		case spent:
			e.out, e.until = true, now+int64(f.AckWait) // nobody else buries it
			got.dead = append(got.dead, events.Delivery{Event: ev, Attempt: e.attempts})
		default:
			give(e, ev)
		}
	}

	// Then what nobody has looked at. Of a key that is open it is held back.
	if full() || len(g.open) >= events.MaxInFlight {
		return got, nil
	}
	err := l.scan(g.topic, g.next, func(ev events.Event) bool {
		e := &entry{offset: ev.Offset, key: ev.Key}
		g.open = append(g.open, e)
		g.next = ev.Offset + 1
		if ev.Key == "" || !before[ev.Key] {
			give(e, ev)
		}
		before[ev.Key] = true
		return !full() && len(g.open) < events.MaxInFlight
	})
	return got, err
}

// event returns an event, [events.ErrNotFound] when it is not kept any more.
func (l *Log) event(t *topic, offset int64) (events.Event, error) {
	k := eventKey(t.name, offset)
	v, closer, err := l.commits.Get(k)
	if errors.Is(err, engine.ErrNotFound) {
		return events.Event{}, events.ErrNotFound
	}
	if err != nil {
		return events.Event{}, err
	}
	ev, err := parseEvent(k, v)
	return ev, errors.Join(err, closer.Close())
}

// giveBack makes deliveries that nobody got be as if they had not been made.
func (g *group) giveBack(list []events.Delivery) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range list {
		if e := g.delivered(d); e != nil {
			e.out, e.until, e.attempts = false, 0, d.Attempt-1
		}
	}
}

// delivered returns what a delivery is of, nil when it was settled or delivered to
// somebody else meanwhile, with g.mu held.
func (g *group) delivered(d events.Delivery) *entry {
	i, there := g.find(d.Offset)
	if !there || !g.open[i].out || g.open[i].attempts != d.Attempt {
		return nil
	}
	return g.open[i]
}

// bury appends events that could not be handled to the topic of dead letters, and
// settles them with that.
func (l *Log) bury(ctx context.Context, g *group, dead []events.Delivery, f events.Fetch) error {
	bodies := make([]body, len(dead))
	var size int64
	for i, d := range dead {
		e := d.Event
		e.Metadata = maps.Clone(e.Metadata)
		if e.Metadata == nil {
			e.Metadata = map[string]string{}
		}
		e.Metadata[events.DeadTopic] = g.name.Topic.Name
		e.Metadata[events.DeadGroup] = g.name.Name
		e.Metadata[events.DeadOffset] = strconv.FormatInt(d.Offset, 10)
		e.Metadata[events.DeadAttempts] = strconv.Itoa(d.Attempt)
		bodies[i] = newBody(&e)
		size += bodies[i].size
	}
	if err := l.room(size); err != nil {
		return err
	}
	name := events.Topic{Namespace: g.name.Topic.Namespace, Name: f.DeadTopic(g.name.Topic)}
	return l.update(ctx, g, func(b *pebble.Batch, here *batch) (bool, error) {
		var left []body
		for i, d := range dead {
			if _, there := g.find(d.Offset); there { // else somebody handled it after all
				left = append(left, bodies[i])
			}
		}
		if len(left) == 0 {
			return false, nil
		}
		// Beyond what there may be: else the group would never come to what is behind.
		t, err := l.make(b, here, name, 2*events.MaxTopics)
		if err != nil {
			return false, err
		}
		l.append(b, here, t, left)
		for _, d := range dead {
			g.drop(d.Offset)
		}
		return true, nil
	})
}

// Ack implements [events.Groups].
func (l *Log) Ack(ctx context.Context, name events.Group, offsets []int64) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	if err := cmp.Or(name.Check(), l.room(0)); err != nil {
		return err
	}
	g := l.group(name)
	if g == nil {
		return noGroup(name)
	}
	return l.update(ctx, g, func(*pebble.Batch, *batch) (bool, error) {
		for _, o := range offsets {
			g.drop(o)
		}
		return true, nil // what was dropped before may not be durable yet
	})
}

// Nack implements [events.Groups].
func (l *Log) Nack(ctx context.Context, name events.Group, list []events.Nack) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	if err := cmp.Or(name.Check(), events.CheckNacks(list), l.room(0)); err != nil {
		return err
	}
	g := l.group(name)
	if g == nil {
		return noGroup(name)
	}
	return l.update(ctx, g, func(*pebble.Batch, *batch) (bool, error) {
		changed := false
		for _, n := range list {
			if e := g.delivered(n.Delivery); e != nil {
				e.out, e.until = false, l.now()+int64(n.Delay)
				changed = true
			}
		}
		return changed, nil
	})
}

// Release implements [events.Groups].
func (l *Log) Release(ctx context.Context, name events.Group, list []events.Delivery) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	if err := name.Check(); err != nil {
		return err
	}
	g := l.group(name)
	if g == nil {
		return noGroup(name)
	}
	g.giveBack(list)
	l.hub.wake(name.Topic)
	return nil
}

// Groups implements [events.Groups].
func (l *Log) Groups(ctx context.Context, name events.Topic, which events.List) ([]events.GroupInfo, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	if err := name.Check(); err != nil {
		return nil, err
	}
	t := l.topic(name)
	if t == nil {
		return nil, noTopic(name)
	}
	l.mu.RLock()
	groups := slices.Collect(maps.Values(t.groups))
	l.mu.RUnlock()
	var list []events.GroupInfo
	s := t.durable.Load()
	for _, g := range groups {
		if which.Has(g.name.Name) {
			list = append(list, g.info(s))
		}
	}
	slices.SortFunc(list, func(a, b events.GroupInfo) int { return strings.Compare(a.Name, b.Name) })
	return list[:min(len(list), limitOf(which.Limit))], nil
}

func (g *group) info(s *state) events.GroupInfo {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := max(g.next, s.oldest)
	info := events.GroupInfo{Name: g.name.Name, Committed: next - 1, Pending: int64(len(g.open))}
	if len(g.open) > 0 {
		info.Committed = g.open[0].offset - 1
	}
	info.Lag = max(s.next-next, 0) + info.Pending
	return info
}

// DeleteGroup implements [events.Groups].
func (l *Log) DeleteGroup(ctx context.Context, name events.Group) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	if err := cmp.Or(name.Check(), l.room(0)); err != nil {
		return err
	}
	return l.commits.Do(ctx, func(b *pebble.Batch, here, _ *batch) (engine.Outcome, error) {
		t := l.written[name.Topic]
		if t == nil || t.writtenGroups[name.Name] == nil {
			return engine.Nothing, noGroup(name)
		}
		g := t.writtenGroups[name.Name]
		delete(t.writtenGroups, name.Name)
		_ = b.Delete(groupKey(name), nil)
		here.noteGroup(g, false)
		return engine.Written, nil
	})
}
