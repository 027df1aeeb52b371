package eventstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/events"
)

// soon is a short wait for an ack, and hour one that does not end.
const (
	soon = 30 * time.Millisecond
	hour = time.Hour
)

var workers = events.Group{Topic: orders, Name: "workers"} //nolint:gochecknoglobals // never changed

func groupTests() map[string]func(*testing.T, Log) {
	return map[string]func(*testing.T, Log){
		"begins with the oldest": func(t *testing.T, l Log) {
			publish(t, l, orders, "a", "b")
			equal(t, "fetched", brief(fetch(t, l, workers, events.Fetch{AckWait: hour})), []string{"a #1", "b #1"})
			nothing(t, l, workers, events.Fetch{AckWait: hour})
		},
		"begins where it is told, once": func(t *testing.T, l Log) {
			publish(t, l, orders, "a", "b", "c")
			f := events.Fetch{From: 3, AckWait: hour}
			equal(t, "fetched", brief(fetch(t, l, workers, f)), []string{"c #1"})
			publish(t, l, orders, "d")
			equal(t, "fetched", brief(fetch(t, l, workers, events.Fetch{From: 1})), []string{"d #1"})
		},
		"waits, even for the topic": func(t *testing.T, l Log) {
			got := make(chan string, 1)
			ctx := within(t)
			go func() {
				list, err := l.Fetch(ctx, workers, events.Fetch{})
				got <- fmt.Sprint(brief(list), err)
			}()
			publish(t, l, orders, "a")
			equal(t, "fetched", <-got, "[a #1] <nil>")
		},
		"each has its own place": func(t *testing.T, l Log) {
			publish(t, l, orders, "a", "b")
			other := events.Group{Topic: orders, Name: "other"}
			ack(t, l, workers, fetch(t, l, workers, events.Fetch{}))
			equal(t, "fetched", brief(fetch(t, l, other, events.Fetch{Limit: 1})), []string{"a #1"})
			list, err := l.Groups(within(t), orders, events.List{})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "groups", list, []events.GroupInfo{{Name: "other", Pending: 1, Lag: 2}, {Name: "workers", Committed: 2}})
			if err := l.DeleteGroup(within(t), workers); err != nil {
				t.Fatal(err)
			}
			if err := l.Ack(within(t), workers, []int64{1}); !errors.Is(err, events.ErrNotFound) {
				t.Errorf("an ack afterwards: %v, want %v", err, events.ErrNotFound)
			}
			equal(t, "made anew", brief(fetch(t, l, workers, events.Fetch{})), []string{"a #1", "b #1"})
		},
		"consumers share": testShare,
	}
}

// testShare has consumers handle everything once, those of one key in order.
func testShare(t *testing.T, l Log) {
	const keys, each = 7, 40
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	var mu sync.Mutex
	handled := map[string]int{} // the last of each key
	left := keys * each
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				list, err := l.Fetch(ctx, workers, events.Fetch{Limit: 5, AckWait: hour})
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, d := range list {
					n, _ := strconv.Atoi(string(d.Payload[len(d.Key)+1:]))
					if n != handled[d.Key]+1 || d.Attempt != 1 {
						t.Errorf("%s is delivered for the %d. time after %d", d.Payload, d.Attempt, handled[d.Key])
					}
					handled[d.Key] = n
					left--
				}
				done := left == 0
				mu.Unlock()
				ack(t, l, workers, list)
				if done {
					cancel()
				}
			}
		})
	}
	for i := 1; i <= each; i++ {
		var payloads []string
		for k := range keys {
			payloads = append(payloads, fmt.Sprintf("k%d:%d", k, i))
		}
		publish(t, l, orders, payloads...)
	}
	wg.Wait()
	equal(t, "left", left, 0)
	list, err := l.Groups(within(t), orders, events.List{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "group", list, []events.GroupInfo{{Name: "workers", Committed: keys * each}})
}

