package registry_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore opens an empty store in memory.
func openStore(tb testing.TB) store.Store {
	tb.Helper()
	s, _ := openStoreAt(tb, vfs.NewMem(), embedded.Options{})
	return s
}

// openStoreAt opens the store in a file system; close closes it before the test ends.
func openStoreAt(tb testing.TB, fs vfs.FS, o embedded.Options) (st store.Store, closeStore func()) {
	tb.Helper()
	db, err := engine.Open(tb.Context(), "data", engine.Options{FS: fs})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := embedded.Open(tb.Context(), db, o)
	if err != nil {
		tb.Fatal(err)
	}
	closeStore = sync.OnceFunc(func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(closeStore)
	return s, closeStore
}

func newRegistry(tb testing.TB, s store.Store) *registry.Registry {
	tb.Helper()
	r := registry.New(s)
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// The namespace and the owner of most tests.
const (
	ns    = "acme"
	owner = "runtime"
)

// shop returns an instance of the service "shop".
func shop(id string) registry.Instance {
	return registry.Instance{
		ID:       id,
		Service:  "shop",
		Version:  "v1",
		Release:  1,
		Address:  "127.0.0.1:1",
		Schema:   "sha256:1",
		Provides: []string{"shop.Cart", "shop.Shop"},
		Owner:    owner,
	}
}

func register(tb testing.TB, r *registry.Registry, ns string, in registry.Instance, lease time.Duration) registry.Instance {
	tb.Helper()
	in, err := r.Register(tb.Context(), ns, in, lease)
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

func directory(tb testing.TB, r *registry.Registry, ns string) *registry.Directory {
	tb.Helper()
	d, err := r.Directory(tb.Context(), ns)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// ids returns the ids of the instances of each service, in the directory's order.
func ids(d *registry.Directory) map[string][]string {
	got := map[string][]string{}
	for name, instances := range d.Services() {
		for _, in := range instances {
			got[name] = append(got[name], in.ID)
		}
	}
	return got
}

// keys returns the keys of the store.
func keys(tb testing.TB, s store.Store, prefix string) []string {
	tb.Helper()
	var got []string
	for r, err := range s.Range(tb.Context(), store.Prefix(prefix)) {
		if err != nil {
			tb.Fatal(err)
		}
		got = append(got, r.Key)
	}
	return got
}

func wantErr(tb testing.TB, what string, got, want error) {
	tb.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		tb.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, openStore(t))
		d := directory(t, r, ns)
		want := shop("a")
		got := register(t, r, ns, want, 0)
		want.Since = time.Now()
		want.LeaseExpires = time.Now().Add(registry.DefaultLease)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what Register returns (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]registry.Instance{want}, d.Instances("shop"), cmpopts.EquateApproxTime(time.Second)); diff != "" {
			t.Errorf("what is in the directory (-want +got):\n%s", diff)
		}

		<-time.After(registry.MinLease)
		again := want // registered since then, whatever it says itself
		again.Address, again.Provides, again.Since = "127.0.0.1:2", []string{"shop.Shop"}, time.Time{}
		register(t, r, ns, again, time.Minute)
		want.Address, want.Provides = again.Address, again.Provides
		want.LeaseExpires = time.Now().Add(time.Minute)
		if diff := cmp.Diff([]registry.Instance{want}, d.Instances("shop"), cmpopts.EquateApproxTime(time.Second)); diff != "" {
			t.Errorf("what is in the directory after it was replaced (-want +got):\n%s", diff)
		}
		if got := d.Providers("shop.Cart"); got != nil {
			t.Errorf("has what it no longer provides: %v", got)
		}
	})
}

// TestLeaseEnds has leases that nobody renews: the instances leave the directory and
// the store, those of others stay.
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		r := newRegistry(t, s)
		register(t, r, ns, shop("short"), registry.MinLease)
		register(t, r, ns, shop("long"), registry.MaxLease)
		register(t, r, "other", shop("short"), registry.MaxLease)
		d := directory(t, r, ns)
		changed := d.Changed()

		<-time.After(registry.MinLease + time.Second)
		synctest.Wait()
		select {
		case <-changed:
		default:
			t.Error("nobody was told")
		}
		if diff := cmp.Diff(map[string][]string{"shop": {"long"}}, ids(d)); diff != "" {
			t.Errorf("the directory (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"acme/registry/instance/shop/long"}, keys(t, s, ns+"/")); diff != "" {
			t.Errorf("the store (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string][]string{"shop": {"short"}}, ids(directory(t, r, "other"))); diff != "" {
			t.Errorf("the other directory (-want +got):\n%s", diff)
		}

		<-time.After(registry.MaxLease)
		synctest.Wait()
		if got := ids(d); len(got) > 0 {
			t.Errorf("the directory in the end: %v", got)
		}
		if got := d.Providers("shop.Shop"); got != nil {
			t.Errorf("a gRPC service without an instance has providers: %v", got)
		}
	})
}

