package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/micro/micro/v3/backend/archive"
)

var created = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func header() archive.Header {
	return archive.Header{Kind: "backup", Version: 1, Created: created, Micro: "v3.0.0"}
}

// files are the contents of a small archive; one is larger than a block of zstd.
func files() map[string]string {
	large := make([]byte, 300<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large)
	return map[string]string{"a": "", "store/000001.sst": string(large), "images/acme/x/index.json": "{}"}
}

func write(t *testing.T, h archive.Header, contents map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := archive.NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range contents {
		if err := w.Add(t.Context(), name, int64(len(content)), strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(ctx context.Context, r io.Reader) (archive.Header, map[string]string, error) {
	got := map[string]string{}
	h, err := archive.Read(ctx, r, "backup", 1, func(name string, size int64, r io.Reader) error {
		b, err := io.ReadAll(r)
		if err == nil && int64(len(b)) != size {
			return errors.New("another size than was said")
		}
		got[name] = string(b)
		return err
	})
	return h, got, err
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]map[string]string{"files": files(), "nothing": {}} {
		h, got, err := read(t.Context(), iotest.HalfReader(bytes.NewReader(write(t, header(), want))))
		if err != nil || h != header() || !maps.Equal(got, want) {
			t.Errorf("%s: %+v, %d files of %d, %v", name, h, len(got), len(want), err)
		}
	}
	skipped := 0
	_, err := archive.Read(t.Context(), bytes.NewReader(write(t, header(), files())), "backup", 1, func(string, int64, io.Reader) error {
		skipped++
		return nil
	})
	if err != nil || skipped != 3 {
		t.Errorf("files that are not read: %d, %v", skipped, err)
	}
}

// Of every archive that was cut off, and of every one with a flipped bit, it is told.
func TestDamage(t *testing.T) {
	t.Parallel()
	whole := write(t, header(), map[string]string{"a": "hello", "b/c": strings.Repeat("x", 5000)})
	for n := range whole {
		_, _, err := read(t.Context(), bytes.NewReader(whole[:n]))
		if !errors.Is(err, archive.ErrCut) && !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(whole), err)
		}
	}
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			h, got, err := read(t.Context(), bytes.NewReader(b))
			if err == nil && (h != header() || got["a"] != "hello" || len(got) != 2) {
				t.Errorf("bit %d of byte %d of %d: %+v, %q", bit, i, len(whole), h, got)
			}
		}
	}
	if _, _, err := read(t.Context(), bytes.NewReader(append(bytes.Clone(whole), "more"...))); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("with something behind it: %v", err)
	}
	large := write(t, header(), files())
	for range 100 {
		b := bytes.Clone(large)
		b[100+rand.IntN(len(b)-100)] ^= 1 << rand.IntN(8)
		if _, got, err := read(t.Context(), bytes.NewReader(b)); err == nil && !maps.Equal(got, files()) {
			t.Error("a file is not what was written, and nothing tells it")
		}
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	other, newer := header(), header()
	other.Kind, newer.Version = "namespace", 2
	empty, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		in   []byte
		want error
		text string
	}{
		"another kind":    {write(t, other, nil), archive.ErrForeign, "it is a namespace, and no backup"},
		"a newer one":     {write(t, newer, nil), archive.ErrForeign, "micro v3.0.0 wrote it, with version 2"},
		"text":            {[]byte(strings.Repeat("milk, eggs\n", 100)), archive.ErrForeign, "something else"},
		"nothing":         {nil, archive.ErrCut, ""},
		"a few bytes":     {[]byte("ab"), archive.ErrCut, ""},
		"zstd of text":    {empty.EncodeAll([]byte(strings.Repeat("milk, eggs\n", 100)), nil), archive.ErrDamaged, ""},
		"zstd of nothing": {empty.EncodeAll(nil, nil), archive.ErrForeign, ""},
	} {
		_, _, err := read(t.Context(), bytes.NewReader(tt.in))
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %v with %q", name, err, tt.want, tt.text)
		}
	}
}

// What somebody made up gets nothing anywhere.
func TestHostile(t *testing.T) {
	t.Parallel()
	reg := func(name string) *tar.Header { return &tar.Header{Typeflag: tar.TypeReg, Name: name} }
	for name, entries := range map[string][]*tar.Header{
		"up":            {reg("../x")},
		"up inside":     {reg("a/../../x")},
		"absolute":      {reg("/etc/passwd")},
		"dots":          {reg(".")},
		"a double name": {reg("a//b")},
		"a drive":       {reg(`C:\x`)},
		"a line":        {reg("a\nb")},
		"twice":         {reg("a"), reg("a")},
		"the header":    {reg("micro.json")},
		"a link":        {{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc/passwd"}},
		"a hard link":   {{Typeflag: tar.TypeLink, Name: "a", Linkname: "/etc/passwd"}},
		"a directory":   {{Typeflag: tar.TypeDir, Name: "a/"}},
		"a device":      {{Typeflag: tar.TypeBlock, Name: "a"}},
		"no digest":     {reg("a"), reg("SHA256SUMS")},
	} {
		var b bytes.Buffer
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(z)
		h := `{"kind": "backup", "version": 1}`
		err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "micro.json", Size: int64(len(h))})
		if err == nil {
			_, err = io.WriteString(w, h)
		}
		for _, e := range entries {
			err = errors.Join(err, w.WriteHeader(e))
		}
		if err := errors.Join(err, w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		if _, got, err := read(t.Context(), &b); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// An error of who reads or writes is that error, and no damage.
func TestErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk burns")
	whole := write(t, header(), files())
	_, _, err := read(t.Context(), io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || errors.Is(err, archive.ErrDamaged) {
		t.Errorf("an input that fails: %v", err)
	}
	_, err = archive.Read(t.Context(), bytes.NewReader(whole), "backup", 1, func(string, int64, io.Reader) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("a file that cannot be taken: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := read(ctx, bytes.NewReader(whole)); !errors.Is(err, context.Canceled) {
		t.Errorf("read after the end: %v", err)
	}
	w, err := archive.NewWriter(io.Discard, header())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	if err := w.Add(ctx, "a", 1, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("write after the end: %v", err)
	}
	if err := w.Add(t.Context(), "b", 5, strings.NewReader("x")); err == nil {
		t.Error("a file that is too short was taken")
	}
}
