package eventstest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/events"
)

func appendTests() map[string]func(*testing.T, Log) {
	return map[string]func(*testing.T, Log){
		"offsets have no gaps": func(t *testing.T, l Log) {
			equal(t, "first", publish(t, l, orders, "a"), 1)
			equal(t, "batch", publish(t, l, orders, "b", "c"), 2)
			equal(t, "next", publish(t, l, orders, "d"), 4)
			equal(t, "log", read(t, l, orders, 0), []string{"1 a", "2 b", "3 c", "4 d"})
		},
		"everything comes back": func(t *testing.T, l Log) {
			before := time.Now().Add(-time.Second)
			want := events.Event{Key: "\x00\xff", Metadata: map[string]string{"": "x", "a\n": "\xff"}, Payload: []byte{0, 255}}
			if _, err := l.Append(within(t), orders, []events.Event{want, {}}); err != nil {
				t.Fatal(err)
			}
			list, err := l.Read(within(t), orders, events.Range{})
			if err != nil || len(list) != 2 {
				t.Fatalf("%v, %v", list, err)
			}
			if at := list[0].Time; at.Before(before) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("its time is %v", at)
			}
			want.Offset, want.Time = 1, list[0].Time
			equal(t, "the event", list[0], want)
			equal(t, "an empty one", list[1], events.Event{Offset: 2, Time: list[1].Time, Payload: []byte{}})
		},
		"concurrent, each in order": func(t *testing.T, l Log) {
			const writers, each = 8, 50
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := range each {
						if _, err := l.Append(within(t), orders, batch(fmt.Sprintf("%d:%d", w, i))); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			next := map[string]int{}
			all := read(t, l, orders, 0)
			for i, line := range all {
				var offset, n int
				var w string
				_, _ = fmt.Sscanf(strings.ReplaceAll(line, ":", " "), "%d %s %d", &offset, &w, &n)
				if offset != i+1 || n != next[w] {
					t.Fatalf("%q is the %d-th, and %d was to come", line, i+1, next[w])
				}
				next[w]++
			}
			equal(t, "events", len(all), writers*each)
		},
	}
}

func readTests() map[string]func(*testing.T, Log) {
	return map[string]func(*testing.T, Log){
		"from an offset": func(t *testing.T, l Log) {
			publish(t, l, orders, "a", "b", "c")
			equal(t, "from 2", read(t, l, orders, 2), []string{"2 b", "3 c"})
			equal(t, "from beyond", read(t, l, orders, 9), []string{})
			list, err := l.Read(within(t), orders, events.Range{From: 2, Limit: 1})
			if err != nil || len(list) != 1 || list[0].Offset != 2 {
				t.Errorf("with a limit: %v, %v", list, err)
			}
		},
		"since a time": func(t *testing.T, l Log) {
			count(t, l, orders, 500)
			list, err := l.Read(within(t), orders, events.Range{From: 250, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			since := list[0].Time
			list, err = l.Read(within(t), orders, events.Range{Since: since})
			if err != nil || len(list) == 0 || list[0].Time.Before(since) || list[0].Offset > 250 {
				t.Fatalf("%v, %v", list, err)
			}
			if first := list[0].Offset; first > 1 {
				before, err := l.Read(within(t), orders, events.Range{From: first - 1, Limit: 1})
				if err != nil || !before[0].Time.Before(since) {
					t.Errorf("%v was left out: %v", before, err)
				}
			}
			list, err = l.Read(within(t), orders, events.Range{Since: time.Now().Add(time.Hour)})
			if err != nil || len(list) != 0 {
				t.Errorf("in an hour: %v, %v", list, err)
			}
		},
		"waits for an event": func(t *testing.T, l Log) {
			got := make(chan string, 1)
			ctx := within(t)
			go func() {
				list, err := l.Read(ctx, orders, events.Range{Wait: true})
				got <- fmt.Sprint(len(list), err)
			}()
			publish(t, l, events.Topic{Namespace: "acme", Name: "other"}, "x")
			publish(t, l, orders, "a")
			equal(t, "read", <-got, "1 <nil>")
		},
		"no topic": func(t *testing.T, l Log) {
			if _, err := l.Read(within(t), orders, events.Range{}); !errors.Is(err, events.ErrNotFound) {
				t.Errorf("%v, want %v", err, events.ErrNotFound)
			}
		},
		"a context that ends": func(t *testing.T, l Log) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := l.Read(ctx, orders, events.Range{Wait: true})
				done <- err
			}()
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want %v", err, context.Canceled)
			}
		},
	}
}

