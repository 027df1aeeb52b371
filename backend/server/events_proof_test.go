package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/backend/events"
	"github.com/micro/micro/v3/backend/server"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
)

// proof has publishers and consumers of one group, which are killed and replaced, and
// checks what events promise:
//
//   - every event whose publish was acknowledged is handled, or a dead letter
//   - of a key one is delivered when all before it are settled
//   - what cannot be handled is a dead letter after so many deliveries, and not before
//   - the log is what was published
type proof struct {
	s    *testServer
	n    int
	seed uint64

	mu        sync.Mutex
	published map[int64]string // payloads whose publish was acknowledged, by offset
	handled   map[string]bool  // payloads
	last      map[string]int   // of each key, the last that was handled
	skipped   []string         // payloads that were passed over: they have to be dead
	wrong     []string
}

const (
	proofPublishers = 8
	proofKeys       = 16 // of each publisher
	proofConsumers  = 6
	proofDeliveries = 6
)

// violate notes what is wrong; with p.mu held.
func (p *proof) violate(format string, args ...any) {
	if len(p.wrong) < 10 {
		p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
	}
}

func (p *proof) isWrong() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.wrong) > 0
}

// A payload is KEY:NUMBER, with a word behind it when nobody can handle it. Those of no
// key have the publisher in its place and are in no order.
func isPoison(payload string) bool { return strings.HasSuffix(payload, " bad") }

func (p *proof) context() (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+p.s.admin, "micro-namespace", "acme")
	return context.WithCancel(ctx)
}

// publish publishes what one publisher has.
func (p *proof) publish(publisher int) error {
	ctx, cancel := p.context()
	defer cancel()
	rng := rand.New(rand.NewPCG(p.seed, uint64(publisher)))
	client := eventsv1.NewEventsClient(p.s.conn)
	numbers := map[string]int{}
	for left := p.n / proofPublishers; left > 0; {
		req := &eventsv1.PublishRequest{Topic: "jobs"}
		for range min(left, 1+rng.IntN(100)) {
			key, name := "", fmt.Sprintf("p%d", publisher)
			if rng.IntN(4) > 0 {
				key = fmt.Sprintf("p%dk%d", publisher, rng.IntN(proofKeys))
				name = key
			}
			numbers[name]++
			payload := name + ":" + strconv.Itoa(numbers[name])
			if rng.IntN(500) == 0 {
				payload += " bad"
			}
			req.Events = append(req.Events, &eventsv1.Event{Key: key, Payload: []byte(payload)})
		}
		rsp, err := client.Publish(ctx, req)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		p.mu.Lock()
		for i, e := range req.GetEvents() {
			offset := rsp.GetOffset() + int64(i)
			if other, taken := p.published[offset]; taken {
				p.violate("%q and %q were both published at %d", other, e.GetPayload(), offset)
			}
			p.published[offset] = string(e.GetPayload())
		}
		p.mu.Unlock()
		left -= len(req.GetEvents())
	}
	return nil
}

// consume is a consumer that lives for a while. It may be cut off with deliveries that
// it has not acknowledged, or has without the server knowing.
func (p *proof) consume(ctx context.Context, rng *rand.Rand) error {
	mine, kill := p.context()
	defer kill()
	defer context.AfterFunc(ctx, kill)()
	stream, err := eventsv1.NewEventsClient(p.s.conn).Consume(mine)
	if err != nil {
		return err
	}
	err = stream.Send(&eventsv1.ConsumeRequest{Topic: "jobs", Start: &eventsv1.ConsumeStart{
		Group: "workers", MaxDeliveries: proofDeliveries, MaxInFlight: int32(1 + rng.IntN(300)), AckWait: durationpb.New(time.Hour),
	}})
	for life := 1 + rng.IntN(200); err == nil && life > 0; life-- {
		var rsp *eventsv1.ConsumeResponse
		if rsp, err = stream.Recv(); err != nil {
			break
		}
		req := &eventsv1.ConsumeRequest{}
		for _, d := range rsp.GetDeliveries() {
			p.delivered(d)
			if isPoison(string(d.GetEvent().GetPayload())) {
				req.Nack = append(req.Nack, &eventsv1.Nack{Offset: d.GetEvent().GetOffset(), Delay: durationpb.New(0)})
			} else {
				req.Ack = append(req.Ack, d.GetEvent().GetOffset())
			}
		}
		if life > 1 { // the last ones it does not get to acknowledge
			err = stream.Send(req)
		}
	}
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil // it was told to end, or was cut off while it sent
	}
	return err
}