func deliveryTests() map[string]func(*testing.T, Log) {
	return map[string]func(*testing.T, Log){
		"again after the wait": func(t *testing.T, l Log) {
			publish(t, l, orders, "a", "b")
			f := events.Fetch{Limit: 1, AckWait: soon}
			equal(t, "first", brief(fetch(t, l, workers, f)), []string{"a #1"})
			ack(t, l, workers, fetch(t, l, workers, f))
			equal(t, "again", brief(fetch(t, l, workers, f)), []string{"a #2"})
		},
		"a late ack counts": func(t *testing.T, l Log) {
			publish(t, l, orders, "a")
			f := events.Fetch{AckWait: soon}
			late := fetch(t, l, workers, f)
			fetch(t, l, workers, f)
			ack(t, l, workers, late)
			nothing(t, l, workers, f)
			ack(t, l, workers, late)
		},
		"a nack": func(t *testing.T, l Log) {
			publish(t, l, orders, "a", "b")
			f := events.Fetch{Limit: 1, AckWait: hour}
			first := fetch(t, l, workers, f)[0]
			if err := l.Nack(within(t), workers, after(0, first)); err != nil {
				t.Fatal(err)
			}
			second := fetch(t, l, workers, f)
			equal(t, "again", brief(second), []string{"a #2"})
			// Who had it first has no say any more.
			if err := l.Nack(within(t), workers, after(0, first)); err != nil {
				t.Fatal(err)
			}
			equal(t, "next", brief(fetch(t, l, workers, f)), []string{"b #1"})
			if err := l.Nack(within(t), workers, after(soon, second...)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			equal(t, "with a delay", brief(fetch(t, l, workers, f)), []string{"a #3"})
			if since := time.Since(began); since < soon/2 {
				t.Errorf("after %v, want %v", since, soon)
			}
		},
		"a release": func(t *testing.T, l Log) {
			publish(t, l, orders, "a", "b")
			f := events.Fetch{AckWait: hour, MaxDeliveries: 1}
			list := fetch(t, l, workers, f)
			if err := l.Release(within(t), workers, list[1:]); err != nil {
				t.Fatal(err)
			}
			again := fetch(t, l, workers, f)
			equal(t, "again", brief(again), []string{"b #1"})
			ack(t, l, workers, again)
			if err := l.Release(within(t), workers, list); err != nil {
				t.Fatal(err)
			}
			equal(t, "the other one", brief(fetch(t, l, workers, f)), []string{"a #1"})
		},
		"a key is held back": func(t *testing.T, l Log) {
			publish(t, l, orders, "k:1", "k:2", "j:1", "3")
			f := events.Fetch{AckWait: hour}
			list := fetch(t, l, workers, f)
			equal(t, "first", brief(list), []string{"k:1 #1", "j:1 #1", "3 #1"})
			publish(t, l, orders, "j:2")
			nothing(t, l, workers, f)
			if err := l.Nack(within(t), workers, after(0, list[0])); err != nil {
				t.Fatal(err)
			}
			list = fetch(t, l, workers, f)
			equal(t, "again", brief(list), []string{"k:1 #2"})
			ack(t, l, workers, list)
			equal(t, "then", brief(fetch(t, l, workers, f)), []string{"k:2 #1"})
		},
		"dead letters": func(t *testing.T, l Log) {
			if _, err := l.Append(within(t), orders, []events.Event{{Key: "k", Metadata: map[string]string{"a": "b"}, Payload: []byte("bad")}}); err != nil {
				t.Fatal(err)
			}
			publish(t, l, orders, "k:good")
			f := events.Fetch{AckWait: hour, MaxDeliveries: 3}
			for i := 1; i <= 3; i++ {
				list := fetch(t, l, workers, f)
				equal(t, "delivered", brief(list), []string{fmt.Sprintf("bad #%d", i)})
				delay := time.Duration(0)
				if i == 3 {
					delay = hour // what is dead has not to wait
				}
				if err := l.Nack(within(t), workers, after(delay, list[0])); err != nil {
					t.Fatal(err)
				}
			}
			equal(t, "then", brief(fetch(t, l, workers, f)), []string{"k:good #1"})
			list, err := l.Read(within(t), events.Topic{Namespace: "acme", Name: "orders.dead"}, events.Range{})
			if err != nil || len(list) != 1 {
				t.Fatalf("%v, %v", list, err)
			}
			want := map[string]string{
				"a": "b", events.DeadTopic: "orders", events.DeadGroup: "workers", events.DeadOffset: "1", events.DeadAttempts: "3",
			}
			if string(list[0].Payload) != "bad" || list[0].Key != "k" || !maps.Equal(list[0].Metadata, want) {
				t.Errorf("the dead letter is %v", list[0])
			}
		},
		"dead after the wait, elsewhere": func(t *testing.T, l Log) {
			publish(t, l, orders, "bad")
			f := events.Fetch{AckWait: soon, MaxDeliveries: 1, DeadLetter: "failed"}
			fetch(t, l, workers, f)
			done := make(chan struct{})
			ctx, cancel := context.WithCancel(within(t))
			go func() {
				defer close(done)
				_, _ = l.Fetch(ctx, workers, f)
			}()
			list, err := l.Read(ctx, events.Topic{Namespace: "acme", Name: "failed"}, events.Range{Wait: true})
			cancel()
			<-done
			if err != nil || len(list) != 1 || string(list[0].Payload) != "bad" {
				t.Errorf("%v, %v", list, err)
			}
		},
		"no more than may be open": func(t *testing.T, l Log) {
			count(t, l, orders, events.MaxInFlight+10)
			list := fetch(t, l, workers, events.Fetch{AckWait: hour})
			for len(list) < events.MaxInFlight {
				list = append(list, fetch(t, l, workers, events.Fetch{AckWait: hour})...)
			}
			nothing(t, l, workers, events.Fetch{AckWait: hour})
			ack(t, l, workers, list[:1])
			equal(t, "then", len(fetch(t, l, workers, events.Fetch{AckWait: hour})), 1)
		},
	}
}

// after gives deliveries back, all with the same delay.
func after(delay time.Duration, list ...events.Delivery) []events.Nack {
	var nacks []events.Nack
	for _, d := range list {
		nacks = append(nacks, events.Nack{Delivery: d, Delay: delay})
	}
	return nacks
}

type opener func(*testing.T) Log

func durableTests() map[string]func(*testing.T, opener) {
	reopen := func(t *testing.T, l Log, open opener) Log {
		t.Helper()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return open(t)
	}
	return map[string]func(*testing.T, opener){
		"keeps events": func(t *testing.T, open opener) {
			l := open(t)
			count(t, l, orders, 250)
			want := read(t, l, orders, 0)
			info, err := l.Topics(within(t), "acme", events.List{})
			if err != nil {
				t.Fatal(err)
			}
			l = reopen(t, l, open)
			equal(t, "log", read(t, l, orders, 0), want)
			again, err := l.Topics(within(t), "acme", events.List{})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "topics", again, info)
			equal(t, "next", publish(t, l, orders, "x"), 251)
		},
		"keeps groups": func(t *testing.T, open opener) {
			l := open(t)
			publish(t, l, orders, "k:1", "k:2", "3", "4", "5")
			f := events.Fetch{AckWait: hour}
			list := fetch(t, l, workers, f) // k:1 3 4 5
			ack(t, l, workers, list[1:3])
			l = reopen(t, l, open)
			list = fetch(t, l, workers, f)
			equal(t, "what was not settled", brief(list), []string{"k:1 #2", "5 #2"})
			ack(t, l, workers, list)
			l = reopen(t, l, open)
			equal(t, "what was held back", brief(fetch(t, l, workers, f)), []string{"k:2 #1"})
		},
		"keeps what a nack asked for": func(t *testing.T, open opener) {
			l := open(t)
			publish(t, l, orders, "a", "b", "c")
			f := events.Fetch{AckWait: hour}
			list := fetch(t, l, workers, f)
			nacks := append(after(hour, list[0]), after(2*soon, list[1])...)
			if err := l.Nack(within(t), workers, nacks); err != nil {
				t.Fatal(err)
			}
			l = reopen(t, l, open)
			// What was with a consumer, and what had to wait for a moment.
			got := brief(fetch(t, l, workers, f))
			for len(got) < 2 {
				got = append(got, brief(fetch(t, l, workers, f))...)
			}
			slices.Sort(got)
			equal(t, "delivered again", got, []string{"b #2", "c #2"})
			nothing(t, l, workers, f)
		},
		"keeps offsets when all is gone": func(t *testing.T, open opener) {
			l := open(t)
			retain(t, l, events.Retention{Events: 1}, func(i events.TopicInfo) bool { return i.Next-i.Oldest == 1 })
			l = reopen(t, l, open)
			equal(t, "next", publish(t, l, orders, "x"), 1001)
		},
		"keeps what was deleted away": func(t *testing.T, open opener) {
			l := open(t)
			publish(t, l, orders, "a")
			fetch(t, l, workers, events.Fetch{})
			if err := l.Delete(within(t), orders); err != nil {
				t.Fatal(err)
			}
			l = reopen(t, l, open)
			list, err := l.Topics(within(t), "acme", events.List{})
			if err != nil || len(list) != 0 {
				t.Errorf("%v, %v", list, err)
			}
		},
	}
}