// TestLeaseAndClock sets the machine's clock an hour back and forth, while the server
// runs and while it does not: a lease lasts as long as it was given for, and one that
// a clock set back has made longer is bounded when the server starts.
func TestLeaseAndClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs, now := vfs.NewMem(), time.Now().Add(time.Hour)
		o := embedded.Options{Now: func() time.Time { return now }}
		s, closeStore := openStoreAt(t, fs, o)
		r := newRegistry(t, s)
		d := directory(t, r, ns)
		register(t, r, ns, shop("a"), registry.MaxLease)
		theirs := shop("theirs")
		theirs.Owner = "account bob"
		register(t, r, ns, theirs, registry.MaxLease)
		for _, by := range []time.Duration{time.Hour, -2 * time.Hour, time.Hour} {
			now = now.Add(by)
			anew := directory(t, newRegistry(t, s), ns) // it asks the store what has expired
			if diff := cmp.Diff(map[string][]string{"shop": {"a", "theirs"}}, ids(anew)); diff != "" {
				t.Fatalf("who looks after the clock was set by %v (-want +got):\n%s", by, diff)
			}
			<-time.After(registry.MaxLease / 4)
			synctest.Wait()
			if diff := cmp.Diff(map[string][]string{"shop": {"a", "theirs"}}, ids(d)); diff != "" {
				t.Fatalf("after the clock was set by %v (-want +got):\n%s", by, diff)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		closeStore()

		now = time.Now() // an hour back
		s, _ = openStoreAt(t, fs, o)
		r = newRegistry(t, s)
		if err := r.Recover(t.Context(), ns, owner); err != nil {
			t.Fatal(err)
		}
		d = directory(t, r, ns)
		if diff := cmp.Diff(map[string][]string{"shop": {"theirs"}}, ids(d)); diff != "" {
			t.Errorf("after the start (-want +got):\n%s", diff)
		}
		<-time.After(registry.MaxLease + time.Second)
		synctest.Wait()
		if got := ids(d); len(got) > 0 {
			t.Errorf("of those that nobody renews are left: %v", got)
		}
	})
}

func TestRenew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, openStore(t))
		d := directory(t, r, ns)
		register(t, r, ns, shop("a"), registry.MinLease)
		for range 10 {
			<-time.After(registry.MinLease - time.Second)
			got, err := r.Renew(t.Context(), ns, "shop", "a", owner, registry.MinLease)
			if err != nil {
				t.Fatal(err)
			}
			if want := time.Now().Add(registry.MinLease); !got.Equal(want) {
				t.Errorf("the lease ends at %s, want %s", got, want)
			}
			if in := d.Instances("shop")[0]; in.LeaseExpires.Sub(got).Abs() > time.Second {
				t.Errorf("the directory has the end of the lease at %s, want %s", in.LeaseExpires, got)
			}
		}
		for _, test := range []struct{ name, ns, service, id, owner string }{
			{"foreign", ns, "shop", "a", "account mallory"},
			{"other namespace", "other", "shop", "a", owner},
			{"other service", ns, "sho", "a", owner},
			{"unknown", ns, "shop", "b", owner},
		} {
			_, err := r.Renew(t.Context(), test.ns, test.service, test.id, test.owner, registry.MaxLease)
			wantErr(t, test.name, err, registry.ErrNotFound)
		}

		<-time.After(registry.MinLease + time.Millisecond)
		_, err := r.Renew(t.Context(), ns, "shop", "a", owner, 0)
		wantErr(t, "after the end of the lease", err, registry.ErrNotFound)
		synctest.Wait()
		if got := ids(d); len(got) > 0 {
			t.Errorf("in the directory after the end of the lease: %v", got)
		}
	})
}

