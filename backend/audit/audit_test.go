package audit_test

import (
	"context"
	"errors"
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

	"github.com/micro/micro/v3/backend/audit"
	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore opens a store in memory with the namespaces acme and globex.
func openStore(tb testing.TB) store.Store {
	tb.Helper()
	db, err := engine.Open(tb.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := embedded.Open(tb.Context(), db, embedded.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			tb.Error(err)
		}
	})
	write(tb, s, store.Put("acme/auth/namespace", nil), store.Put("globex/auth/namespace", nil))
	return s
}

func write(tb testing.TB, s store.Store, ops ...store.Op) {
	tb.Helper()
	if _, err := s.Txn(tb.Context(), store.Txn{Do: ops}); err != nil {
		tb.Fatal(err)
	}
}

// open opens the log of a store. More than o says is set here.
func open(tb testing.TB, s store.Store, o audit.Options) *audit.Log {
	tb.Helper()
	o.Store, o.MasterKey = s, make([]byte, 32)
	o.Exists = func(ctx context.Context, ns string) (store.Cond, error) {
		r, err := s.Get(ctx, ns+"/auth/namespace")
		if errors.Is(err, store.ErrNotFound) {
			err = audit.ErrNotFound
		}
		return store.Cond{Key: ns + "/auth/namespace", Revision: r.Revision}, err
	}
	l, err := audit.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// record appends entries of calls to the log of acme, and returns the last sequence.
func record(tb testing.TB, l *audit.Log, objects ...string) int64 {
	tb.Helper()
	var last int64
	for _, o := range objects {
		var err error
		last, err = l.Append(tb.Context(), "acme", audit.Entry{Kind: audit.Made, Account: "acme/alice", Method: "Rules.Create", Object: o, Outcome: audit.OK})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return last
}

func numbers(n int) []string {
	var list []string
	for i := range n {
		list = append(list, strconv.Itoa(i+1))
	}
	return list
}

func verify(tb testing.TB, l *audit.Log, ns string, noted ...audit.Noted) audit.Report {
	tb.Helper()
	r, err := l.Verify(tb.Context(), ns, noted...)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func read(tb testing.TB, l *audit.Log, q audit.Query) []audit.Entry {
	tb.Helper()
	var list []audit.Entry
	for e, err := range l.Read(tb.Context(), "acme", q) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

func objects(list []audit.Entry) string {
	var names []string
	for _, e := range list {
		names = append(names, e.Object)
	}
	return strings.Join(names, " ")
}

// counting counts the transactions that put an entry.
type counting struct {
	store.Store
	txns atomic.Int64
}

func (c *counting) Txn(ctx context.Context, t store.Txn) (int64, error) {
	if len(t.Do) > 0 {
		c.txns.Add(1)
	}
	return c.Store.Txn(ctx, t)
}

func TestRecord(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := open(t, s, audit.Options{})
	want := audit.Entry{
		Kind: audit.Made, Request: "r1", Account: "acme/alice", Token: "ci", Address: "192.0.2.1", Namespace: "acme",
		Method: "Config.Set", Object: "database.host", Outcome: audit.OK,
	}
	before := time.Now().Add(-time.Second)
	if _, err := l.Append(t.Context(), "acme", want); err != nil {
		t.Fatal(err)
	}
	// Whoever opens the store next finds it.
	got := read(t, open(t, s, audit.Options{}), audit.Query{})
	if diff := cmp.Diff([]audit.Entry{want}, got, cmpopts.IgnoreFields(audit.Entry{}, "Sequence", "Log", "Time", "Before")); diff != "" {
		t.Errorf("what was recorded (-want +got):\n%s", diff)
	}
	if e := got[0]; e.Sequence != 1 || e.Log != "acme" || e.Time.Before(before) || e.Before != nil {
		t.Errorf("the first entry is %+v", e)
	}
	if _, err := l.Append(t.Context(), "nowhere", want); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("in a namespace that is not there: %v, want %v", err, audit.ErrNotFound)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Append(ctx, "acme", want); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("for nobody: %v", err)
	}
}

// What strangers write is bounded, and text.
func TestTextsAreBounded(t *testing.T) {
	t.Parallel()
	l := open(t, openStore(t), audit.Options{})
	record(t, l, strings.Repeat("é", 1<<20), "\xff\x00", strings.Repeat("\xff", 300))
	for i, e := range read(t, l, audit.Query{}) {
		if len(e.Object) > 3*256 || !strings.HasPrefix(e.Object, []string{"éé", "\uFFFD\x00", "\uFFFD"}[i]) {
			t.Errorf("object %d has %d bytes and begins %q", i, len(e.Object), e.Object[:4])
		}
	}
	if r := verify(t, l, "acme"); len(r.Problems) > 0 {
		t.Errorf("problems: %q", r.Problems)
	}
}

// Many at once do not stand in each other's way, and share their writes.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	s := &counting{Store: openStore(t)}
	l := open(t, s, audit.Options{})
	const callers, each = 64, 20
	var wg sync.WaitGroup
	seen := make([][]int64, callers)
	for i := range callers {
		wg.Go(func() {
			for range each {
				n, err := l.Append(t.Context(), "acme", audit.Entry{Kind: audit.Made})
				if err != nil {
					t.Error(err)
				}
				seen[i] = append(seen[i], n)
			}
		})
	}
	wg.Wait()
	var all []int64
	for _, list := range seen {
		if !slices.IsSorted(list) {
			t.Errorf("one caller got the sequences %v", list)
		}
		all = append(all, list...)
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != callers*each || all[0] != 1 || all[n-1] != callers*each {
		t.Errorf("%d sequences from %d to %d", n, all[0], all[n-1])
	}
	if r := verify(t, l, "acme"); len(r.Problems) > 0 || r.First != 1 || r.Last != callers*each {
		t.Errorf("the log: %+v", r)
	}
	if n := s.txns.Load(); n > callers*each/4 {
		t.Errorf("%d entries took %d transactions", callers*each, n)
	}
}

// Two servers on one store write to one chain.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	var wg sync.WaitGroup
	for range 2 {
		l := open(t, s, audit.Options{})
		for range 4 {
			wg.Go(func() { record(t, l, numbers(20)...) })
		}
	}
	wg.Wait()
	if r := verify(t, open(t, s, audit.Options{}), "acme"); len(r.Problems) > 0 || r.Last != 160 {
		t.Errorf("the log: %+v", r)
	}
}

// failing is a store on which writes fail.
type failing struct {
	store.Store
	err atomic.Pointer[error]
}

func (f *failing) fail(err error) { f.err.Store(&err) }

func (f *failing) Txn(ctx context.Context, t store.Txn) (int64, error) {
	if err := f.err.Load(); err != nil && *err != nil && len(t.Do) > 0 {
		return 0, *err
	}
	return f.Store.Txn(ctx, t)
}

// What cannot be recorded is told to who waits for it, and refused calls are counted
// until they can.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Store: openStore(t)}
		l := open(t, s, audit.Options{})
		record(t, l, "before")
		s.fail(store.ErrFull)
		if _, err := l.Append(t.Context(), "acme", audit.Entry{Kind: audit.Begun}); !errors.Is(err, store.ErrFull) {
			t.Errorf("on a full disk: %v, want %v", err, store.ErrFull)
		}
		for range 3 {
			l.Note("acme", audit.Entry{Kind: audit.Refused}, true)
		}
		synctest.Wait()
		time.Sleep(3 * time.Hour) // it is tried, and fails
		synctest.Wait()
		s.fail(nil)
		record(t, l, "after")
		time.Sleep(time.Hour)
		synctest.Wait()
		list := read(t, l, audit.Query{})
		if got := objects(list); got != "before after " || list[2].Kind != audit.Missed || list[2].Count != 3 {
			t.Errorf("the log has %q, %+v", got, list)
		}
		if r := verify(t, l, "acme"); len(r.Problems) > 0 {
			t.Errorf("problems: %q", r.Problems)
		}
	})
}

