package embedded

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/runtimetest"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// counted counts how often its images are opened.
type counted struct {
	runtimetest.Images

	mu sync.Mutex
	n  int
}

func (c *counted) open(ctx context.Context, ref string) (*runtime.Image, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return c.Open(ctx, ref)
}

func newImages(tb testing.TB, dir string, open runtime.OpenImage) *images {
	tb.Helper()
	is := &images{
		dir:     filepath.Join(dir, "images"),
		staging: filepath.Join(dir, "staging"),
		open:    open,
		limits:  defaultLimits,
		boot:    "this one",
		uses:    map[string]*image{},
	}
	for _, dir := range []string{is.dir, is.staging} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	return is
}

func plainImage(tb testing.TB, files ...runtimetest.File) runtime.Image {
	tb.Helper()
	return runtime.Image{
		OS:           goruntime.GOOS,
		Architecture: goruntime.GOARCH,
		Entrypoint:   []string{"/app"},
		Layers:       []func() (io.ReadCloser, error){runtimetest.Layer(tb, files...)},
	}
}

func TestImageIsUnpackedOnce(t *testing.T) {
	t.Parallel()
	source := &counted{}
	ref := source.Add(plainImage(t, file("app", "1")))
	is := newImages(t, t.TempDir(), source.open)
	const n = 8
	got := make([]*image, n)
	var users sync.WaitGroup
	for i := range n {
		users.Go(func() {
			img, err := is.acquire(t.Context(), ref)
			if err != nil {
				t.Error(err)
			}
			got[i] = img
		})
	}
	users.Wait()
	if source.n != 1 {
		t.Errorf("it was opened %d times, want once", source.n)
	}
	for i, img := range got {
		if img != got[0] {
			t.Fatalf("user %d has an image of its own", i)
		}
		if _, err := os.Stat(filepath.Join(img.dir, imageRoot, "app")); err != nil {
			t.Errorf("while it is in use: %v", err)
		}
		is.release(img)
	}
	if left := append(files(t, is.dir), files(t, is.staging)...); len(left) > 0 {
		t.Errorf("after its last use: %q", left)
	}
}

func TestImageOutlivesTheServer(t *testing.T) {
	t.Parallel()
	source := &counted{}
	ref := source.Add(plainImage(t, file("app", "1")))
	dir := t.TempDir()
	img, err := newImages(t, dir, source.open).acquire(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, boot, digest string
		want               bool
	}{
		{"the next server", "this one", img.digest, true},
		{"after a start of the machine", "another", img.digest, false},
		{"on a system without boot ids", "", img.digest, false},
		{"other digest", "this one", img.digest[:63] + "x", false},
		{"no digest", "this one", "", false},
		{"hostile digest", "this one", "../images/" + img.digest, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			is := newImages(t, dir, source.open)
			is.boot = tt.boot
			got := is.adopt(tt.digest)
			if (got != nil) != tt.want {
				t.Fatalf("adopt = %+v, want one: %t", got, tt.want)
			}
			if got != nil && !cmp.Equal(got.config, img.config) {
				t.Errorf("config %+v, want %+v", got.config, img.config)
			}
		})
	}
}

func TestImageClean(t *testing.T) {
	t.Parallel()
	source := &counted{}
	used, unused := source.Add(plainImage(t, file("app", "1"))), source.Add(plainImage(t, file("app", "2")))
	dir := t.TempDir()
	before := newImages(t, dir, source.open)
	var digests []string
	for _, ref := range []string{used, unused} {
		img, err := before.acquire(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, img.digest)
	}
	is := newImages(t, dir, source.open)
	if is.adopt(digests[0]) == nil {
		t.Fatal("the image is not there")
	}
	if err := is.clean(); err != nil {
		t.Fatal(err)
	}
	if left := files(t, is.dir); !slices.Equal(left, digests[:1]) {
		t.Errorf("there are %q, want %q", left, digests[:1])
	}
}

// TestImageFailure checks that a failure leaves nothing, and holds up nobody who
// waited for it.
func TestImageFailure(t *testing.T) {
	t.Parallel()
	source := &counted{}
	broken := errors.New("broken registry")
	good := plainImage(t, file("app", "1"))
	layer := good.Layers[0]
	reached, goOn := make(chan struct{}, 10), make(chan struct{})
	first := true
	good.Layers = append(good.Layers, func() (io.ReadCloser, error) {
		reached <- struct{}{}
		<-goOn
		if first {
			first = false
			return nil, broken
		}
		return layer()
	})
	ref := source.Add(good)
	is := newImages(t, t.TempDir(), source.open)
	failed, waited := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := is.acquire(t.Context(), ref)
		failed <- err
	}()
	<-reached
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := is.acquire(ctx, ref); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits for an image with an ended context: got error %v", err)
	}
	go func() {
		_, err := is.acquire(t.Context(), ref)
		waited <- err
	}()
	close(goOn)
	if err := <-failed; !errors.Is(err, broken) {
		t.Errorf("the first user: got error %v, want %v", err, broken)
	}
	if err := <-waited; err != nil {
		t.Errorf("the second user: %v", err)
	}
	if left := files(t, is.staging); len(left) > 0 {
		t.Errorf("staging holds %q", left)
	}
}

