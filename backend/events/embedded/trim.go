package embedded

import (
	"context"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
)

// trimmer removes from topics what their retention says: by number and bytes when
// they have a tenth too much, so that this is rare, and by age every now and then.
type trimmer struct {
	log    *Log
	cancel context.CancelFunc
	wake   chan struct{}
	done   chan struct{}

	mu   sync.Mutex
	long map[*topic]bool // to be looked at
}

func newTrimmer(l *Log) *trimmer {
	return &trimmer{log: l, wake: make(chan struct{}, 1), done: make(chan struct{}), long: map[*topic]bool{}}
}

func (t *trimmer) start() {
	var ctx context.Context
	ctx, t.cancel = context.WithCancel(context.Background())
	go t.run(ctx)
}

func (t *trimmer) stop() {
	t.cancel()
	<-t.done
}

// note tells that a topic has changed.
func (t *trimmer) note(p *topic) {
	s := p.durable.Load()
	over := func(n, most int64) bool { return most > 0 && n > most+most/10 }
	if !over(s.next-s.oldest, s.retention.Events) && !over(s.total-s.cut, s.retention.Bytes) {
		return
	}
	t.mu.Lock()
	t.long[p] = true
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *trimmer) run(ctx context.Context) {
	defer close(t.done)
	tick := time.NewTicker(t.log.options.TrimEvery)
	defer tick.Stop()
	for {
		var todo []*topic
		select {
		case <-t.wake:
			t.mu.Lock()
			for p := range t.long {
				todo = append(todo, p)
			}
			clear(t.long)
			t.mu.Unlock()
		case <-tick.C:
			t.log.mu.RLock()
			for _, p := range t.log.topics {
				todo = append(todo, p)
			}
			t.log.mu.RUnlock()
		case <-ctx.Done():
			return
		}
		for _, p := range todo {
			_ = t.trim(ctx, p) // what fails is tried again with the next tick
		}
	}
}

// trim removes the beginning of a topic.
func (t *trimmer) trim(ctx context.Context, p *topic) error {
	l := t.log
	s := *p.durable.Load()
	r := s.retention
	now := l.now()
	// What is kept has an offset, a total and a time that are not too old.
	keep := func(at, total int64) bool {
		return (r.Age <= 0 || at > now-int64(r.Age)) && (r.Bytes <= 0 || s.total-total < r.Bytes)
	}
	oldest := s.oldest
	var err error
	if r.Age > 0 || r.Bytes > 0 {
		if oldest, err = l.search(p, &s, keep); err != nil {
			return err
		}
	}
	if r.Events > 0 {
		oldest = max(oldest, s.next-r.Events)
	}
	if oldest <= s.oldest {
		return nil
	}
	cut, err := l.total(p, oldest-1)
	if err != nil {
		return err
	}
	if err := l.room(0); err != nil {
		return err
	}
	return l.commits.Do(ctx, func(b *pebble.Batch, here, _ *batch) (engine.Outcome, error) {
		if l.written[p.name] != p {
			return engine.Nothing, nil
		}
		_ = b.DeleteRange(eventKey(p.name, s.oldest), eventKey(p.name, oldest), nil)
		p.written.oldest, p.written.cut = oldest, cut
		put(b, p)
		here.note(p)
		return engine.Written, nil
	})
}

// total returns the bytes of all events up to an offset that is there.
func (l *Log) total(p *topic, offset int64) (int64, error) {
	k := eventKey(p.name, offset)
	v, closer, err := l.commits.Get(k)
	if err != nil {
		return 0, err
	}
	_, total, err := parseHeader(k, v)
	_ = closer.Close()
	return total, err
}