// TestRenewAll renews more instances than a transaction holds, by their number and
// by their size.
func TestRenewAll(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		instances int
		provides  []string
	}{
		{"none", 0, nil},
		{"many", 2*store.MaxOps + 1, nil},
		{"large", 9, []string{strings.Repeat("x", store.MaxTxn/8-1000)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := openStore(t)
				r := newRegistry(t, s)
				var names []registry.Name
				var wg sync.WaitGroup
				for i := range test.instances {
					in := shop(fmt.Sprintf("i%06d", i))
					in.Provides = test.provides
					names = append(names, registry.Name{Service: in.Service, ID: in.ID})
					wg.Go(func() {
						if _, err := r.Register(t.Context(), ns, in, registry.MinLease); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				theirs := shop("theirs")
				theirs.Owner = "account mallory"
				register(t, r, ns, theirs, registry.MinLease)
				want := []registry.Name{{Service: "shop", ID: "theirs"}, {Service: "shop", ID: "unknown"}}

				ended, err := r.RenewAll(t.Context(), ns, owner, registry.MaxLease, slices.Concat(names, want, names[:test.instances/2]))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, ended); diff != "" {
					t.Errorf("ended (-want +got):\n%s", diff)
				}
				<-time.After(registry.MaxLease - time.Second)
				synctest.Wait()
				if got := len(keys(t, s, "")); got != test.instances {
					t.Errorf("%d instances are left, want %d", got, test.instances)
				}
			})
		})
	}
}

func TestLeaseLimits(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, openStore(t))
	register(t, r, ns, shop("a"), 0)
	for _, test := range []struct {
		lease time.Duration
		want  error
	}{
		{0, nil},
		{registry.MinLease, nil},
		{registry.MaxLease, nil},
		{-1, registry.ErrInvalid},
		{1, registry.ErrInvalid},
		{registry.MinLease - 1, registry.ErrInvalid},
		{registry.MaxLease + 1, registry.ErrInvalid},
		{1<<63 - 1, registry.ErrInvalid},
		{-1 << 63, registry.ErrInvalid},
	} {
		t.Run(test.lease.String(), func(t *testing.T) {
			t.Parallel()
			_, err := r.Register(t.Context(), ns, shop("a"), test.lease)
			wantErr(t, "Register", err, test.want)
			_, err = r.Renew(t.Context(), ns, "shop", "a", owner, test.lease)
			wantErr(t, "Renew", err, test.want)
			_, err = r.RenewAll(t.Context(), ns, owner, test.lease, []registry.Name{{Service: "shop", ID: "a"}})
			wantErr(t, "RenewAll", err, test.want)
		})
	}
}

// TestTaken has somebody register what is somebody else's: it would get their calls.
func TestTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, openStore(t))
		d := directory(t, r, ns)
		register(t, r, ns, shop("a"), registry.MinLease)
		theirs := shop("a")
		theirs.Owner, theirs.Address = "account mallory", "127.0.0.1:666"
		_, err := r.Register(t.Context(), ns, theirs, 0)
		wantErr(t, "while the lease lasts", err, registry.ErrTaken)
		if got, want := d.Instances("shop")[0].Address, "127.0.0.1:1"; got != want {
			t.Errorf("called is %s, want %s", got, want)
		}
		register(t, r, "other", theirs, 0)

		<-time.After(registry.MinLease)
		register(t, r, ns, theirs, 0)
		if got, want := d.Instances("shop")[0].Address, "127.0.0.1:666"; got != want {
			t.Errorf("after the lease, called is %s, want %s", got, want)
		}
	})
}

