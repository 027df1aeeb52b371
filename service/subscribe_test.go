package service_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/micro/micro/v3/service"
	"github.com/micro/micro/v3/service/broker"
	"github.com/micro/micro/v3/service/client"
	"github.com/micro/micro/v3/service/context/metadata"
	"github.com/micro/micro/v3/service/internal/call"
	"github.com/micro/micro/v3/service/internal/telemetry"
	"github.com/micro/micro/v3/service/logger"
	"github.com/micro/micro/v3/service/server"
	"github.com/micro/micro/v3/service/servicetest"
	"github.com/micro/micro/v3/service/testdata/greet"
)

// got is a message, and what its context knows.
type got struct {
	by, name                            string
	request, trace, metadata, from, via string
}

// listener is a struct with subscribers, and a method that is none.
type listener struct{ to chan<- got }

func (l *listener) Handle(ctx context.Context, m *greet.HelloRequest) error {
	c := call.From(ctx)
	tenant, _ := metadata.Get(ctx, "X-Tenant")
	g := got{by: "Handle", name: m.GetName(), request: c.RequestID, trace: telemetry.TraceID(ctx), metadata: tenant, via: c.Endpoint}
	if c.Caller != nil {
		g.from = c.Caller.ID
	}
	l.to <- g
	return nil
}

func (l *listener) Raw(m *broker.Message) error {
	l.to <- got{by: "Raw", name: string(m.Body), metadata: m.Header["X-Tenant"]}
	return nil
}

func (*listener) Close() error { return nil }

func traced(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
}