func topicTests() map[string]func(*testing.T, Log) {
	return map[string]func(*testing.T, Log){
		"list": func(t *testing.T, l Log) {
			for _, name := range []string{"b", "a", "c/d"} {
				publish(t, l, events.Topic{Namespace: "acme", Name: name}, "x")
			}
			publish(t, l, events.Topic{Namespace: "globex", Name: "z"}, "x")
			names := func(after string, limit int) (out []string) {
				list, err := l.Topics(within(t), "acme", events.List{After: after, Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range list {
					out = append(out, i.Name)
				}
				return out
			}
			equal(t, "all", names("", 0), []string{"a", "b", "c/d"})
			equal(t, "a page", names("", 2), []string{"a", "b"})
			equal(t, "the next", names("b", 2), []string{"c/d"})
			list, err := l.Topics(within(t), "acme", events.List{Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			only, err := l.Topics(within(t), "acme", events.List{Name: "a"})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "only one", only, list)
			want := events.TopicInfo{Name: "a", Oldest: 1, Next: 2, Bytes: events.Overhead + 1, Retention: events.DefaultRetention()}
			equal(t, "a topic", list[0], want)
		},
		"namespaces are apart": func(t *testing.T, l Log) {
			theirs := events.Topic{Namespace: "globex", Name: "orders"}
			publish(t, l, orders, "a")
			publish(t, l, theirs, "x", "y")
			g, h := events.Group{Topic: orders, Name: "g"}, events.Group{Topic: theirs, Name: "g"}
			ack(t, l, h, fetch(t, l, h, events.Fetch{}))
			equal(t, "ours", brief(fetch(t, l, g, events.Fetch{})), []string{"a #1"})
			if err := l.Delete(within(t), theirs); err != nil {
				t.Fatal(err)
			}
			equal(t, "our log", read(t, l, orders, 0), []string{"1 a"})
			nothing(t, l, g, events.Fetch{})
		},
		"delete": func(t *testing.T, l Log) {
			publish(t, l, orders, "a", "b")
			g := events.Group{Topic: orders, Name: "g"}
			ack(t, l, g, fetch(t, l, g, events.Fetch{}))
			if err := l.Delete(within(t), orders); err != nil {
				t.Fatal(err)
			}
			if err := l.Delete(within(t), orders); !errors.Is(err, events.ErrNotFound) {
				t.Errorf("once more: %v, want %v", err, events.ErrNotFound)
			}
			equal(t, "offset", publish(t, l, orders, "c"), 1)
			equal(t, "log", read(t, l, orders, 0), []string{"1 c"})
			equal(t, "the group begins anew", brief(fetch(t, l, g, events.Fetch{})), []string{"c #1"})
		},
		"retention by number": func(t *testing.T, l Log) {
			retain(t, l, events.Retention{Events: 50}, func(i events.TopicInfo) bool { return i.Next-i.Oldest <= 55 })
		},
		"retention by bytes": func(t *testing.T, l Log) {
			retain(t, l, events.Retention{Bytes: 5000}, func(i events.TopicInfo) bool { return i.Bytes <= 6000 })
		},
	}
}

// retain fills a topic and waits until it has become as it should be.
func retain(t *testing.T, l Log, r events.Retention, done func(events.TopicInfo) bool) {
	t.Helper()
	if err := l.SetRetention(within(t), orders, r); err != nil {
		t.Fatal(err)
	}
	count(t, l, orders, 1000)
	ctx := within(t)
	for {
		list, err := l.Topics(ctx, "acme", events.List{})
		if err != nil {
			t.Fatal(err)
		}
		i := list[0]
		if done(i) {
			equal(t, "next", i.Next, 1001)
			kept := read(t, l, orders, 0)
			if len(kept) == 0 || kept[0] != fmt.Sprintf("%d %d", i.Oldest, i.Oldest) || kept[len(kept)-1] != "1000 1000" {
				t.Errorf("from offset %d on %d events are kept", i.Oldest, len(kept))
			}
			g := events.Group{Topic: orders, Name: "late"}
			equal(t, "a group begins with", fetch(t, l, g, events.Fetch{Limit: 1})[0].Offset, i.Oldest)
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("retention %v leaves %v", r, i)
		}
	}
}

func limitTests() map[string]func(*testing.T, Log) {
	big := func(n int) string { return strings.Repeat("x", n) }
	return map[string]func(*testing.T, Log){
		"events": func(t *testing.T, l Log) {
			meta := map[string]string{}
			for i := range events.MaxMetadata + 1 {
				meta[strconv.Itoa(i)] = ""
			}
			for name, tt := range map[string]struct {
				list []events.Event
				want error
			}{
				"none":              {nil, events.ErrInvalid},
				"too many":          {make([]events.Event, events.MaxBatch+1), events.ErrTooLarge},
				"the most":          {make([]events.Event, events.MaxBatch), nil},
				"the payload":       {[]events.Event{{Payload: make([]byte, events.MaxPayload+1)}}, events.ErrTooLarge},
				"the key":           {[]events.Event{{Key: big(events.MaxKey + 1)}}, events.ErrTooLarge},
				"metadata":          {[]events.Event{{Metadata: meta}}, events.ErrTooLarge},
				"large metadata":    {[]events.Event{{Metadata: map[string]string{"a": big(events.MaxMetaBytes)}}}, events.ErrTooLarge},
				"the largest event": {[]events.Event{{Key: big(events.MaxKey), Payload: make([]byte, events.MaxPayload)}}, nil},
			} {
				if _, err := l.Append(within(t), orders, tt.list); !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", name, err, tt.want)
				}
			}
		},
		"large events come apart": func(t *testing.T, l Log) {
			const all = 5
			for range all {
				publish(t, l, orders, big(events.MaxPayload))
			}
			g := events.Group{Topic: orders, Name: "g"}
			for n, fetched := 0, 0; n < all; n++ {
				list, err := l.Read(within(t), orders, events.Range{From: int64(n + 1)})
				if err != nil || len(list) != 1 {
					t.Fatalf("read %d events, %v, want one", len(list), err)
				}
				fetched += len(fetch(t, l, g, events.Fetch{AckWait: hour}))
				equal(t, "fetched", fetched, n+1)
			}
		},
		"names": func(t *testing.T, l Log) {
			for name, want := range map[string]error{
				"": events.ErrInvalid, "../x": events.ErrInvalid, "a b": events.ErrInvalid, "a\x00b": events.ErrInvalid, "é": events.ErrInvalid, "\xff": events.ErrInvalid,
				big(events.MaxName + 1): events.ErrTooLarge, big(events.MaxName): nil, "a/../b": nil, "A.b-c_9": nil,
			} {
				topic := events.Topic{Namespace: "acme", Name: name}
				if _, err := l.Append(within(t), topic, batch("x")); !errors.Is(err, want) {
					t.Errorf("a topic %.20q: %v, want %v", name, err, want)
				}
				g := events.Group{Topic: orders, Name: name}
				publish(t, l, orders, "x")
				if _, err := l.Fetch(within(t), g, events.Fetch{}); !errors.Is(err, want) {
					t.Errorf("a group %.20q: %v, want %v", name, err, want)
				}
			}
		},
		"numbers": func(t *testing.T, l Log) {
			g := events.Group{Topic: orders, Name: "g"}
			for name, f := range map[string]func() error{
				"offset": func() error { _, err := l.Read(within(t), orders, events.Range{From: -1}); return err },
				"limit":  func() error { _, err := l.Read(within(t), orders, events.Range{Limit: -1}); return err },
				"wait":   func() error { _, err := l.Fetch(within(t), g, events.Fetch{AckWait: -1}); return err },
				"delay":  func() error { return l.Nack(within(t), g, after(events.MaxDelay+1, events.Delivery{})) },
				"retain": func() error { return l.SetRetention(within(t), orders, events.Retention{Events: -1}) },
				"own dead letters": func() error {
					_, err := l.Fetch(within(t), g, events.Fetch{MaxDeliveries: 1, DeadLetter: "orders"})
					return err
				},
			} {
				if err := f(); !errors.Is(err, events.ErrInvalid) {
					t.Errorf("%s: %v, want %v", name, err, events.ErrInvalid)
				}
			}
		},
	}
}

func closeTests() map[string]func(*testing.T, Log) {
	return map[string]func(*testing.T, Log){
		"ends who waits": func(t *testing.T, l Log) {
			done := make(chan error, 2)
			ctx := within(t)
			g := events.Group{Topic: orders, Name: "g"}
			if err := l.SetRetention(ctx, orders, events.Retention{}); err != nil {
				t.Fatal(err)
			}
			go func() {
				_, err := l.Read(ctx, orders, events.Range{Wait: true})
				done <- err
			}()
			go func() {
				_, err := l.Fetch(ctx, g, events.Fetch{})
				done <- err
			}()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := <-done; !errors.Is(err, events.ErrClosed) {
					t.Errorf("%v, want %v", err, events.ErrClosed)
				}
			}
			if _, err := l.Append(ctx, orders, batch("x")); !errors.Is(err, events.ErrClosed) {
				t.Errorf("append: %v, want %v", err, events.ErrClosed)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		},
	}
}
