package proxy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/stats"
)

// counted returns how the calls of a service have ended: by its endpoints and its
// instances, and how many are under way.
func (r *rig) counted(service string) map[string]int64 {
	out := map[string]int64{}
	f := r.stats.Read(stats.Query{Namespace: "acme", Service: service, Window: stats.Kept, Points: stats.None})
	for _, s := range f.Services {
		note := func(what string, figures stats.Figures) {
			for code, n := range figures.Codes {
				if n > 0 {
					out[fmt.Sprintf("%s %s", what, codes.Code(code))] = n
				}
			}
			if figures.InFlight > 0 {
				out[what+" under way"] = figures.InFlight
			}
		}
		for _, e := range s.Endpoints {
			note("endpoint "+e.Name, e.Figures)
		}
		for _, in := range s.Instances {
			note("instance "+in.Name, in.Figures)
		}
	}
	return out
}

// awaitCounted waits until the calls of a service are counted so: a caller may have his
// answer before.
func (r *rig) awaitCounted(t *testing.T, service string, want map[string]int64) {
	t.Helper()
	ctx := in(t)
	for {
		got := r.counted(service)
		if cmp.Equal(want, got) {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("calls (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

// Each call is counted once, with the code that its caller gets.
func TestCounts(t *testing.T) {
	t.Parallel()
	r := start(t)
	one := startInstance(t, "one", func(s grpc.ServerStream) error {
		var m []byte
		if err := s.RecvMsg(&m); err != nil {
			return err
		}
		switch string(m) {
		case "fail":
			return status.Error(codes.DataLoss, "no")
		case "wait":
			<-s.Context().Done()
			return s.Context().Err()
		case "several":
			for range 3 {
				if err := s.SendMsg(&m); err != nil {
					return err
				}
			}
			return nil
		default:
			return s.SendMsg(&m)
		}
	})
	r.register(t, "acme", "greeter", "one", one.address, "sha256:1")
	want := map[string]int64{}
	expect := func(endpoint, code string) {
		t.Helper()
		want["endpoint "+endpoint+" "+code]++
		want["instance one "+code]++
		r.awaitCounted(t, "greeter", want)
	}
	if _, err := r.call(in(t), "well"); err != nil {
		t.Fatal(err)
	}
	expect(method, "OK")
	if _, err := r.call(in(t), "fail"); status.Code(err) != codes.DataLoss {
		t.Fatal(err)
	}
	expect(method, "DataLoss")
	ctx, cancel := context.WithCancel(in(t))
	s, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	wait := []byte("wait")
	if err := s.SendMsg(&wait); err != nil {
		t.Fatal(err)
	}
	want["endpoint "+method+" under way"], want["instance one under way"] = 1, 1
	r.awaitCounted(t, "greeter", want)
	delete(want, "endpoint "+method+" under way")
	delete(want, "instance one under way")
	cancel()
	expect(method, "Canceled")

	// What the gateway does.
	route := func() *proxy.Route {
		t.Helper()
		route, err := r.proxy.Admit(t.Context(), proxy.Call{Namespace: "acme", Service: "greeter", Path: method, Metadata: metadata.MD{}})
		if err != nil {
			t.Fatal(err)
		}
		return route
	}
	if _, _, _, err := route().Unary(t.Context(), []byte("well"), nil); err != nil {
		t.Fatal(err)
	}
	expect(method, "OK")
	if _, _, _, err := route().Unary(t.Context(), []byte("fail"), nil); err == nil {
		t.Fatal("it did not fail")
	}
	expect(method, "DataLoss")
	ctx, cancel = context.WithCancel(t.Context())
	stream, err := route().Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send([]byte("several")); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(nil); err != nil {
		t.Fatal(err)
	}
	cancel() // the client of the gateway has gone
	stream.Close()
	expect(method, "Canceled")

	// What no schema has.
	m, answer := []byte("well"), []byte(nil)
	if err := r.conn.Invoke(in(t), "/"+provides+"/MadeUp", &m, &answer); err != nil {
		t.Fatal(err)
	}
	expect("", "OK")

	// What the rules refuse is not counted; what should be there and is not, is.
	if _, err := r.call(in(t, "authorization", "Bearer x"), "well"); err == nil {
		t.Error("a bad token is good")
	}
	r.awaitCounted(t, "greeter", want)
	if _, err := r.call(in(t, proxy.KeyService, "sleeping"), "well"); err == nil {
		t.Error("what does not run has answered")
	}
	r.awaitCounted(t, "sleeping", map[string]int64{"endpoint  Unavailable": 1})
	if _, err := r.call(in(t, proxy.KeyService, "nothing"), "well"); err == nil {
		t.Error("what is not there has answered")
	}
	r.awaitCounted(t, "nothing", map[string]int64{})
	r.register(t, "acme", "gone", "two", "127.0.0.1:1", "")
	if _, err := r.call(in(t, proxy.KeyService, "gone"), "well"); err == nil {
		t.Error("what has ended has answered")
	}
	r.awaitCounted(t, "gone", map[string]int64{"endpoint  Unavailable": 1})
}