// delivered checks a delivery, and handles it.
func (p *proof) delivered(d *eventsv1.Delivery) {
	payload, key := string(d.GetEvent().GetPayload()), d.GetEvent().GetKey()
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.GetAttempt() > proofDeliveries {
		p.violate("%q is delivered for the %d. time, want %d at most", payload, d.GetAttempt(), proofDeliveries)
	}
	name, rest, _ := strings.Cut(payload, ":")
	number, _ := strconv.Atoi(strings.TrimSuffix(rest, " bad"))
	if strings.Contains(name, "k") {
		last := p.last[name]
		if key != "" && key != name || number < last {
			p.violate("%q (key %q) is delivered after number %d of its key", payload, key, last)
		}
		for n := last + 1; n < number; n++ {
			p.skipped = append(p.skipped, fmt.Sprintf("%s:%d", name, n))
		}
		if !isPoison(payload) {
			p.last[name] = number
		} else {
			p.last[name] = number - 1
		}
	}
	if !isPoison(payload) {
		p.handled[payload] = true
	}
}

// run publishes and consumes until nothing is left, and checks what came of it.
func (p *proof) run(t *testing.T) []string {
	t.Helper()
	var publishing, consuming sync.WaitGroup
	errs := make(chan error, proofPublishers+proofConsumers)
	for i := range proofPublishers {
		publishing.Go(func() {
			if err := p.publish(i); err != nil {
				errs <- err
			}
		})
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for i := range proofConsumers {
		rng := rand.New(rand.NewPCG(p.seed, uint64(100+i)))
		consuming.Go(func() {
			for ctx.Err() == nil {
				if err := p.consume(ctx, rng); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	publishing.Wait()
	err := p.awaitSettled()
	stop()
	consuming.Wait()
	select {
	case err = <-errs:
	default:
	}
	if err != nil {
		t.Fatal(err)
	}
	if !p.isWrong() {
		p.check(t)
	}
	return p.wrong
}

// awaitSettled waits until nothing is left to deliver, or something is wrong.
func (p *proof) awaitSettled() error {
	ctx, cancel := p.context()
	defer cancel()
	for !p.isWrong() {
		rsp, err := eventsv1.NewEventsClient(p.s.conn).ListGroups(ctx, &eventsv1.ListGroupsRequest{Topic: "jobs"})
		if err != nil {
			return err
		}
		if len(rsp.GetGroups()) == 1 && rsp.GetGroups()[0].GetLag() == 0 {
			return nil
		}
		<-time.After(5 * time.Millisecond)
	}
	return nil
}

// check compares the logs with what was promised.
func (p *proof) check(t *testing.T) {
	t.Helper()
	log, dead := map[int64]string{}, map[string]int{}
	p.read(t, "jobs", func(e *eventsv1.Event) { log[e.GetOffset()] = string(e.GetPayload()) })
	p.read(t, "jobs.dead", func(e *eventsv1.Event) {
		dead[string(e.GetPayload())]++
		if got := e.GetMetadata()[events.DeadAttempts]; got != strconv.Itoa(proofDeliveries) {
			p.violate("%q is dead after %s deliveries, want %d", e.GetPayload(), got, proofDeliveries)
		}
	})
	if len(log) != len(p.published) {
		p.violate("the log has %d events, want %d", len(log), len(p.published))
	}
	for offset, payload := range p.published {
		if log[offset] != payload {
			p.violate("the log has %q at %d, want %q", log[offset], offset, payload)
		}
		switch {
		case isPoison(payload) && dead[payload] != 1:
			p.violate("%q is a dead letter %d times, want once", payload, dead[payload])
		case !isPoison(payload) && !p.handled[payload] && dead[payload] == 0:
			p.violate("nobody has handled %q", payload)
		}
	}
	for _, payload := range p.skipped {
		if dead[payload]+dead[payload+" bad"] == 0 {
			p.violate("%q was passed over, and is no dead letter", payload)
		}
	}
}

// read calls f with the events of a topic.
func (p *proof) read(t *testing.T, topic string, f func(*eventsv1.Event)) {
	t.Helper()
	ctx, cancel := p.context()
	defer cancel()
	stream, err := eventsv1.NewEventsClient(p.s.conn).Read(ctx, &eventsv1.ReadRequest{Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return
		}
		if reasonOf(err) == "NOT_FOUND" {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range rsp.GetEvents() {
			f(e)
		}
	}
}

func newProof(t *testing.T, n int, options ...func(*server.Config)) *proof {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("MICRO_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("MICRO_SEED=%d", seed)
	return &proof{
		s: start(t, options...), n: n, seed: seed,
		published: map[int64]string{}, handled: map[string]bool{}, last: map[string]int{},
	}
}

// TestEventsProof keeps the promises of events to consumers that are killed.
func TestEventsProof(t *testing.T) {
	t.Parallel()
	n := 20_000
	if os.Getenv("MICRO_SOAK") != "" {
		n = 1_000_000
	}
	p := newProof(t, n)
	for _, wrong := range p.run(t) {
		t.Error(wrong)
	}
}

// TestEventsProofNotices has engines that break a promise each: if that goes unnoticed,
// TestEventsProof shows nothing.
func TestEventsProofNotices(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		engine func(events.Engine) events.Engine
		want   string
	}{
		"an event that is lost":          {func(e events.Engine) events.Engine { return &losing{Engine: e} }, "were both published at"},
		"one that is never delivered":    {func(e events.Engine) events.Engine { return &swallowing{Engine: e} }, "nobody has handled"},
		"no order of keys":               {func(e events.Engine) events.Engine { return keyless{e} }, "is delivered after number"},
		"no dead letters":                {func(e events.Engine) events.Engine { return untiring{e} }, "is delivered for the"},
		"a log that leaves out":          {func(e events.Engine) events.Engine { return forgetful{e} }, "the log has"},
		"a log that makes up":            {func(e events.Engine) events.Engine { return inventive{e} }, "the log has"},
		"dead letters after few of them": {func(e events.Engine) events.Engine { return hasty{e} }, "is dead after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProof(t, 4000, func(c *server.Config) { c.Events = tt.engine(c.Events) })
			wrong := p.run(t)
			if !strings.Contains(strings.Join(wrong, "\n"), tt.want) {
				t.Errorf("noticed %q, want %q", wrong, tt.want)
			}
		})
	}
}

// losing acknowledges an event that it does not keep.
type losing struct {
	events.Engine
	once sync.Once
}

func (l *losing) Append(ctx context.Context, t events.Topic, list []events.Event) (int64, error) {
	if len(list) > 1 {
		l.once.Do(func() { list = list[:len(list)-1] })
	}
	return l.Engine.Append(ctx, t, list)
}

// swallowing settles an event that it does not deliver.
type swallowing struct {
	events.Engine
	mu   sync.Mutex
	done bool
}

func (s *swallowing) Fetch(ctx context.Context, g events.Group, f events.Fetch) ([]events.Delivery, error) {
	list, err := s.Engine.Fetch(ctx, g, f)
	if err != nil || len(list) < 2 {
		return list, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := list[len(list)-1]
	if s.done || isPoison(string(last.Payload)) || last.Attempt > 1 {
		return list, err
	}
	s.done = true
	return list[:len(list)-1], s.Ack(ctx, g, []int64{last.Offset})
}

// keyless knows no keys.
type keyless struct{ events.Engine }

func (k keyless) Append(ctx context.Context, t events.Topic, list []events.Event) (int64, error) {
	for i := range list {
		list[i].Key = ""
	}
	return k.Engine.Append(ctx, t, list)
}

// untiring delivers for ever.
type untiring struct{ events.Engine }

func (p untiring) Fetch(ctx context.Context, g events.Group, f events.Fetch) ([]events.Delivery, error) {
	f.MaxDeliveries = 0
	return p.Engine.Fetch(ctx, g, f)
}

// hasty gives up too early.
type hasty struct{ events.Engine }

func (h hasty) Fetch(ctx context.Context, g events.Group, f events.Fetch) ([]events.Delivery, error) {
	f.MaxDeliveries = 2
	return h.Engine.Fetch(ctx, g, f)
}

// forgetful leaves out an event when it is read.
type forgetful struct{ events.Engine }

func (e forgetful) Read(ctx context.Context, t events.Topic, r events.Range) ([]events.Event, error) {
	list, err := e.Engine.Read(ctx, t, r)
	if len(list) > 3 && list[0].Offset < 10 {
		list = append(list[:1], list[2:]...)
	}
	return list, err
}

// inventive reads what was never published.
type inventive struct{ events.Engine }

func (e inventive) Read(ctx context.Context, t events.Topic, r events.Range) ([]events.Event, error) {
	list, err := e.Engine.Read(ctx, t, r)
	if len(list) > 0 && t.Name == "jobs" {
		list[0].Payload = append(list[0].Payload, '!')
	}
	return list, err
}