// Who is refused often fills nothing, and hides nobody else.
func TestFloodOfRefusedCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		l := open(t, s, audit.Options{})
		const flood, hours = 10_000, 24
		for range hours {
			for range flood / hours {
				l.Note("acme", audit.Entry{Kind: audit.Refused, Method: "Accounts.Create", Outcome: "NOT_LOGGED_IN"}, true)
			}
			time.Sleep(time.Hour)
		}
		l.Note("acme", audit.Entry{Kind: audit.Refused, Account: "acme/mallory"}, false)
		synctest.Wait()
		if got := read(t, l, audit.Query{Account: "mallory"}); len(got) != 1 {
			t.Errorf("of the member who was refused there are %d entries, want 1", len(got))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		recorded, counted := 0, int64(0)
		for _, e := range read(t, l, audit.Query{}) {
			switch {
			case e.Kind == audit.Missed:
				counted += e.Count
			case e.Account == "":
				recorded++
			}
		}
		if recorded < 100 || recorded > 100+6*hours+1 {
			t.Errorf("%d calls of strangers are recorded one by one", recorded)
		}
		if want := int64(flood / hours * hours); int64(recorded)+counted != want {
			t.Errorf("%d calls are recorded and %d counted, want %d together", recorded, counted, want)
		}
		if r := verify(t, l, "acme"); len(r.Problems) > 0 || r.Last > 300 {
			t.Errorf("the log: %+v", r)
		}
	})
}

