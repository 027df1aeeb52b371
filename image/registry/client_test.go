package registry_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/micro/micro/v3/image/layout"
	"github.com/micro/micro/v3/image/registry"
)

// client speaks to a registry as the specification has it.
type client struct {
	t   *testing.T
	url string
}

func open(t *testing.T, o registry.Options) (*registry.Registry, client) {
	t.Helper()
	r, err := registry.Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return r, client{t, s.URL}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; the headers are name and value in turn.
func (c client) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	return c.send(method, path, strings.NewReader(body), headers...)
}

// send sends a request with a body that may have no known length.
func (c client) send(method, path string, body io.Reader, headers ...string) answer {
	c.t.Helper()
	url := path
	if strings.HasPrefix(path, "/") {
		url = c.url + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, body)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(data)}
}

// want fails the test unless an answer has a status.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("got status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// code fails the test unless an answer is an error with a status and a code.
func (a answer) code(t *testing.T, status int, code string) {
	t.Helper()
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(a.want(t, status).body), &body); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	if len(body.Errors) != 1 || body.Errors[0].Code != code || body.Errors[0].Message == "" {
		t.Errorf("got %s, want one error %s with a message", a.body, code)
	}
}

func digest(s string) string { return layout.Digest([]byte(s)).String() }

// push stores a blob in two requests.
func (c client) push(repository, blob string) string {
	c.t.Helper()
	a := c.do("POST", "/v2/"+repository+"/blobs/uploads/", "").want(c.t, http.StatusAccepted)
	c.do("PUT", c.url+a.header.Get("Location")+"?digest="+digest(blob), blob).want(c.t, http.StatusCreated)
	return digest(blob)
}

func descriptor(t types.MediaType, content string) v1.Descriptor {
	return v1.Descriptor{MediaType: t, Digest: layout.Digest([]byte(content)), Size: int64(len(content))}
}

const (
	config = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`
	layer  = "a layer"
)

// manifest returns an image manifest of config and layer.
func manifest(t *testing.T, change func(*v1.Manifest)) string {
	t.Helper()
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: descriptor(types.OCIConfigJSON, config),
		Layers: []v1.Descriptor{descriptor(types.OCIUncompressedLayer, layer)},
	}
	if change != nil {
		change(&m)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const ociManifest = string(types.OCIManifestSchema1)

// putImage stores an image under a tag, and returns its manifest.
func (c client) putImage(repository, tag string) string {
	c.t.Helper()
	c.push(repository, config)
	c.push(repository, layer)
	m := manifest(c.t, nil)
	c.do("PUT", "/v2/"+repository+"/manifests/"+tag, m, "Content-Type", ociManifest).want(c.t, http.StatusCreated)
	return m
}
