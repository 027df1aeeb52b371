package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
)

// Read implements [events.Log].
func (l *Log) Read(ctx context.Context, name events.Topic, r events.Range) ([]events.Event, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	if err := cmp.Or(name.Check(), r.Check()); err != nil {
		return nil, err
	}
	var wake chan struct{}
	if r.Wait {
		wake = l.hub.add(name)
		defer l.hub.remove(name, wake)
	}
	for {
		t := l.topic(name)
		if t == nil && !r.Wait {
			return nil, noTopic(name)
		}
		if t != nil {
			list, err := l.read(t, r)
			if err != nil || len(list) > 0 || !r.Wait {
				return list, err
			}
		}
		if err := l.wait(ctx, wake, nil); err != nil {
			return nil, err
		}
	}
}

func noTopic(t events.Topic) error {
	return fmt.Errorf("the topic %q of namespace %q: %w", t.Name, t.Namespace, events.ErrNotFound)
}

func limitOf(n int) int {
	if n <= 0 || n > events.MaxRead {
		return events.MaxRead
	}
	return n
}

func (l *Log) read(t *topic, r events.Range) ([]events.Event, error) {
	from, err := l.begin(t, r.From, r.Since)
	if err != nil {
		return nil, err
	}
	var list []events.Event
	limit, size := limitOf(r.Limit), int64(0)
	err = l.scan(t, from, func(e events.Event) bool {
		list = append(list, e)
		size += e.Size()
		return len(list) < limit && size < events.MaxReadBytes
	})
	return list, err
}

// scan calls f with the events of a topic from an offset on, until it returns false.
func (l *Log) scan(t *topic, from int64, f func(events.Event) bool) error {
	if from >= t.durable.Load().next {
		return nil
	}
	it, err := l.commits.NewIter(&pebble.IterOptions{LowerBound: eventKey(t.name, from), UpperBound: beyond(kindEvent, t.name)})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			break
		}
		e, err := parseEvent(it.Key(), v)
		if err != nil {
			return err
		}
		if !f(e) {
			return nil
		}
	}
	return l.db.IterError(it)
}

// begin returns the first offset that is not before either.
func (l *Log) begin(t *topic, from int64, since time.Time) (int64, error) {
	s := t.durable.Load()
	from = max(from, s.oldest)
	if since.IsZero() {
		return from, nil
	}
	at, err := l.search(t, s, func(time, _ int64) bool { return time >= since.UnixNano() })
	return max(from, at), err
}

// search returns the first offset whose time and total fulfil what all later ones do
// as well; next when there is none.
func (l *Log) search(t *topic, s *state, f func(time, total int64) bool) (int64, error) {
	lo, hi := s.oldest, s.next
	for lo < hi {
		mid := lo + (hi-lo)/2
		k := eventKey(t.name, mid)
		v, closer, err := l.commits.Get(k)
		if errors.Is(err, engine.ErrNotFound) { // removed meanwhile
			lo = mid + 1
			continue
		}
		if err != nil {
			return 0, err
		}
		at, total, err := parseHeader(k, v)
		if err = errors.Join(err, closer.Close()); err != nil {
			return 0, err
		}
		if f(at, total) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}