// What belongs to a namespace goes with it, and nothing is written afterwards.
func TestNamespaceGoes(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	l := open(t, s, audit.Options{})
	record(t, l, "a", "b")
	ops := []store.Op{store.Delete("acme/auth/namespace")}
	for r, err := range s.Range(t.Context(), store.Prefix("acme/audit/")) {
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, store.Delete(r.Key))
	}
	write(t, s, ops...)
	if _, err := l.Append(t.Context(), "acme", audit.Entry{Kind: audit.Made}); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("in a namespace that is gone: %v, want %v", err, audit.ErrNotFound)
	}
	for r, err := range s.Range(t.Context(), store.Prefix("acme/")) {
		t.Errorf("%s is left, %v", r.Key, err)
	}
	write(t, s, store.Put("acme/auth/namespace", nil))
	if n := record(t, l, "c"); n != 1 {
		t.Errorf("the log of the next one of the name begins with %d", n)
	}
	if r := verify(t, l, "acme"); len(r.Problems) > 0 {
		t.Errorf("problems: %q", r.Problems)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	l := open(t, openStore(t), audit.Options{})
	record(t, l, "a")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Append(t.Context(), "acme", audit.Entry{Kind: audit.Made}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v, want %v", err, store.ErrClosed)
	}
	l.Note("acme", audit.Entry{Kind: audit.Refused}, true)
}

func TestRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, openStore(t), audit.Options{})
		add := func(e audit.Entry) int64 {
			t.Helper()
			time.Sleep(time.Second)
			n, err := l.Append(t.Context(), "acme", e)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		began := time.Now()
		one := add(audit.Entry{Kind: audit.Begun, Account: "acme/alice", Method: "Accounts.Create", Object: "one"})
		lost := add(audit.Entry{Kind: audit.Begun, Account: "acme/alice", Method: "Rules.Create", Object: "lost"})
		add(audit.Entry{Kind: audit.Refused, Account: "globex/bob", Method: "Accounts.Delete", Object: "two"})
		add(audit.Entry{Kind: audit.Ended, Of: one, Account: "acme/alice", Method: "Accounts.Create", Object: "one", Outcome: audit.OK})
		add(audit.Entry{Kind: audit.Made, Account: "acme/bob", Method: "Auth.Login", Object: "three", Outcome: audit.OK})
		for _, test := range []struct {
			name string
			q    audit.Query
			want string
		}{
			{"all", audit.Query{}, "lost two one three"},
			{"the last ones", audit.Query{Last: 2}, "one three"},
			{"more than there are", audit.Query{Last: 9}, "lost two one three"},
			{"the first ones", audit.Query{First: 2}, "lost two"},
			{"after one", audit.Query{After: lost}, "two one three"},
			{"a page", audit.Query{After: lost, First: 1}, "two"},
			{"after the last", audit.Query{After: 5}, ""},
			{"since", audit.Query{Since: began.Add(4 * time.Second)}, "one three"},
			{"an account", audit.Query{Account: "bob"}, "two three"},
			{"an account of a namespace", audit.Query{Account: "acme/bob"}, "three"},
			{"nobody", audit.Query{Account: "bo"}, ""},
			{"a method", audit.Query{Method: "accounts.create"}, "one"},
			{"the methods of an API", audit.Query{Method: "Accounts"}, "two one"},
			{"methods of a name", audit.Query{Method: "create"}, "lost one"},
			{"the last one of a method", audit.Query{Method: "create", Last: 1}, "one"},
			{"no method", audit.Query{Method: "accounts."}, ""},
		} {
			if got := objects(read(t, l, test.q)); got != test.want {
				t.Errorf("%s: %q, want %q", test.name, got, test.want)
			}
		}
		for e, err := range l.Read(t.Context(), "acme", audit.Query{}) {
			if err != nil || e.Object != "lost" {
				t.Errorf("the first is %+v, %v", e, err)
			}
			break // who has enough ends it
		}
	})
}

// Who follows sees what is there and what comes, each call once, when it has ended.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, openStore(t), audit.Options{})
		record(t, l, "a", "b", "c")
		ctx, cancel := context.WithCancel(t.Context())
		seen := make(chan string, 100)
		ended := make(chan error, 1)
		go func() {
			for e, err := range l.Read(ctx, "acme", audit.Query{Last: 2, Follow: true}) {
				if err != nil {
					ended <- err
					return
				}
				seen <- e.Object
			}
		}()
		want := func(objects ...string) {
			t.Helper()
			synctest.Wait()
			for _, o := range objects {
				select {
				case got := <-seen:
					if got != o {
						t.Errorf("saw %q, want %q", got, o)
					}
				default:
					t.Errorf("saw nothing, want %q", o)
				}
			}
			if len(seen) > 0 {
				t.Errorf("saw %q, too", <-seen)
			}
		}
		want("b", "c")
		record(t, l, "d")
		want("d")
		n, err := l.Append(t.Context(), "acme", audit.Entry{Kind: audit.Begun, Object: "e"})
		if err != nil {
			t.Fatal(err)
		}
		want()
		if _, err := l.Append(t.Context(), "acme", audit.Entry{Kind: audit.Ended, Of: n, Object: "e"}); err != nil {
			t.Fatal(err)
		}
		want("e")
		if _, err := l.Append(t.Context(), "globex", audit.Entry{Kind: audit.Made, Object: "globex"}); err != nil {
			t.Fatal(err)
		}
		want()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		// One that has had enough ends.
		enough := make(chan string, 1)
		go func() {
			var list []audit.Entry
			for e, err := range l.Read(t.Context(), "acme", audit.Query{Last: 1, First: 2, Follow: true}) {
				if err != nil {
					t.Error(err)
				}
				list = append(list, e)
			}
			enough <- objects(list)
		}()
		synctest.Wait()
		record(t, l, "f")
		if got := <-enough; got != "e f" {
			t.Errorf("saw %q, want %q", got, "e f")
		}
	})
}

// Who begins to follow in the middle of it misses nothing and sees nothing twice.
func TestFollowWhileOthersRecord(t *testing.T) {
	t.Parallel()
	l := open(t, openStore(t), audit.Options{})
	const n = 400
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { record(t, l, numbers(n/4)...) })
	}
	for range 8 {
		wg.Go(func() {
			next := int64(1)
			for e, err := range l.Read(t.Context(), "acme", audit.Query{Follow: true}) {
				if err != nil || e.Sequence != next {
					t.Errorf("saw %d, %v; want %d", e.Sequence, err, next)
					return
				}
				if next++; next > n {
					return
				}
			}
		})
	}
	wg.Wait()
}
