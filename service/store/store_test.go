package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/backend/store/embedded"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	"github.com/micro/micro/v3/service/servicetest"
	"github.com/micro/micro/v3/service/store"
)

// open returns a client of the administrator of a server in this process.
func open(t *testing.T) *store.Client {
	t.Helper()
	return store.New(connect(t))
}

// connect runs a server in this process and returns a connection of its administrator.
func connect(t *testing.T) *grpc.ClientConn {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan server.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, server.Config{
			DataDir: t.TempDir(), Gateway: "127.0.0.1:0", Proxy: "127.0.0.1:0", Store: s,
			OpenRuntime: func(context.Context, runtime.OpenImage) (runtime.Runtime, error) { return idle{}, nil },
			Logger:      slog.New(slog.DiscardHandler),
			Ready:       func(a server.Addresses) { ready <- a },
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	address := (<-ready).Proxy
	var token string
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, rsp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), method, req, rsp, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), desc, cc, method, opts...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	rsp, err := authv1.NewAuthClient(conn).Login(t.Context(), &authv1.LoginRequest{Username: "admin", Password: "micro"})
	if err != nil {
		t.Fatal(err)
	}
	token = rsp.GetSession().GetAccessToken()
	return conn
}

// idle is a runtime that has nothing and starts nothing.
type idle struct{ runtime.Runtime }

func (idle) Watch(ctx context.Context) iter.Seq2[runtime.Event, error] {
	return func(yield func(runtime.Event, error) bool) {
		if yield(runtime.Event{Synced: true}, nil) {
			<-ctx.Done()
			yield(runtime.Event{}, ctx.Err())
		}
	}
}

func (idle) Close() error { return nil }