// What is published reaches all subscribers of all forms, with what it is a part of, and
// is not believed to say who published it.
func TestSubscribe(t *testing.T) {
	env := servicetest.Start(t)
	to := make(chan got, 10)
	var wrapped []string
	s := service.New(service.Name("listener"), service.Address("127.0.0.1:0"), service.WrapSubscriber(
		func(next server.SubscriberFunc) server.SubscriberFunc {
			return func(ctx context.Context, m server.Message) error {
				if req, ok := m.Payload().(*greet.HelloRequest); ok {
					wrapped = append(wrapped, m.Topic()+" "+m.ContentType()+" "+req.GetName())
				}
				return next(ctx, m)
			}
		}))
	plain := func(_ context.Context, m struct{ Name string }) error {
		to <- got{by: "plain", name: m.Name}
		return nil
	}
	body := func(b []byte) error {
		to <- got{by: "body", name: string(b)}
		return nil
	}
	for _, err := range []error{s.Subscribe("names", &listener{to}), s.Subscribe("names", plain), s.Server().Subscribe(s.Server().NewSubscriber("names", body))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	env.Run(s)

	ctx := metadata.Set(traced(t.Context()), "X-Tenant", "acme")
	ctx = metadata.Set(ctx, "Micro-Account", "eve")
	ctx = metadata.Set(ctx, "X-Request-Id", "one hop only")
	if err := service.NewEvent("names").Publish(ctx, &greet.HelloRequest{Name: "Alice"}); err != nil {
		t.Fatal(err)
	}
	all := map[string]got{}
	for range 4 {
		g := <-to
		all[g.by] = g
	}
	h := all["Handle"]
	if h.request == "" || h.request == "one hop only" {
		t.Errorf("the id of the request is %q", h.request)
	}
	h.request = ""
	if want := (got{by: "Handle", name: "Alice", trace: "01000000000000000000000000000000", metadata: "acme", via: "names"}); h != want {
		t.Errorf("got %+v, want %+v", h, want)
	}
	if want := (got{by: "Raw", name: `{"name":"Alice"}`, metadata: "acme"}); all["Raw"].metadata != want.metadata || strings.ReplaceAll(all["Raw"].name, " ", "") != want.name {
		t.Errorf("got %+v, want %+v", all["Raw"], want)
	}
	if all["plain"].name != "Alice" || strings.ReplaceAll(all["body"].name, " ", "") != `{"name":"Alice"}` {
		t.Errorf("got %+v", all)
	}
	if len(wrapped) != 1 || wrapped[0] != "names application/json Alice" {
		t.Errorf("the wrapper saw %q", wrapped)
	}

	// Somebody who publishes by himself can say what he likes.
	err := broker.New(env.Admin()).Publish(t.Context(), "names", &broker.Message{
		Header: map[string]string{"Micro-Account": "root", "micro-namespace": "other", "X-Request-Id": "r17"}, Body: []byte(`{"name":"Bob","unknown":1}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if g := <-to; g.by == "Handle" && (g.from != "" || g.request != "r17" || g.name != "Bob") {
			t.Errorf("got %+v", g)
		}
	}
}

// A message that cannot be handled is logged, and the next one is handled.
func TestSubscribeFails(t *testing.T) {
	env := servicetest.Start(t)
	var log bytes.Buffer
	done := make(chan string, 1)
	s := service.New(service.Name("picky"), service.Address("127.0.0.1:0"), service.Logger(slog.New(logger.Handler(slog.NewTextHandler(&log, nil)))))
	err := s.Subscribe("names", func(_ context.Context, m *greet.HelloRequest) error {
		switch m.GetName() {
		case "bad":
			return errors.New("a bad name")
		case "worse":
			panic("a worse name")
		}
		done <- log.String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	env.Run(s)
	c := broker.New(env.Admin())
	for _, body := range []string{`{"name":"bad"}`, `{"name":"worse"}`, `{"name":17}`, `{"name":"good"}`} {
		if err := c.Publish(t.Context(), "names", &broker.Message{Header: map[string]string{"X-Request-Id": "r1"}, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	got := <-done
	for _, want := range []string{"a bad name", "a worse name", "it is no *greet.HelloRequest", "topic=names", "request_id=r1"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %q:\n%s", want, got)
		}
	}
}

// Instances that name the same queue share messages.
func TestSubscriberQueue(t *testing.T) {
	env := servicetest.Start(t)
	to := make(chan string, 20)
	for _, name := range []string{"one", "two"} {
		s := service.New(service.Name(name), service.Address("127.0.0.1:0"))
		err := s.Subscribe("jobs", func(m *greet.HelloRequest) error {
			to <- m.GetName()
			return nil
		}, server.SubscriberQueue("workers"))
		if err != nil {
			t.Fatal(err)
		}
		env.Run(s)
	}
	for range 5 {
		if err := client.Publish(t.Context(), client.NewMessage("jobs", &greet.HelloRequest{Name: "job"})); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Publish(t.Context(), client.NewMessage("other", &greet.HelloRequest{Name: "no job"})); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if got := <-to; got != "job" {
			t.Errorf("got %q", got)
		}
	}
	select {
	case got := <-to:
		t.Errorf("got %q once more", got)
	default:
	}
}

// Stop waits for a message that is handled, and no other is handled after it.
func TestSubscribeDrains(t *testing.T) {
	env := servicetest.Start(t)
	began, stopping, goOn := make(chan struct{}, 10), make(chan struct{}), make(chan struct{})
	var finished, over atomic.Bool
	s := service.New(service.Name("slow"), service.Address("127.0.0.1:0"),
		service.BeforeStop(func() error { close(stopping); return nil }),
		service.AfterStop(func() error {
			if !finished.Load() {
				t.Error("the service stopped while a message was handled")
			}
			over.Store(true)
			return nil
		}))
	err := s.Subscribe("jobs", func(ctx context.Context, _ *greet.HelloRequest) error {
		if over.Load() {
			t.Error("a message was handled after the service had stopped")
		}
		began <- struct{}{}
		<-goOn
		finished.Store(ctx.Err() == nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	env.Run(s)
	for range 3 {
		if err := client.Publish(t.Context(), client.NewMessage("jobs", &greet.HelloRequest{})); err != nil {
			t.Fatal(err)
		}
	}
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.WithoutCancel(t.Context())) }()
	<-stopping
	select {
	case err := <-stopped:
		t.Errorf("stopped while a message was handled: %v", err)
	default:
	}
	close(goOn)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// What is no subscriber is told at once, and when the service is started.
func TestSubscribeRefuses(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"it is nil": nil,
		"it is a func(int) and should be a func(context.Context, *Msg) error":                                           func(int) {},
		"it is a func(context.Context) error and should be":                                                             func(context.Context) error { return nil },
		"it is a func(string, *greet.HelloRequest) error and should be":                                                 func(string, *greet.HelloRequest) error { return nil },
		"struct {} has no method that takes a message, as M(context.Context, *Msg) error would":                         struct{}{},
		"it is a func(context.Context, ...*greet.HelloRequest) error and should be a func(context.Context, *Msg) error": func(context.Context, ...*greet.HelloRequest) error { return nil },
	} {
		s := service.New(service.Address("127.0.0.1:0"))
		if err := s.Subscribe("names", v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: %v, want %q", v, err, want)
		}
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: the start ended with %v, want %q", v, err, want)
		}
	}
}