func TestTakenAtOnce(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, openStore(t))
	d := directory(t, r, ns)
	var wg sync.WaitGroup
	var won atomic.Pointer[string]
	for i := range 16 {
		wg.Go(func() {
			in := shop("a")
			in.Owner = fmt.Sprint("account ", i)
			switch _, err := r.Register(t.Context(), ns, in, 0); {
			case err == nil:
				if other := won.Swap(&in.Owner); other != nil {
					t.Errorf("both %s and %s won", *other, in.Owner)
				}
			case !errors.Is(err, registry.ErrTaken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := d.Instances("shop"); len(got) != 1 || won.Load() == nil || got[0].Owner != *won.Load() {
		t.Errorf("in the directory is %v, and %v won", got, won.Load())
	}
}

func TestDeregister(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	r := newRegistry(t, s)
	d := directory(t, r, ns)
	register(t, r, ns, shop("a"), 0)
	register(t, r, "other", shop("a"), 0)
	for _, test := range []struct{ name, ns, service, id, owner string }{
		{"foreign", ns, "shop", "a", "account mallory"},
		{"no owner", ns, "shop", "a", ""},
		{"unknown", ns, "shop", "b", owner},
		{"no id", ns, "shop", "", owner},
	} {
		wantErr(t, test.name, r.Deregister(t.Context(), test.ns, test.service, test.id, test.owner), nil)
		if diff := cmp.Diff(map[string][]string{"shop": {"a"}}, ids(d)); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", test.name, diff)
		}
	}
	for range 2 {
		wantErr(t, "own", r.Deregister(t.Context(), ns, "shop", "a", owner), nil)
		if got := ids(d); len(got) > 0 {
			t.Errorf("in the directory afterwards: %v", got)
		}
	}
	if diff := cmp.Diff([]string{"other/registry/instance/shop/a"}, keys(t, s, "")); diff != "" {
		t.Errorf("in the store afterwards (-want +got):\n%s", diff)
	}
}

// held is a store whose watches yield nothing while somebody has put something into
// busy. That is a channel, because synctest does not know of mutexes.
type held struct {
	store.Store
	busy chan struct{}
}

func (h *held) Watch(ctx context.Context, prefix string, from int64) iter.Seq2[store.Change, error] {
	return func(yield func(store.Change, error) bool) {
		for c, err := range h.Store.Watch(ctx, prefix, from) {
			h.busy <- struct{}{}
			more := yield(c, err)
			<-h.busy
			if !more {
				return
			}
		}
	}
}

// TestChangesWaitForTheDirectory has a watch that is behind. When a change returns,
// the next call must go by it.
func TestChangesWaitForTheDirectory(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(ctx context.Context, r *registry.Registry) error
		want   map[string][]string
	}{
		{"Register", func(ctx context.Context, r *registry.Registry) error {
			_, err := r.Register(ctx, ns, shop("b"), 0)
			return err
		}, map[string][]string{"shop": {"a", "b"}}},
		{"Deregister", func(ctx context.Context, r *registry.Registry) error {
			return r.Deregister(ctx, ns, "shop", "a", owner)
		}, map[string][]string{}},
		{"Recover", func(ctx context.Context, r *registry.Registry) error {
			return r.Recover(ctx, ns, owner)
		}, map[string][]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &held{Store: openStore(t), busy: make(chan struct{}, 1)}
				r := newRegistry(t, h)
				d := directory(t, r, ns)
				register(t, r, ns, shop("a"), 0)

				h.busy <- struct{}{}
				done := make(chan error, 1)
				go func() { done <- test.change(t.Context(), r) }()
				synctest.Wait()
				select {
				case err := <-done:
					t.Errorf("returned before the directory has it: %v", err)
				default:
				}
				<-h.busy
				wantErr(t, "the change", <-done, nil)
				if diff := cmp.Diff(test.want, ids(d)); diff != "" {
					t.Errorf("the directory (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestImpatientChange does not wait for a directory that is behind.
func TestImpatientChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &held{Store: openStore(t), busy: make(chan struct{}, 1)}
		r := newRegistry(t, h)
		d := directory(t, r, ns)
		h.busy <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Register(ctx, ns, shop("a"), 0)
		wantErr(t, "Register", err, context.DeadlineExceeded)
		<-h.busy
		synctest.Wait()
		if diff := cmp.Diff(map[string][]string{"shop": {"a"}}, ids(d)); diff != "" {
			t.Errorf("the directory later (-want +got):\n%s", diff)
		}
	})
}

func TestRecover(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, openStore(t))
	var wg sync.WaitGroup
	for i := range store.MaxOps + 200 {
		wg.Go(func() {
			if _, err := r.Register(t.Context(), ns, shop(strconv.Itoa(i)), 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	theirs := shop("theirs")
	theirs.Owner = "account bob"
	register(t, r, ns, theirs, 0)
	register(t, r, ns+"2", shop("a"), 0)
	if err := r.Recover(t.Context(), ns, owner); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"shop": {"theirs"}}, ids(directory(t, r, ns))); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]string{"shop": {"a"}}, ids(directory(t, r, ns+"2"))); diff != "" {
		t.Errorf("left in the other namespace (-want +got):\n%s", diff)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	r := registry.New(openStore(t))
	register(t, r, ns, shop("a"), 0)
	d := directory(t, r, ns)
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	<-d.Done()
	wantErr(t, "the directory", d.Err(), context.Canceled)
	if got := len(d.Instances("shop")); got != 1 {
		t.Errorf("%d instances can be read still, want 1", got)
	}
	_, err := r.Directory(t.Context(), ns)
	wantErr(t, "Directory", err, store.ErrClosed)
}
