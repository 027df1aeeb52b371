package registry_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/micro/micro/v3/image/registry"
)

// serve answers a request without a connection.
func serve(t *testing.T, r *registry.Registry, method, path string, body io.Reader) answer {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, body))
	return answer{w.Code, w.Header(), w.Body.String()}
}

// staged returns what lies where uploads arrive.
func staged(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, ".uploads"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestUploadExpires(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r, err := registry.Open(dir, registry.Options{UploadExpiry: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		begin := func() string {
			return serve(t, r, "POST", "/v2/ns/app/blobs/uploads/", nil).header.Get("Location")
		}
		idle, busy := begin(), begin()
		time.Sleep(40 * time.Second)
		serve(t, r, "PATCH", busy, strings.NewReader("x")).want(t, http.StatusAccepted)
		time.Sleep(40 * time.Second)
		synctest.Wait()
		for at, want := range map[string]int{idle: http.StatusNotFound, busy: http.StatusNoContent} {
			if got := serve(t, r, "GET", at, nil).status; got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
		if got := staged(t, dir); len(got) != 1 {
			t.Errorf("%d files are staged, want 1", len(got))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if got := staged(t, dir); len(got) != 0 {
			t.Errorf("%d files are staged after Close", len(got))
		}
		if got := serve(t, r, "GET", "/v2/", nil).status; got != http.StatusServiceUnavailable {
			t.Errorf("a closed registry answers %d", got)
		}
	})
}

// TestUploadCut holds that a client whose connection broke can go on where the
// registry lost it.
func TestUploadCut(t *testing.T) {
	t.Parallel()
	r, _ := open(t, registry.Options{})
	at := serve(t, r, "POST", "/v2/ns/app/blobs/uploads/", nil).header.Get("Location")
	cut := io.MultiReader(strings.NewReader("0123"), failing{io.ErrUnexpectedEOF})
	serve(t, r, "PATCH", at, cut).code(t, http.StatusBadRequest, "SIZE_INVALID")
	if got := serve(t, r, "GET", at, nil).header.Get("Range"); got != "0-3" {
		t.Fatalf("got Range %q, want 0-3", got)
	}
	serve(t, r, "PUT", at+"?digest="+digest("0123456789"), strings.NewReader("456789")).want(t, http.StatusCreated)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := registry.Open(dir, registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	defer s.Close()
	c := client{t, s.URL}
	m := c.putImage("ns/app", "v1")
	at := c.do("POST", "/v2/ns/app/blobs/uploads/", "").want(t, 202).header.Get("Location")
	c.do("PATCH", at, "half").want(t, http.StatusAccepted)

	// The first registry is not closed, as if its process had been killed.
	r, err = registry.Open(dir, registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := staged(t, dir); len(got) != 0 {
		t.Errorf("%v is left", got)
	}
	if got := serve(t, r, "GET", at, nil).status; got != http.StatusNotFound {
		t.Errorf("an upload of the process before: got %d", got)
	}
	if a := serve(t, r, "GET", "/v2/ns/app/manifests/v1", nil); a.body != m {
		t.Errorf("got %q", a.body)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	r, c := open(t, registry.Options{})
	c.push("ns/app", "a layer")
	config := `{"os":"linux","architecture":"arm64","config":{"Entrypoint":["/app/x"]},"rootfs":{"type":"layers","diff_ids":["` + digest("a layer") + `"]}}`
	c.push("ns/app", config)
	m := manifest(t, func(m *v1.Manifest) { m.Config = descriptor(types.OCIConfigJSON, config) })
	c.do("PUT", "/v2/ns/app/manifests/v1", m, "Content-Type", ociManifest).want(t, http.StatusCreated)
	c.push("ns/app", "the schema")
	subject := descriptor(types.OCIManifestSchema1, m)
	artifact := manifest(t, func(m *v1.Manifest) {
		m.Config = descriptor(types.OCIConfigJSON, config)
		m.Subject, m.ArtifactType = &subject, "application/schema"
		m.Layers = []v1.Descriptor{descriptor("application/schema", "the schema")}
	})
	c.do("PUT", "/v2/ns/app/manifests/"+digest(artifact), artifact, "Content-Type", ociManifest).want(t, http.StatusCreated)

	ctx := t.Context()
	ref := "ns/app@" + digest(m)
	for _, ref := range []string{ref, "ns/app:v1"} {
		image, err := r.Image(ctx, ref, "linux/arm64")
		if err != nil {
			t.Fatal(err)
		}
		if image.Architecture != "arm64" || len(image.Layers) != 1 || !cmp.Equal(image.Entrypoint, []string{"/app/x"}) {
			t.Errorf("got %+v", image)
		}
		layer, err := image.Layers[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(layer); err != nil || string(data) != "a layer" {
			t.Errorf("got %q, %v", data, err)
		}
		if err := layer.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Exists(ctx, ref); err != nil {
			t.Error(err)
		}
		if data, err := r.Attachment(ctx, ref, "application/schema", 64); err != nil || string(data) != "the schema" {
			t.Errorf("got %q, %v", data, err)
		}
	}
	if got, err := r.Repositories(ctx); err != nil || !cmp.Equal(got, []string{"ns/app"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := r.Exists(ctx, "ns/app:v2"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("got %v, want %v", err, registry.ErrNotFound)
	}
	for _, bad := range []string{"", "app", "ns/app", "a/b/c:v1", "ns/app@sha256:1", "ns/app:", "../x/y:v1", "ns/..:v1"} {
		if _, err := r.Image(ctx, bad, ""); !errors.Is(err, registry.ErrName) {
			t.Errorf("%q: got %v, want %v", bad, err, registry.ErrName)
		}
	}

	if err := r.Remove(ctx, ref); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Image(ctx, ref, ""); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("got %v, want %v", err, registry.ErrNotFound)
	}
	if swept, err := r.Prune(ctx, "", -time.Hour, false); err != nil || swept.Bytes == 0 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	c.do("HEAD", "/v2/ns/app/blobs/"+digest("a layer"), "").want(t, http.StatusNotFound)

	c.putImage("ns/app", "v1")
	c.putImage("ns/other", "v1")
	for range 2 {
		if err := r.Delete(ctx, "ns/app"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := r.Repositories(ctx); err != nil || !cmp.Equal(got, []string{"ns/other"}) {
		t.Errorf("got %v, %v", got, err)
	}
	c.do("GET", "/v2/ns/app/tags/list", "").code(t, http.StatusNotFound, "NAME_UNKNOWN")
	c.putImage("ns/app", "v1")
	if err := r.Delete(ctx, "../app"); !errors.Is(err, registry.ErrName) {
		t.Errorf("got %v, want %v", err, registry.ErrName)
	}
}

func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"/v2/", "/v2/ns/app/blobs/sha256:0", "/v2/ns/app/manifests/latest", "/v2/ns/app/blobs/uploads/",
		"/v2/../../etc/passwd", "/v2/%2e%2e/%2e%2e/manifests/x", "/v2/ns/app/referrers/sha256:", "/v2//a//tags/list",
	} {
		f.Add("GET", path)
		f.Add("PUT", path)
	}
	dir := f.TempDir()
	r, err := registry.Open(filepath.Join(dir, "registry"), registry.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://registry/", strings.NewReader("x"))
		if err != nil {
			t.Skip()
		}
		if req.URL, err = req.URL.Parse(path); err != nil {
			t.Skip()
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %q: status %d: %s", method, path, w.Code, w.Body)
		}
		// Nothing is ever written beside the registry.
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s %q: %v (%v)", method, path, entries, err)
		}
	})
}

func FuzzReference(f *testing.F) {
	f.Add("ns/app:v1")
	f.Add("ns/app@" + digest("x"))
	f.Add("../..:x")
	r, err := registry.Open(f.TempDir(), registry.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		err := r.Exists(t.Context(), ref)
		if !errors.Is(err, registry.ErrName) && !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%q: got %v", ref, err)
		}
	})
}
