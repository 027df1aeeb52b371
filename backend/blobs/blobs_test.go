package blobs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/micro/micro/v3/backend/blobs"
	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
)

const (
	acme     = "acme"
	partSize = 2 << 10
	laid     = 8 * partSize // what is laid down at once
)

// open returns blobs in an empty store in memory, and the store.
func open(t *testing.T, o blobs.Options) (*blobs.Blobs, store.Store) {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.Part = partSize
	if o.Store == nil {
		o.Store = s
	} else if h, ok := o.Store.(*hooked); ok {
		h.Store = s
	}
	b, err := blobs.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return b, s
}

// content returns so many bytes that are told from others.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

func begin(t *testing.T, b *blobs.Blobs, ns, name string) *blobs.Upload {
	t.Helper()
	u, err := b.Create(t.Context(), ns, blobs.Info{Name: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func put(t *testing.T, u *blobs.Upload, p []byte) {
	t.Helper()
	if err := u.Write(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, u *blobs.Upload) blobs.Info {
	t.Helper()
	info, err := u.Commit(t.Context(), -1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func write(t *testing.T, b *blobs.Blobs, ns, name string, p []byte) {
	t.Helper()
	u := begin(t, b, ns, name)
	put(t, u, p)
	commit(t, u)
}

// reader opens the blob "x".
func reader(t *testing.T, b *blobs.Blobs, offset, length int64) *blobs.Reader {
	t.Helper()
	r, err := b.Read(t.Context(), acme, "x", offset, length)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rest reads to the end.
func rest(ctx context.Context, r *blobs.Reader) (all []byte, err error) {
	for {
		p, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, p...)
	}
}

func read(t *testing.T, b *blobs.Blobs, ns, name string) ([]byte, error) {
	t.Helper()
	r, err := b.Read(t.Context(), ns, name, 0, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return rest(t.Context(), r)
}

// keys returns the keys that a store has below a prefix.
func keys(t *testing.T, s store.Store, prefix string) (list []string) {
	t.Helper()
	r := store.Prefix(prefix)
	r.KeysOnly = true
	for rec, err := range s.Range(t.Context(), r) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rec.Key)
	}
	return list
}

// awaitParts waits until a namespace has so many parts, and nothing is loose.
func awaitParts(t *testing.T, s store.Store, ns string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, err := range s.Watch(ctx, "", 0) { // each change may be the last
		if err != nil {
			break
		}
		if len(keys(t, s, ns+"/blob/part/")) == want && len(keys(t, s, "$system/blob/loose/"+ns+"/")) == 0 && len(keys(t, s, ns+"/blob/upload/")) == 0 {
			return
		}
	}
	t.Fatalf("there are the parts %q, loose %q and uploads %q, want %d parts and nothing else",
		keys(t, s, ns+"/blob/part/"), keys(t, s, "$system/blob/loose/"+ns+"/"), keys(t, s, ns+"/blob/upload/"), want)
}

func TestSizes(t *testing.T) {
	t.Parallel()
	b, s := open(t, blobs.Options{})
	parts := 0
	for i, size := range []int{0, 1, 100, partSize - 1, partSize, partSize + 1, laid - 1, laid, laid + 1, 2 * laid, 3*laid + partSize + 7} {
		name, want := strconv.Itoa(size), content(uint64(i), size)
		sum := sha256.Sum256(want)
		u, err := b.Create(t.Context(), acme, blobs.Info{Name: name, ContentType: "image/png", Metadata: map[string]string{"by": "me"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(uint64(i), 0))
		for p := want; len(p) > 0; {
			n := min(1+rng.IntN(partSize), len(p))
			put(t, u, p[:n])
			p = p[n:]
		}
		if _, err := b.Stat(t.Context(), acme, name); !errors.Is(err, blobs.ErrNotFound) {
			t.Errorf("%d bytes before the commit: %v, want %v", size, err, blobs.ErrNotFound)
		}
		info, err := u.Commit(t.Context(), int64(size), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Discard(t.Context()); err != nil {
			t.Error(err)
		}
		parts += (size + partSize - 1) / partSize
		if info.Modified.IsZero() || info.Revision == 0 {
			t.Errorf("got %+v", info)
		}
		same := blobs.Info{
			Name: name, Size: int64(size), ContentType: "image/png", Metadata: map[string]string{"by": "me"},
			SHA256: sum[:], Modified: info.Modified, Revision: info.Revision,
		}
		if diff := cmp.Diff(same, info); diff != "" {
			t.Errorf("Commit of %d bytes (-want +got):\n%s", size, diff)
		}
		if got, err := b.Stat(t.Context(), acme, name); err != nil || cmp.Diff(same, got) != "" {
			t.Errorf("Stat of %d bytes: %+v, %v", size, got, err)
		}
		got, err := read(t, b, acme, name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v, which are the same: %v", size, len(got), err, bytes.Equal(got, want))
		}
	}
	awaitParts(t, s, acme, parts)
}

func TestRanges(t *testing.T) {
	t.Parallel()
	b, _ := open(t, blobs.Options{})
	want := content(1, 2*partSize+1000)
	size := int64(len(want))
	write(t, b, acme, "x", want)
	edges := []int64{0, 1, partSize - 1, partSize, partSize + 1, 2 * partSize, size - 1, size}
	for _, offset := range edges {
		for _, length := range append(edges, size+1, 1<<62) {
			r := reader(t, b, offset, length)
			got, err := rest(t.Context(), r)
			r.Close()
			end := size
			if length > 0 {
				end = min(size, offset+min(length, size))
			}
			if err != nil || !bytes.Equal(got, want[offset:end]) || r.Offset != offset || r.Length != end-offset {
				t.Errorf("from %d, %d bytes: got %d, %v of offset %d and length %d", offset, length, len(got), err, r.Offset, r.Length)
			}
		}
	}
	for _, tt := range []struct{ offset, length int64 }{{-1, 0}, {0, -1}, {size + 1, 0}, {1 << 62, 1}} {
		if _, err := b.Read(t.Context(), acme, "x", tt.offset, tt.length); !errors.Is(err, blobs.ErrInvalid) {
			t.Errorf("%+v: %v, want %v", tt, err, blobs.ErrInvalid)
		}
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	b, _ := open(t, blobs.Options{})
	negative := int64(-1)
	long := strings.Repeat("x", 64<<10)
	for name, info := range map[string]blobs.Info{
		"empty":            {},
		"long":             {Name: long},
		"NUL":              {Name: "a\x00b"},
		"a line end":       {Name: "a\nb"},
		"a C1 character":   {Name: "a\u009bb"},
		"no UTF-8":         {Name: "\xff"},
		"long type":        {Name: "a", ContentType: long},
		"a type of lines":  {Name: "a", ContentType: "text/plain\r\nX: y"},
		"long metadata":    {Name: "a", Metadata: map[string]string{"k": long}},
		"metadata in bits": {Name: "a", Metadata: map[string]string{"\xff": ""}},
	} {
		if _, err := b.Create(t.Context(), acme, info, nil); !errors.Is(err, blobs.ErrInvalid) {
			t.Errorf("Create, %s: %v, want %v", name, err, blobs.ErrInvalid)
		}
		if len(info.ContentType)+len(info.Metadata) > 0 {
			continue
		}
		_, statErr := b.Stat(t.Context(), acme, info.Name)
		_, readErr := b.Read(t.Context(), acme, info.Name, 0, 0)
		_, deleteErr := b.Delete(t.Context(), acme, info.Name, nil)
		for what, err := range map[string]error{"Stat": statErr, "Read": readErr, "Delete": deleteErr} {
			if !errors.Is(err, blobs.ErrInvalid) {
				t.Errorf("%s, %s: %v, want %v", what, name, err, blobs.ErrInvalid)
			}
		}
	}
	if _, err := b.Create(t.Context(), acme, blobs.Info{Name: "a"}, &negative); !errors.Is(err, blobs.ErrInvalid) {
		t.Errorf("a negative revision: %v", err)
	}
	if _, err := b.Delete(t.Context(), acme, "a", &negative); !errors.Is(err, blobs.ErrInvalid) {
		t.Errorf("a negative revision to delete: %v", err)
	}
	for _, name := range []string{"../../etc/passwd", "/", "..", "a b", "é", "blob/part/", strings.Repeat("x", blobs.MaxName)} {
		write(t, b, acme, name, []byte(name))
		if got, err := read(t, b, acme, name); err != nil || string(got) != name {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	u := begin(t, b, acme, "sums")
	put(t, u, []byte("abc"))
	if _, err := u.Commit(t.Context(), 4, nil); !errors.Is(err, blobs.ErrInvalid) {
		t.Errorf("another size: %v", err)
	}
	if _, err := u.Commit(t.Context(), 3, make([]byte, 32)); !errors.Is(err, blobs.ErrInvalid) {
		t.Errorf("another digest: %v", err)
	}
	if _, err := b.Stat(t.Context(), acme, "sums"); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("after a commit that was refused: %v", err)
	}
}

// An upload that ends early leaves nothing, whether somebody says so or not.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	t.Run("discarded", func(t *testing.T) {
		t.Parallel()
		b, s := open(t, blobs.Options{})
		write(t, b, acme, "x", content(1, 10))
		for _, size := range []int{10, laid + 1, 40 * laid} {
			u := begin(t, b, acme, "x")
			put(t, u, content(2, size))
			if err := u.Discard(t.Context()); err != nil {
				t.Fatal(err)
			}
			awaitParts(t, s, acme, 1)
		}
		if got, err := read(t, b, acme, "x"); err != nil || !bytes.Equal(got, content(1, 10)) {
			t.Errorf("what was there before is %x, %v", got, err)
		}
	})
	t.Run("forgotten", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b, s := open(t, blobs.Options{})
			u := begin(t, b, acme, "x")
			put(t, u, content(1, 2*laid+1))
			<-time.After(9 * time.Minute)
			put(t, u, content(1, laid)) // it goes on
			<-time.After(9 * time.Minute)
			synctest.Wait()
			if n := len(keys(t, s, "acme/blob/part/")); n != 24 {
				t.Fatalf("%d parts of an upload that goes on, want 24", n)
			}
			<-time.After(3 * time.Minute)
			synctest.Wait()
			awaitParts(t, s, acme, 0)
			if err := u.Write(t.Context(), content(1, laid)); !errors.Is(err, blobs.ErrGone) {
				t.Errorf("Write after it was given up: %v, want %v", err, blobs.ErrGone)
			}
			if _, err := u.Commit(t.Context(), -1, nil); !errors.Is(err, blobs.ErrGone) {
				t.Errorf("Commit after it was given up: %v, want %v", err, blobs.ErrGone)
			}
			awaitParts(t, s, acme, 0)
			if _, err := b.Stat(t.Context(), acme, "x"); !errors.Is(err, blobs.ErrNotFound) {
				t.Errorf("Stat: %v, want %v", err, blobs.ErrNotFound)
			}
		})
	})
	t.Run("its namespace deleted", func(t *testing.T) {
		t.Parallel()
		b, s := open(t, blobs.Options{})
		write(t, b, acme, "y", content(1, 40*laid))
		u := begin(t, b, acme, "x")
		put(t, u, content(1, 2*laid))
		if err := b.Purge(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if left := keys(t, s, "acme/"); len(left) > 0 {
			t.Errorf("%q is left", left)
		}
		if _, err := u.Commit(t.Context(), -1, nil); !errors.Is(err, blobs.ErrGone) {
			t.Errorf("Commit: %v, want %v", err, blobs.ErrGone)
		}
		if err := u.Discard(t.Context()); err != nil {
			t.Error(err)
		}
		awaitParts(t, s, acme, 0)
	})
}

// Who reads a blob that is replaced gets all of the old one; what it had is removed
// afterwards, and for who takes too long at once.
func TestReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, s := open(t, blobs.Options{})
		old := content(1, 5*partSize)
		write(t, b, acme, "x", old)
		r, slow := reader(t, b, 0, 0), reader(t, b, 0, 0)
		var got []byte
		for _, r := range []*blobs.Reader{r, slow} {
			p, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = p
		}
		write(t, b, acme, "x", content(2, 2*partSize))
		<-time.After(59 * time.Minute)
		synctest.Wait()
		more, err := rest(t.Context(), r)
		if err != nil || !bytes.Equal(append(bytes.Clone(got), more...), old) {
			t.Errorf("the old one: %d bytes more, %v", len(more), err)
		}
		r.Close()
		if n := len(keys(t, s, "acme/blob/part/")); n != 7 {
			t.Errorf("%d parts, want 5 of the old one and 2 of the new one", n)
		}
		<-time.After(3 * time.Minute)
		synctest.Wait()
		awaitParts(t, s, acme, 2)
		if _, err := slow.Next(t.Context()); !errors.Is(err, blobs.ErrReplaced) {
			t.Errorf("after an hour: %v, want %v", err, blobs.ErrReplaced)
		}
		slow.Close()

		r = reader(t, b, 0, 0)
		if found, err := b.Delete(t.Context(), acme, "x", nil); err != nil || !found {
			t.Errorf("Delete: %v, %v", found, err)
		}
		if got, err := rest(t.Context(), r); err != nil || !bytes.Equal(got, content(2, 2*partSize)) {
			t.Errorf("one that was deleted: %d bytes, %v", len(got), err)
		}
		r.Close()
		awaitParts(t, s, acme, 0)
		if found, err := b.Delete(t.Context(), acme, "x", nil); err != nil || found {
			t.Errorf("Delete once more: %v, %v", found, err)
		}
	})
}

func TestConditions(t *testing.T) {
	t.Parallel()
	b, s := open(t, blobs.Options{})
	at := func(revision int64) *int64 { return &revision }
	create := func(revision *int64, value string) (blobs.Info, error) {
		u, err := b.Create(t.Context(), acme, blobs.Info{Name: "x"}, revision)
		if err != nil {
			return blobs.Info{}, err
		}
		put(t, u, []byte(value))
		info, err := u.Commit(t.Context(), -1, nil)
		return info, errors.Join(err, u.Discard(t.Context()))
	}
	if _, err := create(at(7), "a"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("one that is not there, at a revision: %v", err)
	}
	first, err := create(at(0), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := create(at(0), "b"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("one that is there, at 0: %v", err)
	}
	// Two that both could, when they began.
	one, err := b.Create(t.Context(), acme, blobs.Info{Name: "x"}, &first.Revision)
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.Create(t.Context(), acme, blobs.Info{Name: "x"}, &first.Revision)
	if err != nil {
		t.Fatal(err)
	}
	put(t, one, content(1, partSize+1))
	put(t, two, content(2, partSize+1))
	second := commit(t, two)
	if _, err := one.Commit(t.Context(), -1, nil); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the slower one: %v, want %v", err, store.ErrConflict)
	}
	if err := one.Discard(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := read(t, b, acme, "x"); err != nil || !bytes.Equal(got, content(2, partSize+1)) {
		t.Errorf("got %d bytes, %v, want those of the faster one", len(got), err)
	}
	for _, tt := range []struct {
		name     string
		revision *int64
		found    bool
		err      error
	}{
		{"x", &first.Revision, false, store.ErrConflict},
		{"x", at(0), false, store.ErrConflict},
		{"y", &first.Revision, false, store.ErrConflict},
		{"y", at(0), false, nil},
		{"x", &second.Revision, true, nil},
	} {
		if found, err := b.Delete(t.Context(), acme, tt.name, tt.revision); found != tt.found || !errors.Is(err, tt.err) {
			t.Errorf("Delete of %s at %d: %v, %v, want %v, %v", tt.name, *tt.revision, found, err, tt.found, tt.err)
		}
	}
	awaitParts(t, s, acme, 0)
}

// hooked is a store that does something before it answers.
type hooked struct {
	store.Store
	get atomic.Pointer[func(key string)]
}

func (h *hooked) Get(ctx context.Context, key string) (store.Record, error) {
	if f := h.get.Load(); f != nil {
		(*f)(key)
	}
	return h.Store.Get(ctx, key)
}

// An upload becomes a blob while the sweep looks at it.
func TestCommitDuringSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &hooked{}
		b, s := open(t, blobs.Options{Store: h})
		u := begin(t, b, acme, "x")
		put(t, u, content(1, 2*laid))
		loose := keys(t, s, "$system/blob/loose/")
		if len(loose) != 1 {
			t.Fatalf("loose: %q", loose)
		}
		_, id, _ := strings.Cut(strings.TrimPrefix(loose[0], "$system/blob/loose/"), "/")
		committed := false
		synctest.Wait()
		get := func(key string) {
			// The sweep has listed it and looks closer.
			if (key == "acme/blob/upload/"+id || key == loose[0]) && !committed {
				committed = true
				commit(t, u)
			}
		}
		h.get.Store(&get)
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if !committed {
			t.Fatal("the sweep did not look at the upload")
		}
		if got, err := read(t, b, acme, "x"); err != nil || !bytes.Equal(got, content(1, 2*laid)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// Parts that are not what was written are told, and nothing else is ever shown.
func TestDamage(t *testing.T) {
	t.Parallel()
	want := content(1, 3*partSize+5)
	for name, damage := range map[string]func(part []byte) store.Op{
		"a bit":       func(p []byte) store.Op { p[len(p)/2] ^= 1; return store.Put("", p) },
		"cut off":     func(p []byte) store.Op { return store.Put("", p[:len(p)-1]) },
		"longer":      func(p []byte) store.Op { return store.Put("", append(p, 0)) },
		"zeros":       func(p []byte) store.Op { clear(p[:min(len(p), 4096)]); return store.Put("", p) },
		"empty":       func([]byte) store.Op { return store.Put("", nil) },
		"not there":   func([]byte) store.Op { return store.Delete("") },
		"the control": func(p []byte) store.Op { return store.Put("", p) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 4 {
				b, s := open(t, blobs.Options{})
				write(t, b, acme, "x", want)
				key := keys(t, s, "acme/blob/part/")[i]
				rec, err := s.Get(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				op := damage(rec.Value)
				op.Key = key
				if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{op}}); err != nil {
					t.Fatal(err)
				}
				got, err := read(t, b, acme, "x")
				if name == "the control" {
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					continue
				}
				if !errors.Is(err, blobs.ErrDamaged) || !strings.Contains(err.Error(), `"x"`) {
					t.Errorf("part %d: %v, want %v", i, err, blobs.ErrDamaged)
				}
			}
		})
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	b, s := open(t, blobs.Options{Quota: 10 * partSize})
	fill := func(name string, parts int) error {
		u := begin(t, b, acme, name)
		err := u.Write(t.Context(), content(1, parts*partSize))
		if err == nil {
			_, err = u.Commit(t.Context(), -1, nil)
		}
		return errors.Join(err, u.Discard(t.Context()))
	}
	steps := []struct {
		name  string
		parts int
		ok    bool
	}{
		{"a", 4, true},
		{"b", 4, true},
		{"c", 3, false},
		{"c", 2, true},
		{"a", 1, false}, // what takes the place of another is there beside it first
		{"-b", 0, true},
		{"a", 4, true},
		{"d", 4, true},
		{"e", 1, false},
		{"e", 0, true},
	}
	for _, step := range steps {
		var err error
		if name, gone := strings.CutPrefix(step.name, "-"); gone {
			_, err = b.Delete(t.Context(), acme, name, nil)
		} else {
			err = fill(name, step.parts)
		}
		if step.ok && err != nil || !step.ok && !errors.Is(err, blobs.ErrQuota) {
			t.Errorf("%+v: %v", step, err)
		}
	}
	// Another namespace has its own, and a new process counts the same.
	u := begin(t, b, "globex", "a")
	put(t, u, content(1, 10*partSize))
	if err := u.Write(t.Context(), []byte{1}); !errors.Is(err, blobs.ErrQuota) {
		t.Errorf("more than all: %v", err)
	}
	if err := u.Discard(t.Context()); err != nil {
		t.Error(err)
	}
	again, err := blobs.Open(t.Context(), blobs.Options{Store: s, Quota: 10 * partSize, Part: partSize})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}()
	u = begin(t, again, acme, "f")
	if err := u.Write(t.Context(), []byte{1}); !errors.Is(err, blobs.ErrQuota) {
		t.Errorf("one byte more in a new process: %v", err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	b, _ := open(t, blobs.Options{})
	names := []string{"a", "a/1", "a/2", "ab", "b", "b/x/1", "zz", "é"}
	for _, n := range names {
		write(t, b, acme, n, []byte(n))
	}
	write(t, b, "acm", "a", nil)
	write(t, b, "acme2", "a", nil)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "a", "a/", "a/1", "b", "c", "é", "\xc3", "\xff"}).Draw(t, "prefix")
		limit := rapid.IntRange(1, 9).Draw(t, "limit")
		var got []string
		for token := ""; ; {
			page, next, err := b.List(context.Background(), acme, prefix, limit, token)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > limit {
				t.Fatalf("a page of %d", len(page))
			}
			for _, i := range page {
				got = append(got, i.Name)
			}
			if token = next; token == "" {
				break
			}
		}
		want := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, prefix) })
		if len(got)+len(want) > 0 && !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
	_, token, err := b.List(t.Context(), acme, "", 2, "")
	if err != nil || token == "" {
		t.Fatal(token, err)
	}
	for _, tt := range []struct{ ns, prefix, token string }{
		{acme, "", "zz"}, {acme, "a", token}, {"acme2", "", token}, {acme, "", token + "AAAA"}, {acme, strings.Repeat("x", 2000), ""},
	} {
		_, _, err := b.List(t.Context(), tt.ns, tt.prefix, 2, tt.token)
		if tt.token == token+"AAAA" && err == nil {
			continue // a longer name, which need not be there
		}
		if !errors.Is(err, blobs.ErrInvalid) {
			t.Errorf("%+v: %v, want %v", tt, err, blobs.ErrInvalid)
		}
	}
}

