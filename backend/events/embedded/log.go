// Package embedded is the events driver that keeps its data in the server's own
// directory, next to the store driver, in the database of backend/embedded.
//
//	Append ──▶ Committer ──▶ events of all topics in one batch, one fsync
//	Read, Fetch ◀── what is durable, again whenever the hub says so
//	Ack ──▶ Committer ──▶ the place of the group
//
// What a group has handed out is in memory; what is written of it is the place up to
// which it read, with what is not settled before that. After a crash that is handed
// out again.
package embedded

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
)

// Options adjust a log. The zero value is good for a server.
type Options struct {
	// Now tells the time when the log is opened; nil: the machine's. Later the time
	// is that plus what has passed since, whatever the machine's clock does.
	Now func() time.Time
	// TrimEvery is how often what has become too old is looked for; 0: a minute.
	TrimEvery time.Duration
}

// Log is a log in a database. It has the space [engine.Events] for itself.
type Log struct {
	db      *engine.DB
	options Options
	opened  time.Time // as the machine said it
	start   time.Time // the same moment, to measure from

	commits *engine.Committer[batch]
	hub     hub
	trimmer *trimmer

	channels *channels

	calls  calls
	closed sync.Once
	err    error // of Close

	mu     sync.RWMutex
	topics map[events.Topic]*topic // what is durable

	// Only used by one write at a time.
	written map[events.Topic]*topic // what is there after it
	count   map[string]int          // of those, by namespace
}

var _ events.Engine = (*Log)(nil)

// topic is one of the log. One that was deleted and made anew is another one.
type topic struct {
	name    events.Topic
	durable atomic.Pointer[state]
	groups  map[string]*group // guarded by Log.mu; what is durable

	// Only used by one write at a time.
	written       state
	writtenGroups map[string]*group
}

// batch is what is known of the writes that become durable together.
type batch struct {
	topics map[*topic]state // those that changed, as they are now
	groups map[*group]bool  // those that were made, or deleted: false
	gone   map[*topic]bool  // those that were deleted
	wake   map[events.Topic]bool
}

// Open opens the log in a database, which it does not own: close the log first. A
// second log in the same database must not be opened before.
func Open(ctx context.Context, db *engine.DB, o Options) (*Log, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TrimEvery <= 0 {
		o.TrimEvery = time.Minute
	}
	l := &Log{
		db:       db,
		options:  o,
		opened:   o.Now(),
		start:    time.Now(),
		channels: newChannels(),
		calls:    calls{closed: make(chan struct{})},
		topics:   map[events.Topic]*topic{},
		written:  map[events.Topic]*topic{},
		count:    map[string]int{},
	}
	if err := l.recover(); err != nil {
		return nil, fmt.Errorf("open the log of events: %w", err)
	}
	l.trimmer = newTrimmer(l)
	l.commits = engine.NewCommitter(db, l.visible, l.after)
	l.trimmer.start()
	return l, nil
}

// Close implements [events.Log].
func (l *Log) Close() error {
	l.closed.Do(func() {
		l.calls.close()
		l.trimmer.stop()
		l.calls.wait()
		if err := l.commits.Close(); err != nil {
			l.err = fmt.Errorf("close the log of events: %w", err)
		}
	})
	return l.err
}

// calls counts the calls that run, and lets none in once it is closed.
type calls struct {
	mu      sync.RWMutex
	running sync.WaitGroup
	closed  chan struct{} // with mu held for writing
}

func (c *calls) enter() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	select {
	case <-c.closed:
		return false
	default:
		c.running.Add(1)
		return true
	}
}

func (c *calls) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.closed)
}

func (c *calls) wait() { c.running.Wait() }

// enter begins a call, and leave ends it.
func (l *Log) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !l.calls.enter() {
		return events.ErrClosed
	}
	if err := l.db.Err(); err != nil {
		l.leave()
		return err
	}
	return nil
}

func (l *Log) leave() { l.calls.running.Done() }

// wait returns nil when one of the two happened, else why the call should end.
func (l *Log) wait(ctx context.Context, wake <-chan struct{}, timer <-chan time.Time) error {
	select {
	case <-wake:
		return nil
	case <-timer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.calls.closed:
		return events.ErrClosed
	case <-l.db.Failed():
		return l.db.Err()
	}
}

// now returns the time in nanoseconds since 1970.
func (l *Log) now() int64 { return l.opened.UnixNano() + int64(time.Since(l.start)) }

// room returns [events.ErrFull] when there is none for so many bytes.
func (l *Log) room(bytes int64) error {
	if err := l.db.Room(int(bytes)); err != nil {
		return fmt.Errorf("%w: %w", events.ErrFull, err)
	}
	return nil
}

func newTopic(name events.Topic, s state) *topic {
	t := &topic{name: name, groups: map[string]*group{}, writtenGroups: map[string]*group{}, written: s}
	t.durable.Store(&s)
	return t
}

// visible is called when readers begin to see a batch.
func (l *Log) visible(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range b.gone {
		if l.topics[t.name] == t {
			delete(l.topics, t.name)
		}
	}
	for t, s := range b.topics {
		if !b.gone[t] {
			t.durable.Store(&s)
			l.topics[t.name] = t
		}
	}
	for g, there := range b.groups {
		if there {
			g.topic.groups[g.name.Name] = g
		} else if g.topic.groups[g.name.Name] == g {
			delete(g.topic.groups, g.name.Name)
		}
	}
}

