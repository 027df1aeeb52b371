package registry_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/micro/micro/v3/image/registry"
)

// TestDiskFull fills the disk, which takes a file system of its own.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		if os.Getenv("MICRO_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	r, err := registry.Open(dir, registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	defer s.Close()
	c := client{t, s.URL}
	m := c.putImage("ns/app", "v1")

	large := strings.Repeat("x", 512<<10)
	at := c.do("POST", "/v2/ns/app/blobs/uploads/", "").want(t, 202).header.Get("Location")
	c.do("PATCH", at, large).code(t, http.StatusInsufficientStorage, "UNKNOWN")
	c.do("GET", at, "").code(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	c.do("HEAD", "/v2/ns/app/blobs/"+digest(large), "").want(t, http.StatusNotFound)
	if got := staged(t, dir); len(got) != 0 {
		t.Errorf("%v takes the space that there is", got)
	}

	// What was there is there, and what fits still goes in.
	if a := c.do("GET", "/v2/ns/app/manifests/v1", "").want(t, http.StatusOK); a.body != m {
		t.Errorf("got %s", a.body)
	}
	c.push("ns/app", "small")

	// An index that does not fit leaves the old one.
	rest, err := os.Create(dir + "/rest")
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	for {
		if _, err := rest.Write(make([]byte, 4096)); err != nil {
			break
		}
	}
	c.do("PUT", "/v2/ns/app/manifests/v2", m, "Content-Type", ociManifest).code(t, http.StatusInsufficientStorage, "UNKNOWN")
	if a := c.do("GET", "/v2/ns/app/tags/list", "").want(t, http.StatusOK); !strings.Contains(a.body, `"tags":["v1"]`) {
		t.Errorf("got %s", a.body)
	}
}
