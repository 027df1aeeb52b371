package eventstest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/micro/micro/v3/backend/events"
)

// subscription is one that a test reads as it likes.
type subscription struct {
	next   func() (events.Heard, error, bool)
	end    context.CancelFunc
	events []events.Event // heard, and not looked at
}

// subscribe subscribes until the test ends, or [subscription.end] is called.
func subscribe(t *testing.T, l Log, topic events.Topic, queue string) *subscription {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t))
	seq, err := l.Subscribe(ctx, topic, queue)
	if err != nil {
		t.Fatal(err)
	}
	next, stop := iter.Pull2(seq)
	t.Cleanup(func() {
		cancel()
		stop()
	})
	return &subscription{next: next, end: cancel}
}

// hear returns the next n payloads, and fails when something was dropped.
func (s *subscription) hear(t *testing.T, n int) []string {
	t.Helper()
	out := []string{}
	for len(out) < n {
		if len(s.events) == 0 {
			h, err, ok := s.next()
			if err != nil || !ok || h.Dropped > 0 {
				t.Fatalf("after %q: %d dropped, %v", out, h.Dropped, err)
			}
			s.events = h.Events
			continue
		}
		out = append(out, string(s.events[0].Payload))
		s.events = s.events[1:]
	}
	return out
}

func broadcast(t *testing.T, l Log, topic events.Topic, payloads ...string) {
	t.Helper()
	if err := l.Broadcast(within(t), topic, batch(payloads...)); err != nil {
		t.Fatal(err)
	}
}

// numbers returns "from" to "to".
func numbers(from, to int) []string {
	out := []string{}
	for i := from; i <= to; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}

func broadcastTests() map[string]func(*testing.T, Log) {
	return map[string]func(*testing.T, Log){
		"to nobody": func(t *testing.T, l Log) {
			broadcast(t, l, orders, "a")
			// It is kept for nobody, and no log has it.
			s := subscribe(t, l, orders, "")
			broadcast(t, l, orders, "b")
			equal(t, "heard", s.hear(t, 1), []string{"b"})
			if _, err := l.Read(within(t), orders, events.Range{}); !errors.Is(err, events.ErrNotFound) {
				t.Errorf("the log: %v, want %v", err, events.ErrNotFound)
			}
		},
		"what an event has": func(t *testing.T, l Log) {
			s := subscribe(t, l, orders, "")
			e := events.Event{Offset: 7, Key: "k", Metadata: map[string]string{"a": "b"}, Payload: []byte("x\x00\xff")}
			if err := l.Broadcast(within(t), orders, []events.Event{e}); err != nil {
				t.Fatal(err)
			}
			h, err, _ := s.next()
			if err != nil || len(h.Events) != 1 || h.Events[0].Time.IsZero() {
				t.Fatalf("%v, %v", h, err)
			}
			e.Offset, e.Time = 0, h.Events[0].Time
			equal(t, "heard", h.Events[0], e)
		},
		"to all, in order": func(t *testing.T, l Log) {
			a, b := subscribe(t, l, orders, ""), subscribe(t, l, orders, "")
			broadcast(t, l, orders, numbers(1, 10)...)
			equal(t, "the first", a.hear(t, 4), numbers(1, 4))
			late := subscribe(t, l, orders, "")
			broadcast(t, l, orders, numbers(11, 20)...)
			equal(t, "the first, later", a.hear(t, 16), numbers(5, 20))
			equal(t, "the second", b.hear(t, 20), numbers(1, 20))
			equal(t, "a late one", late.hear(t, 10), numbers(11, 20))
		},
		"nobody else hears it": func(t *testing.T, l Log) {
			others := []*subscription{
				subscribe(t, l, events.Topic{Namespace: "acme", Name: "order"}, ""),
				subscribe(t, l, events.Topic{Namespace: "acme", Name: "orders/a"}, ""),
				subscribe(t, l, events.Topic{Namespace: "globex", Name: "orders"}, ""),
			}
			publish(t, l, orders, "published")
			broadcast(t, l, orders, "secret")
			for _, s := range others {
				broadcast(t, l, events.Topic{Namespace: "acme", Name: "order"}, "theirs")
				broadcast(t, l, events.Topic{Namespace: "acme", Name: "orders/a"}, "theirs")
				broadcast(t, l, events.Topic{Namespace: "globex", Name: "orders"}, "theirs")
				equal(t, "heard", s.hear(t, 1), []string{"theirs"})
			}
		},
		"a queue shares": testQueue,
		"a queue goes on without one": func(t *testing.T, l Log) {
			a, b := subscribe(t, l, orders, "q"), subscribe(t, l, orders, "q")
			a.end()
			if _, err, _ := a.next(); !errors.Is(err, context.Canceled) {
				t.Errorf("one that has ended: %v, want %v", err, context.Canceled)
			}
			broadcast(t, l, orders, "a", "b")
			equal(t, "heard", b.hear(t, 2), []string{"a", "b"})
		},
		"one that is slow": func(t *testing.T, l Log) {
			const all = 3 * events.MaxWaiting
			slow, quick := subscribe(t, l, orders, ""), subscribe(t, l, orders, "")
			for i := 1; i <= all; i += 100 {
				broadcast(t, l, orders, numbers(i, i+99)...)
				equal(t, "who keeps up", quick.hear(t, 100), numbers(i, i+99))
			}
			// The newest are there, in order, and it is told how many are not.
			told := 0
			for told < all {
				h, err, _ := slow.next()
				if err != nil {
					t.Fatal(err)
				}
				told += int(h.Dropped)
				for _, e := range h.Events {
					told++
					if got := string(e.Payload); got != strconv.Itoa(told) {
						t.Fatalf("heard %s, and with what was dropped it should be %d", got, told)
					}
				}
			}
			broadcast(t, l, orders, "next")
			equal(t, "then", slow.hear(t, 1), []string{"next"})
		},
		"one that is slow with large ones": func(t *testing.T, l Log) {
			slow := subscribe(t, l, orders, "")
			const all = 3 * events.MaxWaitingBytes / events.MaxPayload
			for range all {
				broadcast(t, l, orders, strings.Repeat("x", events.MaxPayload))
			}
			told, dropped := 0, 0
			for told < all {
				h, err, _ := slow.next()
				if err != nil {
					t.Fatal(err)
				}
				dropped += int(h.Dropped)
				told += int(h.Dropped) + len(h.Events)
			}
			if told != all || dropped < all/2 {
				t.Errorf("%d of %d were dropped, and %d told of", dropped, all, told)
			}
		},
		"many at once": testManySubscribers,
		"ends": func(t *testing.T, l Log) {
			if err := l.Broadcast(canceled(t), orders, batch("x")); !errors.Is(err, context.Canceled) {
				t.Errorf("a broadcast: %v, want %v", err, context.Canceled)
			}
			if _, err := l.Subscribe(canceled(t), orders, ""); !errors.Is(err, context.Canceled) {
				t.Errorf("a subscription: %v, want %v", err, context.Canceled)
			}
			s := subscribe(t, l, orders, "")
			done := make(chan error, 1)
			go func() {
				_, err, _ := s.next()
				done <- err
			}()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if err := <-done; !errors.Is(err, events.ErrClosed) {
				t.Errorf("who waits: %v, want %v", err, events.ErrClosed)
			}
			if err := l.Broadcast(within(t), orders, batch("x")); !errors.Is(err, events.ErrClosed) {
				t.Errorf("a broadcast: %v, want %v", err, events.ErrClosed)
			}
		},
		"what is refused": func(t *testing.T, l Log) {
			for name, tt := range map[string]struct {
				topic, queue string
				list         []events.Event
				want         error
			}{
				"no topic":          {"", "", batch("x"), events.ErrInvalid},
				"a bad topic":       {"../x", "", batch("x"), events.ErrInvalid},
				"a bad queue":       {"orders", "a b", batch("x"), events.ErrInvalid},
				"a long queue":      {"orders", strings.Repeat("q", events.MaxName+1), batch("x"), events.ErrTooLarge},
				"no events":         {"orders", "q", nil, events.ErrInvalid},
				"too many events":   {"orders", "q", make([]events.Event, events.MaxBatch+1), events.ErrTooLarge},
				"a large event":     {"orders", "q", []events.Event{{Payload: make([]byte, events.MaxPayload+1)}}, events.ErrTooLarge},
				"nothing is":        {"orders", "q", batch("x"), nil},
				"nothing is, again": {"orders", "", batch("x"), nil},
			} {
				topic := events.Topic{Namespace: "acme", Name: tt.topic}
				_, err := l.Subscribe(within(t), topic, tt.queue)
				if err == nil {
					err = l.Broadcast(within(t), topic, tt.list)
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", name, err, tt.want)
				}
			}
		},
	}
}