// TestModel has random calls of two namespaces, and compares with what is obvious.
func TestModel(t *testing.T) {
	t.Parallel()
	b, s := open(t, blobs.Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	model := map[string]map[string][]byte{acme: {}, "globex": {}}
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	for i := range 300 {
		ns, name := pick(acme, "globex"), pick("a", "b", "a/b", "../globex")
		value := content(uint64(i), rng.IntN(3)*laid/2+rng.IntN(9))
		switch rng.IntN(5) {
		case 0, 1:
			write(t, b, ns, name, value)
			model[ns][name] = value
		case 2:
			u := begin(t, b, ns, name)
			put(t, u, value)
			if err := u.Discard(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 3:
			found, err := b.Delete(t.Context(), ns, name, nil)
			if _, want := model[ns][name]; err != nil || found != want {
				t.Fatalf("Delete: %v, %v, want %v", found, err, want)
			}
			delete(model[ns], name)
		default:
			got, err := read(t, b, ns, name)
			want, found := model[ns][name]
			if found && (err != nil || !bytes.Equal(got, want)) || !found && !errors.Is(err, blobs.ErrNotFound) {
				t.Fatalf("read of %s %q: %d bytes, %v, want %d, %v", ns, name, len(got), err, len(want), found)
			}
		}
	}
	for ns, want := range model {
		page, _, err := b.List(t.Context(), ns, "", 100, "")
		if err != nil {
			t.Fatal(err)
		}
		parts, got := 0, map[string][]byte{}
		for _, info := range page {
			parts += int((info.Size + partSize - 1) / partSize)
			if got[info.Name], err = read(t, b, ns, info.Name); err != nil {
				t.Fatal(err)
			}
		}
		if !maps.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s has %d blobs, want %d, or with another content", ns, len(got), len(want))
		}
		awaitParts(t, s, ns, parts)
	}
}

// Several write the same blob at once: one of them wins as a whole.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	b, s := open(t, blobs.Options{})
	const writers, rounds = 6, 5
	done := make(chan struct{})
	go func() {
		defer close(done)
		for round := range rounds * writers {
			r, err := b.Read(t.Context(), acme, "x", 0, 0)
			if errors.Is(err, blobs.ErrNotFound) {
				continue
			}
			if err != nil {
				t.Errorf("round %d: %v", round, err)
				return
			}
			all, err := rest(t.Context(), r) // the digest is compared
			r.Close()
			if err != nil && !errors.Is(err, blobs.ErrReplaced) {
				t.Errorf("round %d: %d bytes, %v", round, len(all), err)
			}
		}
	}()
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			for i := range rounds {
				u, err := b.Create(t.Context(), acme, blobs.Info{Name: "x"}, nil)
				if err == nil {
					err = u.Write(t.Context(), content(uint64(w*rounds+i), laid+1+w)) // nine parts each
				}
				if err == nil {
					_, err = u.Commit(t.Context(), -1, nil)
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	<-done
	awaitParts(t, s, acme, 9)
}
