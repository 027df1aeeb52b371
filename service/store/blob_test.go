package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/service/servicetest"
	"github.com/micro/micro/v3/service/store"
)

func TestBlobs(t *testing.T) {
	t.Parallel()
	c := store.NewBlobs(connect(t))
	ctx := t.Context()
	for _, size := range []int{0, 1, 256 << 10, 3<<20 + 17} {
		want := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{}).Read(want)
		sum := sha256.Sum256(want)
		wrote, err := c.Write(ctx, "a/b", iotest.HalfReader(bytes.NewReader(want)), store.BlobType("image/png"), store.BlobMetadata(map[string]string{"by": "me"}))
		if err != nil {
			t.Fatal(err)
		}
		same := &store.Blob{
			Name: "a/b", Size: int64(size), ContentType: "image/png", Metadata: map[string]string{"by": "me"},
			SHA256: sum[:], Modified: wrote.Modified, Revision: wrote.Revision,
		}
		if diff := cmp.Diff(same, wrote); diff != "" || wrote.Modified.IsZero() || wrote.Revision == 0 {
			t.Errorf("Write (-want +got):\n%s", diff)
		}
		r, err := c.Read(ctx, "a/b", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) || cmp.Diff(same, r.Blob) != "" {
			t.Errorf("Read: %d bytes of %d, %v, %+v", len(got), len(want), err, r.Blob)
		}
		if size < 10 {
			continue
		}
		if r, err = c.Read(ctx, "a/b", int64(size-10), 5); err != nil {
			t.Fatal(err)
		}
		got, err = io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want[size-10:size-5]) {
			t.Errorf("Read of a part: %x, %v", got, err)
		}
	}
	stat, err := c.Stat(ctx, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(ctx, "a/c", bytes.NewReader(nil)); err != nil {
		t.Fatal(err)
	}
	list, err := c.List(ctx, "a/")
	if err != nil || len(list) != 2 || cmp.Diff(stat, list[0]) != "" || list[1].Name != "a/c" {
		t.Errorf("List: %+v, %v", list, err)
	}
	if _, err := c.Write(ctx, "a/b", bytes.NewReader(nil), store.BlobIfRevision(0)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("one that must not be there: %v, want %v", err, store.ErrConflict)
	}
	if _, err := c.Write(ctx, "a/b", bytes.NewReader(nil), store.BlobIfRevision(stat.Revision)); err != nil {
		t.Errorf("one that must be what it is: %v", err)
	}
	if err := errors.Join(c.Delete(ctx, "a/b"), c.Delete(ctx, "a/b")); err != nil {
		t.Errorf("Delete, twice: %v", err)
	}
	if _, err := c.Stat(ctx, "a/b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Stat of what is not there: %v, want %v", err, store.ErrNotFound)
	}
	if _, err := c.Read(ctx, "a/b", 0, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Read of what is not there: %v, want %v", err, store.ErrNotFound)
	}
}

// What breaks off changes nothing.
func TestBlobBreaksOff(t *testing.T) {
	t.Parallel()
	c := store.NewBlobs(connect(t))
	if _, err := c.Write(t.Context(), "x", bytes.NewReader([]byte("old"))); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk burns")
	_, err := c.Write(t.Context(), "x", io.MultiReader(bytes.NewReader(make([]byte, 2<<20)), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("Write: %v, want %v", err, broken)
	}
	r, err := c.Read(t.Context(), "x", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "old" {
		t.Errorf("it is %q, %v", got, err)
	}
}

// The blobs as services written for Micro 3 use them.
func TestDefaultBlobStore(t *testing.T) {
	servicetest.Start(t)
	if _, err := store.DefaultBlobStore.Read("a.png"); err != store.ErrNotFound { //nolint:errorlint // as services compare it
		t.Errorf("Read what is not there: %v, want %v", err, store.ErrNotFound)
	}
	if err := store.DefaultBlobStore.Write("a.png", strings.NewReader("of all")); err != nil {
		t.Fatal(err)
	}
	of := store.BlobNamespace("codes/acme")
	for _, key := range []string{"a.png", "b.png", "c/d.png"} {
		if err := store.DefaultBlobStore.Write(key, strings.NewReader("of acme: "+key), store.BlobContentType("image/png"), store.BlobPublic(true), of); err != nil {
			t.Fatal(err)
		}
	}
	list := func(opts ...store.BlobListOption) []string {
		keys, err := store.DefaultBlobStore.List(opts...)
		if err != nil {
			t.Error(err)
		}
		return keys
	}
	for name, got := range map[string][2][]string{
		"all":         {list(), {"a.png", "codes/acme/a.png", "codes/acme/b.png", "codes/acme/c/d.png"}},
		"below":       {list(store.BlobListNamespace("codes/acme")), {"a.png", "b.png", "c/d.png"}},
		"of a prefix": {list(store.BlobListNamespace("codes/acme/"), store.BlobListPrefix("c/")), {"c/d.png"}},
		"nothing":     {list(store.BlobListPrefix("none")), {}},
	} {
		if diff := cmp.Diff(got[1], got[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	read := func(key string, opts ...store.BlobOption) string {
		r, err := store.DefaultBlobStore.Read(key, opts...)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	if a, b := read("a.png"), read("a.png", of); a != "of all" || b != "of acme: a.png" {
		t.Errorf("read %q and %q", a, b)
	}
	client, err := store.DefaultBlobs()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := client.Stat(t.Context(), "codes/acme/b.png"); err != nil || b.ContentType != "image/png" {
		t.Errorf("Stat: %+v, %v", b, err)
	}
	if err := store.DefaultBlobStore.Delete("b.png", of); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"a.png", "c/d.png"}, list(store.BlobListNamespace("codes/acme"))); diff != "" {
		t.Errorf("after Delete (-want +got):\n%s", diff)
	}
}