// after is called when the writers of a batch have been told.
func (l *Log) after(b *batch) {
	for t := range b.topics {
		l.hub.wake(t.name)
		l.trimmer.note(t)
	}
	for t := range b.wake {
		l.hub.wake(t)
	}
}

// topic returns a topic that is durable, nil when there is none.
func (l *Log) topic(t events.Topic) *topic {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.topics[t]
}

// note notes that a topic has changed.
func (b *batch) note(t *topic) {
	if b.topics == nil {
		b.topics = map[*topic]state{}
	}
	b.topics[t] = t.written
}

// put writes what is known of a topic.
func put(b *pebble.Batch, t *topic) {
	k := topicKey(t.name)
	_ = b.Set(k, seal(k, t.written.format()), nil) // cannot fail on a batch without an index
}

// make returns the topic of that name, made if need be and the namespace has fewer than
// limit. It is called in a write, and changes nothing when it fails.
func (l *Log) make(b *pebble.Batch, here *batch, name events.Topic, limit int) (*topic, error) {
	if t := l.written[name]; t != nil {
		return t, nil
	}
	if n := l.count[name.Namespace]; n >= limit {
		return nil, fmt.Errorf("the namespace has %d topics: %w", n, events.ErrTooMany)
	}
	t := newTopic(name, state{next: 1, oldest: 1, retention: events.DefaultRetention()})
	l.written[name] = t
	l.count[name.Namespace]++
	put(b, t)
	here.note(t)
	return t, nil
}

// Append implements [events.Log].
func (l *Log) Append(ctx context.Context, name events.Topic, list []events.Event) (int64, error) {
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.leave()
	if err := cmp.Or(name.Check(), events.CheckBatch(list)); err != nil {
		return 0, err
	}
	bodies := make([]body, len(list))
	var size int64
	for i := range list {
		bodies[i] = newBody(&list[i])
		size += bodies[i].size
	}
	if err := l.room(size); err != nil {
		return 0, err
	}
	var first int64
	err := l.commits.Do(ctx, func(b *pebble.Batch, here, _ *batch) (engine.Outcome, error) {
		t, err := l.make(b, here, name, events.MaxTopics)
		if err != nil {
			return engine.Nothing, err
		}
		first = l.append(b, here, t, bodies)
		return engine.Written, nil
	})
	if err != nil {
		return 0, err
	}
	return first, nil
}

// append adds events to a topic, in a write.
func (l *Log) append(b *pebble.Batch, here *batch, t *topic, bodies []body) (first int64) {
	s := &t.written
	first = s.next
	s.last = max(s.last, l.now())
	for i := range bodies {
		k := eventKey(t.name, s.next)
		s.next++
		s.total += bodies[i].size
		_ = b.Set(k, bodies[i].format(k, s.last, s.total), nil)
	}
	here.note(t)
	return first
}

// Topics implements [events.Log].
func (l *Log) Topics(ctx context.Context, namespace string, which events.List) ([]events.TopicInfo, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	var list []events.TopicInfo
	l.mu.RLock()
	for name, t := range l.topics {
		if name.Namespace == namespace && which.Has(name.Name) {
			s := t.durable.Load()
			list = append(list, events.TopicInfo{
				Name: name.Name, Oldest: s.oldest, Next: s.next, Bytes: s.total - s.cut, Retention: s.retention,
			})
		}
	}
	l.mu.RUnlock()
	slices.SortFunc(list, func(a, b events.TopicInfo) int { return strings.Compare(a.Name, b.Name) })
	return list[:min(len(list), limitOf(which.Limit))], nil
}

// SetRetention implements [events.Log].
func (l *Log) SetRetention(ctx context.Context, name events.Topic, r events.Retention) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	if err := cmp.Or(name.Check(), r.Check()); err != nil {
		return err
	}
	if err := l.room(0); err != nil { // it may be what makes room
		return err
	}
	return l.commits.Do(ctx, func(b *pebble.Batch, here, _ *batch) (engine.Outcome, error) {
		t, err := l.make(b, here, name, events.MaxTopics)
		if err != nil {
			return engine.Nothing, err
		}
		t.written.retention = r
		put(b, t)
		here.note(t)
		return engine.Written, nil
	})
}

// Delete implements [events.Log].
func (l *Log) Delete(ctx context.Context, name events.Topic) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	if err := cmp.Or(name.Check(), l.room(0)); err != nil {
		return err
	}
	return l.commits.Do(ctx, func(b *pebble.Batch, here, _ *batch) (engine.Outcome, error) {
		t := l.written[name]
		if t == nil {
			return engine.Nothing, noTopic(name)
		}
		_ = b.Delete(topicKey(name), nil)
		for _, kind := range []byte{kindEvent, kindGroup} {
			_ = b.DeleteRange(under(kind, name), beyond(kind, name), nil)
		}
		delete(l.written, name)
		if l.count[name.Namespace]--; l.count[name.Namespace] == 0 {
			delete(l.count, name.Namespace)
		}
		if here.gone == nil {
			here.gone, here.wake = map[*topic]bool{}, map[events.Topic]bool{}
		}
		here.gone[t], here.wake[name] = true, true
		return engine.Written, nil
	})
}