// canceled returns a context that has ended.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// testQueue has those of a queue hear everything once, and those without hear it all.
func testQueue(t *testing.T, l Log) {
	const all, members = 400, 4
	alone := subscribe(t, l, orders, "")
	other := subscribe(t, l, orders, "other")
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	var mu sync.Mutex
	var heard []string
	var wg sync.WaitGroup
	for range members {
		seq, err := l.Subscribe(ctx, orders, "q")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for h, err := range seq {
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				for _, e := range h.Events {
					heard = append(heard, string(e.Payload))
				}
				done := len(heard) == all
				mu.Unlock()
				if done {
					cancel()
				}
			}
		})
	}
	for i := 1; i <= all; i += 40 {
		broadcast(t, l, orders, numbers(i, i+39)...)
	}
	wg.Wait()
	slices.SortFunc(heard, func(a, b string) int {
		n, _ := strconv.Atoi(a)
		m, _ := strconv.Atoi(b)
		return n - m
	})
	equal(t, "heard by the queue", heard, numbers(1, all))
	equal(t, "heard by one alone", alone.hear(t, all), numbers(1, all))
	equal(t, "heard by the other queue", other.hear(t, all), numbers(1, all))
}

// testManySubscribers has subscribers come and go while several broadcast: whoever
// listens hears what each of them says in order and without a gap.
func testManySubscribers(t *testing.T, l Log) {
	const speakers, each, listeners = 4, 200, 8
	ctx := within(t)
	var speaking, listening sync.WaitGroup
	for i := range listeners {
		seq, err := l.Subscribe(ctx, orders, "")
		if err != nil {
			t.Fatal(err)
		}
		listening.Go(func() {
			last := map[string]int{}
			left := speakers * each
			if i%2 == 0 {
				left /= 2 // and goes before the end
			}
			for h, err := range seq {
				if err != nil || h.Dropped > 0 {
					t.Errorf("%d dropped, %v", h.Dropped, err)
					return
				}
				for _, e := range h.Events {
					var n int
					if _, err := fmt.Sscanf(string(e.Payload), e.Key+":%d", &n); err != nil || n != last[e.Key]+1 {
						t.Errorf("heard %s after %d: %v", e.Payload, last[e.Key], err)
						return
					}
					last[e.Key] = n
					left--
				}
				if left <= 0 {
					return
				}
			}
		})
	}
	for s := range speakers {
		speaking.Go(func() {
			for n := 1; n <= each; n++ {
				if err := l.Broadcast(ctx, orders, batch(fmt.Sprintf("s%d:%d", s, n))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	speaking.Wait()
	listening.Wait()
}
