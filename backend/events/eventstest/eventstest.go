// Package eventstest says what a log of events is: a driver is one when it passes
// [Test], and durable when it passes [TestDurable] as well. A behaviour that is not
// tested here is not promised.
package eventstest

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/events"
)

// patience is how long something may take before it counts as never.
const patience = 30 * time.Second

// Log is a driver.
type Log = events.Engine

// Test tests a driver. Each call of open returns a log that is empty and that the
// test may close; open closes it when the test has ended, if need be once more.
func Test(t *testing.T, open func(t *testing.T) Log) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, Log)
	}{
		{"Append", appendTests()},
		{"Read", readTests()},
		{"Topics", topicTests()},
		{"Limits", limitTests()},
		{"Groups", groupTests()},
		{"Deliveries", deliveryTests()},
		{"Broadcast", broadcastTests()},
		{"Close", closeTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, open(t))
				})
			}
		})
	}
}

// TestDurable tests that a driver keeps what it was given. Each call of place makes
// a new place and returns a function that opens the log there; what it returned
// before has been closed by then.
func TestDurable(t *testing.T, place func(t *testing.T) func(t *testing.T) Log) {
	t.Helper()
	for name, test := range durableTests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, place(t))
		})
	}
}

var orders = events.Topic{Namespace: "acme", Name: "orders"} //nolint:gochecknoglobals // never changed

// within returns a context that ends with patience.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// publish appends one event for each payload, which has the form KEY:TEXT or TEXT.
func publish(t *testing.T, l Log, topic events.Topic, payloads ...string) int64 {
	t.Helper()
	first, err := l.Append(within(t), topic, batch(payloads...))
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func batch(payloads ...string) []events.Event {
	var list []events.Event
	for _, p := range payloads {
		e := events.Event{Payload: []byte(p)}
		for i := range p {
			if p[i] == ':' {
				e.Key = p[:i]
			}
		}
		list = append(list, e)
	}
	return list
}

// count publishes n events with their numbers, from 1.
func count(t *testing.T, l Log, topic events.Topic, n int) {
	t.Helper()
	for i := 1; i <= n; i += 100 {
		var payloads []string
		for j := i; j <= min(i+99, n); j++ {
			payloads = append(payloads, strconv.Itoa(j))
		}
		publish(t, l, topic, payloads...)
	}
}

// read reads a topic from an offset to its end, and returns offsets with payloads.
func read(t *testing.T, l Log, topic events.Topic, from int64) []string {
	t.Helper()
	out := []string{}
	for {
		list, err := l.Read(within(t), topic, events.Range{From: from})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return out
		}
		for _, e := range list {
			out = append(out, fmt.Sprintf("%d %s", e.Offset, e.Payload))
			from = e.Offset + 1
		}
	}
}

// fetch fetches once.
func fetch(t *testing.T, l Log, g events.Group, f events.Fetch) []events.Delivery {
	t.Helper()
	list, err := l.Fetch(within(t), g, f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// nothing fails when there is something to fetch now.
func nothing(t *testing.T, l Log, g events.Group, f events.Fetch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if list, err := l.Fetch(ctx, g, f); err == nil {
		t.Errorf("fetched %v, want nothing", brief(list))
	}
}

// brief returns payloads with the how-manieth delivery each is.
func brief(list []events.Delivery) []string {
	out := []string{}
	for _, d := range list {
		out = append(out, fmt.Sprintf("%s #%d", d.Payload, d.Attempt))
	}
	return out
}

func ack(t *testing.T, l Log, g events.Group, list []events.Delivery) {
	t.Helper()
	var offsets []int64
	for _, d := range list {
		offsets = append(offsets, d.Offset)
	}
	if err := l.Ack(within(t), g, offsets); err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