func TestDigestOf(t *testing.T) {
	t.Parallel()
	const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	if got, err := supervisor.DigestOf("micro/helloworld@sha256:" + hex); err != nil || got != hex {
		t.Errorf("digestOf = %q, %v", got, err)
	}
	for _, ref := range []string{
		"", "@", "a", "a:latest", "a@" + hex, "a@sha512:" + hex, "a@sha256:", "a@sha256:" + hex[1:],
		"a@sha256:" + hex + "0", "a@sha256:G" + hex[1:], "a@sha256:A" + hex[1:], "a@sha256:../" + hex[3:],
	} {
		if got, err := supervisor.DigestOf(ref); !errors.Is(err, runtime.ErrImage) {
			t.Errorf("supervisor.DigestOf(%q) = %q, %v", ref, got, err)
		}
	}
}

func executable(name, content string) runtimetest.File {
	return runtimetest.File{Header: tar.Header{Name: name, Mode: 0o755}, Content: []byte(content)}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		files      layer
		entrypoint []string
		want       string // below the root; empty: refused
	}{
		{"absolute", layer{executable("app/x", "")}, []string{"/app/x"}, "app/x"},
		{"relative", layer{executable("app/x", "")}, []string{"app/x"}, "app/x"},
		{"upward", layer{executable("app/x", "")}, []string{"/../../app/x"}, "app/x"},
		{"plain name", layer{executable("bin/x", "")}, []string{"x"}, "bin/x"},
		{"plain name, not executable", layer{file("bin/x", "")}, []string{"x"}, ""},
		{"plain name, nowhere", layer{executable("app/x", "")}, []string{"x"}, ""},
		{"by a link", layer{executable("app/x", ""), symlink("run", "app/x")}, []string{"/run"}, "app/x"},
		{"by an absolute link", layer{executable("app/x", ""), symlink("bin/run", "/app/x")}, []string{"/bin/run"}, "app/x"},
		{"by a link that leads out", layer{symlink("run", "/../../../../bin/sh")}, []string{"/run"}, ""},
		{"empty name", layer{}, []string{""}, ""},
		{"root", layer{}, []string{"/"}, ""},
		{"dot", layer{}, []string{"."}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			img := acquirePlain(t, tt.files, tt.entrypoint)
			got, _, err := img.command(nil)
			if tt.want == "" {
				if !errors.Is(err, runtime.ErrImage) {
					t.Errorf("command = %q, %v, want %v", got, err, runtime.ErrImage)
				}
				return
			}
			if want := filepath.Join(img.dir, imageRoot, tt.want); err != nil || got != want {
				t.Errorf("command = %q, %v, want %q", got, err, want)
			}
		})
	}
}

// acquirePlain unpacks an image of files.
func acquirePlain(t *testing.T, files layer, entrypoint []string) *image {
	t.Helper()
	source := &counted{}
	from := plainImage(t, files...)
	from.Entrypoint = entrypoint
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	img, err := newImages(t, dir, source.open).acquire(t.Context(), source.Add(from))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestImageVariables(t *testing.T) {
	t.Parallel()
	img := acquirePlain(t, layer{file("etc/certs.pem", "")}, []string{"/app"})
	img.config.Env = []string{"SSL_CERT_FILE=/etc/certs.pem", "SSL_CERT_DIR=/none", "ZONEINFO=etc/certs.pem", "HOME=/root", "TMPDIR=/x", "PATH=/x", "OTHER=/etc/certs.pem", "broken", "=x"}
	got := environment(runtime.Spec{}, img, home("/home"), 20000, "id.a")
	want := []string{
		"HOME=" + home("/home").work(),
		"MICRO_ADDRESS=127.0.0.1:20000",
		"MICRO_IDENTITY_FILE=" + home("/home").identity(),
		"MICRO_RUNTIME_ID=id.a",
		"OTHER=/etc/certs.pem",
		"PATH=" + hostPath,
		"PORT=20000",
		"SSL_CERT_DIR=/none",
		"SSL_CERT_FILE=" + filepath.Join(img.dir, imageRoot, "etc/certs.pem"),
		"TMPDIR=" + home("/home").tmp(),
		"ZONEINFO=etc/certs.pem",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}
