package cli

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// connect gives an app a server of its own for the test.
func connect(t *testing.T, app *App, register func(*grpc.Server)) {
	t.Helper()
	connectWith(t, app, register)
}

func connectWith(t *testing.T, app *App, register func(*grpc.Server), o ...grpc.ServerOption) {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(o...)
	register(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///test",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	app.conn = conn
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// runtimeServer answers with what a test says.
type runtimeServer struct {
	runtimev1.UnimplementedRuntimeServer
	services []*runtimev1.Service // of List; Watch sends one after the other
	stalled  chan struct{}        // when it is set, List waits for its end
	watchEnd error
}

func (s *runtimeServer) List(ctx context.Context, _ *runtimev1.ListRequest) (*runtimev1.ListResponse, error) {
	if s.stalled != nil {
		select {
		case <-s.stalled:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &runtimev1.ListResponse{Services: s.services}, nil
}

func (s *runtimeServer) Get(context.Context, *runtimev1.GetRequest) (*runtimev1.GetResponse, error) {
	return &runtimev1.GetResponse{Service: s.services[0]}, nil
}

func (s *runtimeServer) Watch(_ *runtimev1.WatchRequest, stream grpc.ServerStreamingServer[runtimev1.WatchResponse]) error {
	for _, svc := range s.services {
		if err := stream.Send(&runtimev1.WatchResponse{Service: svc}); err != nil {
			return err
		}
	}
	return s.watchEnd
}

func (s *runtimeServer) register(g *grpc.Server) { runtimev1.RegisterRuntimeServer(g, s) }

// state returns a service in a phase of a release, with instances.
func state(release int64, phase runtimev1.Phase, instances ...*runtimev1.Instance) *runtimev1.Service {
	return &runtimev1.Service{Name: "shop", Status: &runtimev1.Status{Release: release, Phase: phase, Instances: instances}}
}

func TestAwaitRunning(t *testing.T) {
	t.Parallel()
	starting := state(2, runtimev1.Phase_PHASE_STARTING)
	serving := state(2, runtimev1.Phase_PHASE_STARTING, &runtimev1.Instance{
		Release: 2, Phase: runtimev1.Phase_PHASE_CRASHED, Reason: "ended with 1", LastLines: []string{"panic: no"},
	})
	serving.Status.ServingRelease = 1
	rolledBack := state(1, runtimev1.Phase_PHASE_RUNNING)
	rolledBack.Status.Change = &runtimev1.Change{
		Action: autoRollback, Reason: "ended with 1 (failed 3 times)", Before: &runtimev1.State{Release: 2}, After: &runtimev1.State{Release: 1},
	}
	for _, test := range []struct {
		name string
		srv  *runtimeServer
		want *Error
	}{
		{"it runs in the end", &runtimeServer{services: []*runtimev1.Service{starting, starting, state(2, runtimev1.Phase_PHASE_RUNNING)}}, nil},
		{"an instance of an older release crashed", &runtimeServer{services: []*runtimev1.Service{
			state(2, runtimev1.Phase_PHASE_STARTING, &runtimev1.Instance{Release: 1, Phase: runtimev1.Phase_PHASE_CRASHED}),
			state(2, runtimev1.Phase_PHASE_RUNNING),
		}}, nil},
		{"an instance crashed", &runtimeServer{services: []*runtimev1.Service{starting, serving}}, &Error{
			Message: "shop does not run: it ended with 1; release 1 goes on serving, and release 2 is given up if it does not come up soon", Details: []string{"  | panic: no"}, Hint: "micro logs shop", Exit: ExitError,
		}},
		{"another release came", &runtimeServer{services: []*runtimev1.Service{starting, state(3, runtimev1.Phase_PHASE_RUNNING)}}, &Error{
			Message: "release 2 of shop was replaced by release 3 before it ran", Hint: "micro status shop", Exit: ExitError,
		}},
		{"it was rolled back", &runtimeServer{services: []*runtimev1.Service{starting, rolledBack}}, &Error{
			Message: "release 2 of shop was rolled back to release 1: ended with 1 (failed 3 times)", Hint: "micro inspect shop", Exit: ExitError,
		}},
		{"the server stops telling", &runtimeServer{services: []*runtimev1.Service{starting}}, &Error{
			Message: "the server stopped telling what becomes of shop", Hint: "micro status shop", Exit: ExitUnreachable,
		}},
		{"it is deleted", &runtimeServer{watchEnd: status.Error(codes.NotFound, "no service shop")}, &Error{
			Message: "no service shop", Code: "NotFound", Exit: ExitNotFound,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, _, _ := testApp(t)
			connect(t, app, test.srv.register)
			_, err := awaitRunning(t.Context(), runtimev1.NewRuntimeClient(app.conn), "shop", 2, func(string) {})
			if test.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("got no error")
			}
			if d := cmp.Diff(test.want, app.explain(err)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// TestAwaitStarting says what a service that starts is waited for.
func TestAwaitStarting(t *testing.T) {
	t.Parallel()
	app, _, _ := testApp(t)
	connect(t, app, (&runtimeServer{services: []*runtimev1.Service{
		state(2, runtimev1.Phase_PHASE_STARTING,
			&runtimev1.Instance{Release: 1, Phase: runtimev1.Phase_PHASE_STARTING, Reason: "another"},
			&runtimev1.Instance{Release: 2, Phase: runtimev1.Phase_PHASE_STARTING, Reason: "it does not listen"},
			&runtimev1.Instance{Release: 2, Phase: runtimev1.Phase_PHASE_STARTING}),
		state(2, runtimev1.Phase_PHASE_RUNNING),
	}}).register)
	var got []string
	_, err := awaitRunning(t.Context(), runtimev1.NewRuntimeClient(app.conn), "shop", 2, func(reason string) { got = append(got, reason) })
	if want := []string{"it does not listen"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestAwaitGone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  error
		want codes.Code // OK when it is gone
	}{
		{"gone", status.Error(codes.NotFound, "gone"), codes.OK},
		{"the server stops telling", nil, codes.Unknown},
		{"the server ends", status.Error(codes.Unavailable, "bye"), codes.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, _, _ := testApp(t)
			srv := &runtimeServer{services: []*runtimev1.Service{state(1, runtimev1.Phase_PHASE_STOPPING)}, watchEnd: test.end}
			connect(t, app, srv.register)
			if err := awaitGone(t.Context(), runtimev1.NewRuntimeClient(app.conn), "shop"); status.Code(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestStatus shows what servers and services say, without doing what it says.
func TestStatus(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	srv := &runtimeServer{services: []*runtimev1.Service{
		{
			Name: "shop", Instances: 2,
			Spec: &runtimev1.Spec{Version: "v1\x1b[2J", Image: "h/a@sha256:0123456789abcdef", Source: &runtimev1.Source{Address: "./shop", Revision: "abc", Modified: true}},
			Status: &runtimev1.Status{
				Phase: runtimev1.Phase_PHASE_STARTING, Release: 3, ServingRelease: 2, Reason: "an instance\nended",
				Updated: timestamppb.New(now.Add(-5 * time.Minute)), UpdatedBy: "alice",
				Change: &runtimev1.Change{
					Number: 4, Action: "scale", By: "alice", Time: timestamppb.New(now.Add(-5 * time.Minute)),
					Before: &runtimev1.State{Release: 3, Instances: 1}, After: &runtimev1.State{Release: 3, Instances: 2},
				},
				Instances: []*runtimev1.Instance{
					{Id: "i1", Release: 3, Phase: runtimev1.Phase_PHASE_RUNNING, Address: "127.0.0.1:1", Started: timestamppb.New(now.Add(-time.Minute))},
					{
						Id: "i2", Release: 3, Phase: runtimev1.Phase_PHASE_CRASHED, Reason: "ended with 1\x1b]0;x\a", Restarts: 4, Cause: "it panicked",
						NextStart: timestamppb.New(now.Add(90 * time.Second)), LastLines: []string{"panic: \x1b[31mno\tway"},
					},
				},
			},
		},
		{Name: "new"},
	}}
	for _, test := range []struct{ name, args, want string }{
		{"all", "status", `NAME  VERSION    SOURCE  STATUS       INSTANCES  BUILD         UPDATED  REASON
shop  v1\x1b[2J  ./shop  starting     1/2        0123456789ab  5m ago   an instance ended
new              -       unspecified  0/1                      -
`},
		{"with instances", "status -v", `NAME  VERSION    SOURCE       STATUS       INSTANCES   BUILD         UPDATED  REASON
shop  v1\x1b[2J  ./shop       starting     1/2         0123456789ab  5m ago   an instance ended
  i1  release 3  127.0.0.1:1  running      0 restarts                60s ago
  i2  release 3               crashed      4 restarts                -        ended with 1\x1b]0;x\x07
new              -            unspecified  0/1                       -
`},
		{"all, as they change", "status --watch --plain", strings.ReplaceAll("now shop starting 1/2 release 3: an instance ended; most likely: it panicked (release 2 serves)\nnow new unspecified 0/1 release 0\n", "now", now.Local().Format("15:04:05"))},

		{"one", "status shop", `Name:       shop
Status:     starting
Reason:     an instance ended
Release:    3
Serving:    release 2
Version:    v1\x1b[2J
Source:     ./shop
Revision:   abc (modified)
Image:      h/a@sha256:0123456789abcdef
Updated:    scale (1 to 2 instances) by alice, 5m ago
Instances:  1 of 2 run
            i1  running on 127.0.0.1:1, started 60s ago
            i2  crashed, restarted 4 times: ended with 1\x1b]0;x\x07; next start in 1m30s
              | panic: \x1b[31mno way
              most likely: it panicked
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, stdout, stderr := testApp(t)
			connect(t, app, srv.register)
			if exit := Main(t.Context(), app, strings.Fields(test.args)); exit != ExitOK {
				t.Errorf("got exit code %d: %s", exit, stderr)
			}
			if d := cmp.Diff(test.want, stdout.String()); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// TestCompleteServices completes what a server says in time, as one line each.
func TestCompleteServices(t *testing.T) {
	t.Parallel()
	complete := func(t *testing.T, srv *runtimeServer) string {
		t.Helper()
		app, stdout, _ := testApp(t)
		connect(t, app, srv.register)
		if exit := Main(t.Context(), app, []string{"__complete", "status", ""}); exit != ExitOK {
			t.Errorf("got exit code %d", exit)
		}
		return stdout.String()
	}
	t.Run("names", func(t *testing.T) {
		t.Parallel()
		got := complete(t, &runtimeServer{services: []*runtimev1.Service{
			{Name: "shop", Status: &runtimev1.Status{Phase: runtimev1.Phase_PHASE_RUNNING}}, {Name: "a\nb\x1b[2J\tc"},
		}})
		if want := "shop\trunning\na b\\x1b[2J c\tunspecified\n:4\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("a server that says nothing", func(t *testing.T) {
		t.Parallel()
		never := make(chan struct{})
		if got, want := complete(t, &runtimeServer{stalled: never}), ":4\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestErrorsOfStrangers prints what a server gives for an error as text.
func TestErrorsOfStrangers(t *testing.T) {
	t.Parallel()
	app, _, stderr := testApp(t)
	srv := &runtimeServer{watchEnd: status.Error(codes.Internal, "\x1b]0;x\a\nhint: rm -rf /\x1b[8m")}
	connect(t, app, srv.register)
	err := awaitGone(t.Context(), runtimev1.NewRuntimeClient(app.conn), "shop")
	app.explain(err).Print(stderr, false)
	if want := "micro: \\x1b]0;x\\x07\n  hint: rm -rf /\\x1b[8m\n"; stderr.String() != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
	var b bytes.Buffer
	app.explain(err).Print(&b, true)
	if strings.ContainsAny(b.String(), "\x1b\a") {
		t.Errorf("in JSON: got %q", b.String())
	}
}
