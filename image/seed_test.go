package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A machine that has compiled nothing takes what another has compiled, and makes the
// same image of it.
func TestSeed(t *testing.T) {
	t.Parallel()
	// Enough packages to be worth it.
	s := source(t, map[string]string{"go.mod": goMod, "main.go": "package main\n\nimport \"errors\"\n\nfunc main() { println(errors.New(\"x\").Error()) }\n"})
	r := newTestRegistry(t, httptest.NewServer, "")
	machine := func(share bool) (BuildOptions, *[]string) {
		dir := t.TempDir()
		var said []string
		return BuildOptions{
			Platforms: []string{"linux/amd64"}, CacheDir: filepath.Join(dir, "build"), Env: append(os.Environ(), "GOCACHE="+filepath.Join(dir, "go")),
			Seed: &Seed{
				Dir: filepath.Join(dir, "seeded"), Key: "k", Least: 10, Share: share,
				Place: PushOptions{Registry: r.host(), Repository: "micro/build-cache", PlainHTTP: true, Token: give("")},
			},
			Progress: func(e Event) { said = append(said, e.Message) },
		}, &said
	}
	o, _ := machine(true)
	first := buildImage(t, s, o)
	if n, err := first.ShareSeed(t.Context()); err != nil || n < 100<<10 {
		t.Fatalf("shared %d bytes, %v", n, err)
	}
	if n, err := first.ShareSeed(t.Context()); err != nil || n != 0 {
		t.Errorf("shared %d bytes again, %v", n, err)
	}

	o, said := machine(false)
	second := buildImage(t, s, o)
	if first.Digest() != second.Digest() {
		t.Errorf("got %s with a seed, %s without", second.Digest(), first.Digest())
	}
	if second.seeded == nil || !second.seeded.found {
		t.Fatalf("the seed was not used: %q", *said)
	}
	// The user's own cache got nothing of it, and with it nothing was compiled anew
	// but the program.
	var size int64
	if err := filepath.WalkDir(strings.TrimPrefix(o.Env[len(o.Env)-1], "GOCACHE="), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		size += info.Size()
		return err
	}); err != nil || size > 1<<20 {
		t.Errorf("the user's cache has %d bytes (%v)", size, err)
	}
	// The next time it goes on with the same cache, and asks nobody.
	r.sent("")
	third := buildImage(t, s, o)
	if third.seeded == nil || !third.seeded.found || r.sent("GET") != 0 {
		t.Error("the seeded cache was not used again")
	}
	if n, err := second.ShareSeed(t.Context()); err != nil || n != 0 {
		t.Errorf("shared %d bytes, %v", n, err)
	}

	// Without a registry the user's own cache is used, and nothing is said of it but to
	// who wants to know.
	o, said = machine(false)
	closed := httptest.NewServer(nil)
	closed.Close()
	o.Seed.Place.Registry = strings.TrimPrefix(closed.URL, "http://")
	o.Env = os.Environ() // which is warm: it is not even looked for
	fourth := buildImage(t, s, o)
	if fourth.seeded != nil || fourth.Digest() != first.Digest() {
		t.Errorf("got %+v, %s: %q", fourth.seeded, fourth.Digest(), *said)
	}
}

func seedOf(t *testing.T, files ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, h := range files {
		content := h.Linkname
		h.Linkname = ""
		if h.Typeflag == tar.TypeSymlink {
			h.Linkname, content = content, ""
		}
		h.Size, h.Mode = int64(len(content)), 0o600
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A seed can be anything.
func TestUnpackSeed(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("content"))
	digits := hex.EncodeToString(sum[:])
	good := digits[:2] + "/" + digits + "-d"
	action := digits[:2] + "/" + digits + "-a"
	dir := t.TempDir()
	if err := unpackSeed(t.Context(), bytes.NewReader(seedOf(t, tar.Header{Name: good, Linkname: "content"}, tar.Header{Name: action, Linkname: "v1"})), dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, good)); err != nil || string(got) != "content" {
		t.Errorf("got %q, %v", got, err)
	}
	whole := seedOf(t, tar.Header{Name: good, Linkname: "content"})
	for name, data := range map[string][]byte{
		"another content": seedOf(t, tar.Header{Name: good, Linkname: "other"}),
		"another name":    seedOf(t, tar.Header{Name: "x", Linkname: "content"}),
		"another folder":  seedOf(t, tar.Header{Name: "../" + good, Linkname: "content"}),
		"the wrong one":   seedOf(t, tar.Header{Name: "zz/" + digits + "-d", Linkname: "content"}),
		"absolute":        seedOf(t, tar.Header{Name: "/" + good, Linkname: "content"}),
		"link":            seedOf(t, tar.Header{Name: good, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}),
		"cut":             whole[:len(whole)-20],
		"no seed":         []byte("hello"),
	} {
		dir := t.TempDir()
		if err := unpackSeed(t.Context(), bytes.NewReader(data), dir); err == nil {
			t.Errorf("%s: no error", name)
		}
		left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if err != nil || len(left) != 0 {
			t.Errorf("%s: %v is left (%v)", name, left, err)
		}
	}
}

// A seed that would come too late is given up soon.
func TestPaced(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		total, done int64
		took        time.Duration
		want        bool // that it is given up
	}{
		{"just begun", 100 << 20, 10, probeFor / 2, false},
		{"fast", 100 << 20, 50 << 20, 2 * probeFor, false},
		{"slow", 100 << 20, 1 << 20, 2 * probeFor, true},
		{"slow, and done", 1 << 20, 1 << 20, time.Hour, false},
	} {
		p := &paced{r: strings.NewReader("x"), total: test.total, done: test.done - 1, began: time.Now().Add(-test.took)}
		_, err := p.Read(make([]byte, 1))
		if errors.Is(err, ErrTooLarge) != test.want {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}