func TestClient(t *testing.T) {
	t.Parallel()
	c := open(t).Table("posts")
	ctx := t.Context()
	first := &store.Record{Key: "a/1", Value: []byte("one"), Metadata: map[string]any{"by": "me", "n": 1.5}}
	revision, err := c.Write(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	first.Revision = revision
	got, err := c.Read(ctx, "a/1")
	if diff := cmp.Diff([]*store.Record{first}, got); err != nil || diff != "" {
		t.Errorf("Read: %v (-want +got):\n%s", err, diff)
	}
	if _, err := c.Read(ctx, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Read what is not there: %v, want %v", err, store.ErrNotFound)
	}
	if _, err := c.Table("else").Get(ctx, "a/1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of another table: %v, want %v", err, store.ErrNotFound)
	}
	if _, err := c.Database("else").Get(ctx, "a/1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of another database: %v, want %v", err, store.ErrNotFound)
	}
	if _, err := c.Write(ctx, first, store.Create()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Create: %v, want %v", err, store.ErrConflict)
	}
	if _, err := c.Write(ctx, first, store.IfRevision(revision)); err != nil {
		t.Errorf("IfRevision: %v", err)
	}
	if _, err := c.Write(ctx, &store.Record{Key: "s", Expiry: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Get(ctx, "s"); err != nil || r.Expiry <= 59*time.Minute || r.Expiry > time.Hour {
		t.Errorf("a record of an hour: %+v, %v", r, err)
	}
	if err := errors.Join(c.Delete(ctx, "s"), c.Delete(ctx, "s")); err != nil {
		t.Errorf("Delete, twice: %v", err)
	}
	if _, err := c.Write(ctx, &store.Record{Key: "k", Metadata: map[string]any{"f": func() {}}}); err == nil {
		t.Error("metadata that JSON cannot say were written")
	}
}

func TestSelections(t *testing.T) {
	t.Parallel()
	c := open(t)
	var all []string
	var b store.Batch
	for i := range 1200 {
		all = append(all, fmt.Sprintf("k/%04d", i))
		if b.Write(store.NewRecord(all[i], i)); i%600 == 599 {
			if _, err := c.Commit(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			b = store.Batch{}
		}
	}
	reversed := slices.Clone(all)
	slices.Reverse(reversed)
	for _, tt := range []struct {
		name string
		opts []store.Option
		want []string
	}{
		{"all", nil, all},
		{"prefix", []store.Option{store.Prefix("k/11")}, all[1100:]},
		{"suffix", []store.Option{store.Suffix("99"), store.Limit(2)}, []string{all[99], all[199]}},
		{"limit", []store.Option{store.Limit(1001)}, all[:1001]},
		{"offset", []store.Option{store.Offset(1100), store.Limit(50)}, all[1100:1150]},
		{"offset without limit", []store.Option{store.Offset(1190)}, all[1190:]},
		{"offset behind all", []store.Option{store.Offset(2000)}, nil},
		{"reverse", []store.Option{store.Reverse(), store.Offset(1), store.Limit(3)}, reversed[1:4]},
		{"nothing", []store.Option{store.Prefix("x")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.List(t.Context(), tt.opts...)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("List: %v (-want +got):\n%s", err, diff)
			}
			records, err := c.Read(t.Context(), "", tt.opts...)
			var read []string
			for _, r := range records {
				read = append(read, r.Key)
			}
			if diff := cmp.Diff(tt.want, read); err != nil || diff != "" {
				t.Errorf("Read: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	c := open(t)
	var b store.Batch
	b.WriteIf(store.NewRecord("a", 1), 0)
	b.Write(store.NewRecord("b", 2))
	revision, err := c.Commit(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	var again store.Batch
	again.Delete("b")
	again.Check("a", revision+1)
	if _, err := c.Commit(t.Context(), &again); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit: %v, want %v", err, store.ErrConflict)
	}
	r, err := c.Get(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := r.Decode(&n); err != nil || n != 2 || r.Revision != revision {
		t.Errorf("b is %v, %+v, %v", n, r, err)
	}
}

// A watch goes on where another ended.
func TestWatch(t *testing.T) {
	t.Parallel()
	c := open(t)
	write := func(key string) {
		t.Helper()
		if _, err := c.Write(t.Context(), store.NewRecord(key, "v")); err != nil {
			t.Fatal(err)
		}
	}
	follow := func(from int64, until string) (seen []string, revision int64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for change, err := range c.Watch(ctx, "p/", from) {
			if err != nil {
				t.Fatal(err)
			}
			what := "synced"
			if !change.Synced {
				what = change.Record.Key
			}
			if change.Deleted {
				what = "-" + what
			}
			if seen = append(seen, what); what == until {
				return seen, change.Revision
			}
			if change.Synced && from == 0 {
				write("p/2")
			}
		}
		return nil, 0
	}
	write("p/1")
	write("q")
	seen, revision := follow(0, "p/2")
	if diff := cmp.Diff([]string{"p/1", "synced", "p/2"}, seen); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if err := c.Delete(t.Context(), "p/1"); err != nil {
		t.Fatal(err)
	}
	write("p/3")
	seen, _ = follow(revision, "p/3")
	if diff := cmp.Diff([]string{"-p/1", "p/3"}, seen); diff != "" {
		t.Errorf("then (-want +got):\n%s", diff)
	}
	for _, err := range c.Watch(t.Context(), "", 1<<40) {
		if !errors.Is(err, store.ErrCompacted) {
			t.Errorf("from what never was: %v, want %v", err, store.ErrCompacted)
		}
	}
}

// Alone there is no server.
func TestAlone(t *testing.T) {
	t.Setenv("MICRO_PROXY", "")
	if _, err := store.Read("k"); err == nil {
		t.Error("Read found a record without a server")
	}
}

// What was written for Micro 3 compares errors with ==.
func TestNotFoundAsItIs(t *testing.T) {
	servicetest.Start(t)
	_, err := store.Read("none")
	if err != store.ErrNotFound { //nolint:errorlint // as services compare it
		t.Errorf("Read what is not there: %v, want %v", err, store.ErrNotFound)
	}
}
