package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

// payload is how many bytes an event has here.
const payload = 256

// BenchmarkEvents publishes durably with 1, 16 and 128 publishers, one event of 256
// bytes a request, as multiples of the fsyncs that the same disk makes one after the
// other; and reads what is there. What Pebble alone makes of it is in there too. Budgets:
// 0.7, 4, 15; 200,000 events a second.
func BenchmarkEvents(b *testing.B) {
	w := newWorld(b)
	disk := newSlowDisk(b, w)
	w.startOn(b, disk)
	client, ctx := w.events(b)
	for b.Loop() {
		for _, publishers := range []int{1, 16, 128} {
			disk.measure(b, w)
			rate := publish(b, ctx, client, publishers)
			report(b, rate/disk.floor, fmt.Sprintf("x-fsync-%d", publishers))
			report(b, disk.pebble(b, w, publishers, payload)/disk.floor, fmt.Sprintf("x-fsync-%d-pebble", publishers))
		}
		b.ReportMetric(disk.floor, "fsyncs/s")
		b.ReportMetric(replay(b, ctx, client), "replayed/s")
	}
}

// events returns a client of the server, and the context of its calls.
func (w *world) events(b *testing.B) (eventsv1.EventsClient, context.Context) {
	b.Helper()
	token := w.login(b)
	conn, err := grpc.NewClient("passthrough:///"+w.proxy, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return eventsv1.NewEventsClient(conn), metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+token)
}

// publish returns how many events a second are acknowledged to publishers that each
// wait for that before the next one.
func publish(b *testing.B, ctx context.Context, client eventsv1.EventsClient, publishers int) float64 {
	b.Helper()
	req := &eventsv1.PublishRequest{Topic: "orders", Events: []*eventsv1.Event{{Payload: make([]byte, payload)}}}
	var n atomic.Int64
	var failure atomic.Pointer[error]
	began := time.Now()
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for time.Since(began) < 3*time.Second {
				if _, err := client.Publish(ctx, req); err != nil {
					failure.Store(&err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failure.Load(); err != nil {
		b.Fatal(*err)
	}
	return float64(n.Load()) / time.Since(began).Seconds()
}

// replay returns how many events a second a reader gets.
func replay(b *testing.B, ctx context.Context, client eventsv1.EventsClient) float64 {
	b.Helper()
	const batches, batch = 300, 1000
	list := make([]*eventsv1.Event, batch)
	for i := range list {
		list[i] = &eventsv1.Event{Payload: make([]byte, payload)}
	}
	for range batches {
		if _, err := client.Publish(ctx, &eventsv1.PublishRequest{Topic: "log", Events: list}); err != nil {
			b.Fatal(err)
		}
	}
	began, n := time.Now(), 0
	stream, err := client.Read(ctx, &eventsv1.ReadRequest{Topic: "log"})
	if err != nil {
		b.Fatal(err)
	}
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		n += len(rsp.GetEvents())
	}
	if n < batches*batch {
		b.Fatalf("%d events were read, want %d", n, batches*batch)
	}
	return float64(n) / time.Since(began).Seconds()
}
