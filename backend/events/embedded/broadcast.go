package embedded

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/micro/v3/backend/events"
)

// channels passes events on to subscribers. Each topic that has some is a channel: it
// holds the events that somebody has not heard yet, and each subscriber, or queue, is
// a place in them. So what is held does not grow with the number of who listens, and
// who broadcasts does not wait for them.
//
//	events   17 18 19 20 21
//	               ▲     ▲ who keeps up: nothing waits for it
//	               └ a slow one; when too many wait, 17 goes and 18 after it
type channels struct {
	mu      sync.Mutex
	byTopic map[events.Topic]*channel
	byName  map[string]*listeners // of a namespace
}

// listeners is what the channels of a namespace have together.
type listeners struct {
	count int          // of subscribers; guarded by channels.mu
	size  atomic.Int64 // of what waits
}

// channel is a topic to which somebody is subscribed.
type channel struct {
	all *listeners

	mu      sync.Mutex
	waiting []heldEvent // what a place has not passed
	first   int64       // the number of the first of them; they are counted from 0
	size    int64       // of all of them
	places  map[*place]bool
	queues  map[string]*place
	changed chan struct{} // closed when something is added; nil when nobody waits for that
	members int           // of all places: when there are none the channel is gone
}

// heldEvent is an event with how many places have not passed it.
type heldEvent struct {
	events.Event
	left int
}

// place is how far a subscriber has come, or those who share a queue.
type place struct {
	next    int64 // the number of the next event
	members int
}

func newChannels() *channels {
	return &channels{byTopic: map[events.Topic]*channel{}, byName: map[string]*listeners{}}
}

// find returns the channel of a topic, nil when nobody listens.
func (c *channels) find(t events.Topic) *channel {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byTopic[t]
}

// join adds a subscriber to a topic.
func (c *channels) join(t events.Topic, queue string) (*channel, *place, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.byName[t.Namespace]
	if all == nil {
		all = &listeners{}
		c.byName[t.Namespace] = all
	}
	if all.count >= events.MaxSubscribers {
		return nil, nil, fmt.Errorf("the namespace has %d subscribers, which is the most: %w", events.MaxSubscribers, events.ErrTooLarge)
	}
	all.count++
	ch := c.byTopic[t]
	if ch == nil {
		ch = &channel{all: all, places: map[*place]bool{}, queues: map[string]*place{}}
		c.byTopic[t] = ch
	}
	return ch, ch.join(queue), nil
}

// leave removes a subscriber.
func (c *channels) leave(t events.Topic, ch *channel, queue string, p *place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch.leave(queue, p) {
		delete(c.byTopic, t)
	}
	if ch.all.count--; ch.all.count == 0 {
		delete(c.byName, t.Namespace)
	}
}

func (c *channel) join(queue string) *place {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.queues[queue]
	if p == nil {
		p = &place{next: c.first + int64(len(c.waiting))}
		c.places[p] = true
		if queue != "" {
			c.queues[queue] = p
		}
	}
	p.members++
	c.members++
	return p
}

// leave reports whether nobody is left.
func (c *channel) leave(queue string, p *place) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members--
	if p.members--; p.members == 0 {
		c.pass(p, len(c.waiting))
		delete(c.places, p)
		delete(c.queues, queue)
	}
	return c.members == 0
}

// add adds events, and drops the oldest when too many wait.
func (c *channel) add(list []events.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range list {
		c.waiting = append(c.waiting, heldEvent{e, len(c.places)})
		c.size += e.Size()
		c.all.size.Add(e.Size())
	}
	for len(c.waiting) > events.MaxWaiting || c.size > events.MaxWaitingBytes ||
		len(c.waiting) > 0 && c.all.size.Load() > events.MaxWaitingTotal {
		c.drop()
	}
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// drop forgets the oldest event, with c.mu held.
func (c *channel) drop() {
	size := c.waiting[0].Size()
	c.size -= size
	c.all.size.Add(-size)
	c.waiting[0] = heldEvent{} // so that it is not held by what is behind it
	c.waiting = c.waiting[1:]
	c.first++
}

// pass makes a place be up to n events further, and forgets what nobody waits for any
// more, with c.mu held. What was dropped it passes without a word.
func (c *channel) pass(p *place, n int) {
	begin := int(max(p.next-c.first, 0))
	n = min(n, len(c.waiting)-begin)
	for i := range n {
		c.waiting[begin+i].left--
	}
	p.next = c.first + int64(begin+n)
	for len(c.waiting) > 0 && c.waiting[0].left == 0 {
		c.drop()
	}
}

// hear returns what is new for a place, or else a channel that is closed when there
// may be something. Who shares a queue takes no more than its share.
func (c *channel) hear(p *place) (events.Heard, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var h events.Heard
	if p.next < c.first {
		h.Dropped = c.first - p.next
		p.next = c.first
	}
	there := c.waiting[p.next-c.first:]
	if len(there) == 0 && h.Dropped == 0 {
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		return h, c.changed
	}
	n, size := 0, int64(0)
	for most := (len(there) + p.members - 1) / p.members; n < most && (n == 0 || size < events.MaxReadBytes); n++ {
		h.Events = append(h.Events, there[n].Event)
		size += there[n].Size()
	}
	c.pass(p, n)
	return h, nil
}

// Broadcast implements [events.Broadcaster].
func (l *Log) Broadcast(ctx context.Context, t events.Topic, list []events.Event) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.leave()
	if err := cmp.Or(t.Check(), events.CheckBatch(list)); err != nil {
		return err
	}
	c := l.channels.find(t)
	if c == nil {
		return nil
	}
	now := time.Unix(0, l.now())
	sent := make([]events.Event, len(list))
	for i, e := range list {
		sent[i] = events.Event{Time: now, Key: e.Key, Metadata: e.Metadata, Payload: e.Payload}
	}
	c.add(sent)
	return nil
}

// Subscribe implements [events.Broadcaster].
func (l *Log) Subscribe(ctx context.Context, t events.Topic, queue string) (iter.Seq2[events.Heard, error], error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	if err := t.CheckQueue(queue); err != nil {
		return nil, err
	}
	c, p, err := l.channels.join(t, queue)
	if err != nil {
		return nil, err
	}
	leave := func() { l.channels.leave(t, c, queue, p) }
	begin := context.AfterFunc(ctx, leave) // for one who never reads
	return func(yield func(events.Heard, error) bool) {
		if !begin() {
			yield(events.Heard{}, cmp.Or(ctx.Err(), events.ErrClosed)) // or it was read before
			return
		}
		defer leave()
		for {
			if err := l.enter(ctx); err != nil {
				yield(events.Heard{}, err)
				return
			}
			l.leave()
			h, more := c.hear(p)
			if more == nil {
				if !yield(h, nil) {
					return
				}
				continue
			}
			if err := l.wait(ctx, more, nil); err != nil {
				yield(events.Heard{}, err)
				return
			}
		}
	}, nil
}
