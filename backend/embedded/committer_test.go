package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// notes is what the tests note about a group.
type notes struct{ writes []string }

// recorder is an owner of keys that remembers what it was told.
type recorder struct {
	mu      sync.Mutex
	visible []string
	after   []string
}

func (r *recorder) committer(db *DB) *Committer[notes] {
	note := func(to *[]string) func(*notes) {
		return func(n *notes) {
			r.mu.Lock()
			defer r.mu.Unlock()
			*to = append(*to, n.writes...)
		}
	}
	return NewCommitter(db, note(&r.visible), note(&r.after))
}

// write sets a key to itself.
func write(key string) func(*pebble.Batch, *notes, *notes) (Outcome, error) {
	return func(b *pebble.Batch, here, _ *notes) (Outcome, error) {
		here.writes = append(here.writes, key)
		return Written, b.Set([]byte(key), []byte(key), nil)
	}
}

func durable(t *testing.T, c *Committer[notes], key string) bool {
	t.Helper()
	v, closer, err := c.Get([]byte(key))
	if errors.Is(err, ErrNotFound) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if string(v) != key {
		t.Errorf("%s is %q", key, v)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
	return true
}

func keysOf(t *testing.T, c *Committer[notes]) []string {
	t.Helper()
	it, err := c.NewIter(&pebble.IterOptions{LowerBound: []byte("a")})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	var keys []string
	for ok := it.First(); ok; ok = it.Next() {
		keys = append(keys, string(it.Key()))
	}
	if err := c.db.IterError(it); err != nil {
		t.Error(err)
	}
	return keys
}

// gateFS lets an fsync of the log through when it is told to.
type gateFS struct {
	vfs.FS
	shut    chan struct{} // receives when an fsync waits; nil: all pass
	through chan struct{}
}

type gateFile struct {
	vfs.File
	fs *gateFS
}

func (f *gateFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	if err != nil || c != "pebble-wal" {
		return file, err
	}
	return &gateFile{file, f}, nil
}

func (f *gateFile) SyncData() error {
	if f.fs.shut != nil {
		f.fs.shut <- struct{}{}
		<-f.fs.through
	}
	return f.File.SyncData()
}

func (f *gateFile) Sync() error { return f.File.Sync() }

// TestGroups follows writes through two groups, with the disk under control.
func TestGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := &gateFS{FS: vfs.NewMem()}
		db := openTest(t, fs)
		r := &recorder{}
		c := r.committer(db)
		fs.through = make(chan struct{})
		fs.shut = make(chan struct{})

		type result struct {
			name string
			err  error
		}
		results := make(chan result, 10)
		do := func(ctx context.Context, name string, w func(*pebble.Batch, *notes, *notes) (Outcome, error)) {
			go func() { results <- result{name, c.Do(ctx, w)} }()
			synctest.Wait()
		}
		pending := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for len(results) > 0 {
				r := <-results
				s := r.name
				if r.err != nil {
					s += ": " + r.err.Error()
				}
				got = append(got, s)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("ended: %q, want %q", got, want)
			}
		}

		do(t.Context(), "a", write("a"))
		<-fs.shut // the first group is on its way to the disk
		do(t.Context(), "b", write("b"))
		ctx, cancel := context.WithCancel(t.Context())
		do(ctx, "c", write("c"))
		pending()
		if durable(t, c, "a") || keysOf(t, c) != nil {
			t.Error("what is not durable can be seen")
		}

		// What both groups note can be asked.
		do(t.Context(), "both", func(_ *pebble.Batch, here, before *notes) (Outcome, error) {
			return Nothing, fmt.Errorf("%v %v", here.writes, before.writes)
		})
		pending("both: [b c] [a]")
		do(t.Context(), "before", func(*pebble.Batch, *notes, *notes) (Outcome, error) {
			return NothingBefore, errors.New("refused")
		})
		do(t.Context(), "here", func(*pebble.Batch, *notes, *notes) (Outcome, error) {
			return NothingHere, nil
		})
		pending()
		cancel()
		pending("c: context canceled")

		fs.through <- struct{}{}
		<-fs.shut
		pending("a", "before: refused")
		if !durable(t, c, "a") || durable(t, c, "b") || !slices.Equal(keysOf(t, c), []string{"a"}) {
			t.Errorf("%q can be seen, want the first group", keysOf(t, c))
		}
		fs.through <- struct{}{}
		pending("b", "here")
		// The one that gave up is there as well.
		if got := keysOf(t, c); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("%q can be seen, want all", got)
		}
		if want := []string{"a", "b", "c"}; !slices.Equal(r.visible, want) || !slices.Equal(r.after, want) {
			t.Errorf("told %q and %q, want %q", r.visible, r.after, want)
		}

		// What is written last is durable when the committer has been closed.
		fs.shut = nil
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if err := c.Do(ctx, write("d")); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
		if err := c.Do(t.Context(), write("e")); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if durable(t, c, "d") || !durable(t, c, "e") {
			t.Error("after Close the wrong things are there")
		}
		closeTest(t, db)
	})
}

// TestCommitters has two owners write at once, and readers look on.
func TestCommitters(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openTest(t, fs)
	const writers, each = 4, 200
	var wg sync.WaitGroup
	for owner := range 2 {
		r := &recorder{}
		c := r.committer(db)
		wg.Go(func() {
			var ws sync.WaitGroup
			for w := range writers {
				ws.Go(func() {
					for i := range each {
						key := fmt.Sprintf("%c/%d/%d", 'a'+owner, w, i)
						if err := c.Do(t.Context(), write(key)); err != nil {
							t.Error(err)
							return
						}
						if !durable(t, c, key) {
							t.Errorf("%s was acknowledged and cannot be seen", key)
						}
					}
				})
			}
			ws.Wait()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if len(r.visible) != writers*each || !slices.Equal(r.visible, r.after) {
				t.Errorf("told of %d and %d writes, want %d", len(r.visible), len(r.after), writers*each)
			}
		})
	}
	wg.Wait()
	closeTest(t, db)
	db = openTest(t, fs)
	defer closeTest(t, db)
	for owner := range 2 {
		for w := range writers {
			for i := range each {
				if key := fmt.Sprintf("%c/%d/%d", 'a'+owner, w, i); get(t, db, key) != key {
					t.Errorf("%s is missing", key)
				}
			}
		}
	}
}
