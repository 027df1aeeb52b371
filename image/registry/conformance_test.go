package registry_test

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/micro/micro/v3/image/layout"
	"github.com/micro/micro/v3/image/registry"
)

// The tests in this file take the requirements of the distribution
// specification one after the other, in its words.

func TestBase(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	a := c.do("GET", "/v2/", "").want(t, http.StatusOK)
	if got := a.header.Get("Docker-Distribution-Api-Version"); got != "registry/2.0" {
		t.Errorf("version header %q", got)
	}
}

func TestPull(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	m := c.putImage("ns/app", "v1")
	none := digest("nothing")

	for _, test := range []struct {
		name, method, path string
		status             int
		code               string // of an error
		body               string
		contentType        string
		digest             string
	}{
		{name: "manifest by tag", method: "GET", path: "manifests/v1", status: 200, body: m, contentType: ociManifest, digest: digest(m)},
		{name: "manifest by digest", method: "GET", path: "manifests/" + digest(m), status: 200, body: m, contentType: ociManifest, digest: digest(m)},
		{name: "manifest exists by tag", method: "HEAD", path: "manifests/v1", status: 200, contentType: ociManifest, digest: digest(m)},
		{name: "manifest exists by digest", method: "HEAD", path: "manifests/" + digest(m), status: 200, contentType: ociManifest, digest: digest(m)},
		{name: "no such tag", method: "GET", path: "manifests/v2", status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "no such tag exists", method: "HEAD", path: "manifests/v2", status: 404},
		{name: "no such manifest", method: "GET", path: "manifests/" + none, status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "a layer is no manifest", method: "GET", path: "manifests/" + digest(layer), status: 404, code: "MANIFEST_UNKNOWN"},
		{name: "bad reference", method: "GET", path: "manifests/.hidden", status: 400, code: "MANIFEST_INVALID"},
		{name: "blob", method: "GET", path: "blobs/" + digest(layer), status: 200, body: layer, contentType: "application/octet-stream", digest: digest(layer)},
		{name: "blob exists", method: "HEAD", path: "blobs/" + digest(layer), status: 200, contentType: "application/octet-stream", digest: digest(layer)},
		{name: "no such blob", method: "GET", path: "blobs/" + none, status: 404, code: "BLOB_UNKNOWN"},
		{name: "no such blob exists", method: "HEAD", path: "blobs/" + none, status: 404},
		{name: "no digest", method: "GET", path: "blobs/sha256:abc", status: 400, code: "DIGEST_INVALID"},
		{name: "another algorithm", method: "GET", path: "blobs/md5:" + strings.Repeat("0", 32), status: 400, code: "DIGEST_INVALID"},
		{name: "a path in place of a digest", method: "GET", path: "blobs/..%2f..%2findex.json", status: 400, code: "DIGEST_INVALID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := client{t, c.url}
			a := c.do(test.method, "/v2/ns/app/"+test.path, "")
			if test.code != "" {
				a.code(t, test.status, test.code)
				return
			}
			a.want(t, test.status)
			if a.body != test.body {
				t.Errorf("got body %q, want %q", a.body, test.body)
			}
			if test.status != http.StatusOK {
				return
			}
			if got := a.header.Get("Content-Type"); got != test.contentType {
				t.Errorf("got Content-Type %q, want %q", got, test.contentType)
			}
			if got := a.header.Get("Docker-Content-Digest"); got != test.digest {
				t.Errorf("got digest %q, want %q", got, test.digest)
			}
			if a.header.Get("Content-Length") == "" {
				t.Error("no Content-Length")
			}
		})
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	d := c.push("ns/app", "0123456789")
	for _, test := range []struct {
		name, header string
		status       int
		body         string
	}{
		{"first", "bytes=0-3", 206, "0123"},
		{"middle", "bytes=4-6", 206, "456"},
		{"to the end", "bytes=8-", 206, "89"},
		{"the last", "bytes=-2", 206, "89"},
		{"past the end", "bytes=10-", 416, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := client{t, c.url}
			a := c.do("GET", "/v2/ns/app/blobs/"+d, "", "Range", test.header).want(t, test.status)
			if test.body != "" && a.body != test.body {
				t.Errorf("got %q, want %q", a.body, test.body)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	for _, name := range []string{"app", "a/b/c", "NS/app", "ns/App", "ns/-app", "ns/a_b", "ns/" + strings.Repeat("a", 64), "%2e%2e/app", "ns%2fx/app"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client{t, c.url}
			c.do("GET", "/v2/"+name+"/tags/list", "").code(t, http.StatusBadRequest, "NAME_INVALID")
		})
	}
	c.do("GET", "/v2/ns/app/tags/list", "").code(t, http.StatusNotFound, "NAME_UNKNOWN")
	c.do("GET", "/v2/_catalog", "").code(t, http.StatusNotFound, "UNSUPPORTED")
	a := c.do("PUT", "/v2/ns/app/tags/list", "")
	a.code(t, http.StatusMethodNotAllowed, "UNSUPPORTED")
	if got, want := a.header.Get("Allow"), "GET, HEAD"; got != want {
		t.Errorf("got Allow %q, want %q", got, want)
	}
}

func TestPushBlob(t *testing.T) {
	t.Parallel()
	const blob = "0123456789"
	const octets = "application/octet-stream"
	begin := func(c client) string {
		a := c.do("POST", "/v2/ns/app/blobs/uploads/", "").want(c.t, http.StatusAccepted)
		return c.url + a.header.Get("Location")
	}
	for name, push := range map[string]func(t *testing.T, c client){
		"POST then PUT": func(t *testing.T, c client) {
			t.Helper()
			c.do("PUT", begin(c)+"?digest="+digest(blob), blob, "Content-Type", octets).want(t, http.StatusCreated)
		},
		"single POST": func(t *testing.T, c client) {
			t.Helper()
			a := c.do("POST", "/v2/ns/app/blobs/uploads/?digest="+digest(blob), blob, "Content-Type", octets).want(t, http.StatusCreated)
			if got, want := a.header.Get("Location"), "/v2/ns/app/blobs/"+digest(blob); got != want {
				t.Errorf("got Location %q, want %q", got, want)
			}
		},
		"POST without the last slash": func(t *testing.T, c client) {
			t.Helper()
			a := c.do("POST", "/v2/ns/app/blobs/uploads", "").want(t, http.StatusAccepted)
			c.do("PUT", c.url+a.header.Get("Location")+"?digest="+digest(blob), blob).want(t, http.StatusCreated)
		},
		"stream": func(t *testing.T, c client) {
			t.Helper()
			url := begin(c)
			a := c.send("PATCH", url, io.MultiReader(strings.NewReader(blob))).want(t, http.StatusAccepted)
			if got := a.header.Get("Range"); got != "0-9" {
				t.Errorf("got Range %q, want 0-9", got)
			}
			c.do("PUT", url+"?digest="+digest(blob), "").want(t, http.StatusCreated)
		},
		"chunks": func(t *testing.T, c client) {
			t.Helper()
			url := begin(c)
			a := c.do("PATCH", url, blob[:3], "Content-Range", "0-2", "Content-Type", octets).want(t, http.StatusAccepted)
			if got := a.header.Get("Range"); got != "0-2" {
				t.Errorf("got Range %q, want 0-2", got)
			}
			// A chunk out of order is refused, and told where to go on.
			a = c.do("PATCH", url, blob[5:], "Content-Range", "5-9").want(t, http.StatusRequestedRangeNotSatisfiable)
			if got := a.header.Get("Range"); got != "0-2" || a.header.Get("Location") == "" {
				t.Errorf("got Range %q, Location %q", got, a.header.Get("Location"))
			}
			// So is one that came before.
			c.do("PATCH", url, blob[:3], "Content-Range", "0-2").want(t, http.StatusRequestedRangeNotSatisfiable)
			a = c.do("GET", url, "").want(t, http.StatusNoContent)
			if got := a.header.Get("Range"); got != "0-2" {
				t.Errorf("got Range %q, want 0-2", got)
			}
			c.do("PATCH", url, blob[3:7], "Content-Range", "3-6").want(t, http.StatusAccepted)
			c.do("PUT", url+"?digest="+digest(blob), blob[7:], "Content-Range", "7-9").want(t, http.StatusCreated)
			c.do("GET", url, "").code(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := open(t, registry.Options{})
			c.t = t
			push(t, c)
			if a := c.do("GET", "/v2/ns/app/blobs/"+digest(blob), "").want(t, http.StatusOK); a.body != blob {
				t.Errorf("got %q, want %q", a.body, blob)
			}
			c.do("GET", "/v2/ns/other/blobs/"+digest(blob), "").code(t, http.StatusNotFound, "BLOB_UNKNOWN")
		})
	}
}

func TestPushBlobRefused(t *testing.T) {
	t.Parallel()
	const blob = "0123456789"
	for _, test := range []struct {
		name, method, query, body string
		headers                   []string
		status                    int
		code                      string
		gone                      bool // the upload is given up
	}{
		{name: "no digest", method: "PUT", body: blob, status: 400, code: "DIGEST_INVALID"},
		{name: "no such digest", method: "PUT", query: "?digest=md5:abc", body: blob, status: 400, code: "DIGEST_INVALID"},
		{name: "another digest", method: "PUT", query: "?digest=" + digest("x"), body: blob, status: 400, code: "DIGEST_INVALID", gone: true},
		{name: "range of another length", method: "PATCH", body: blob, headers: []string{"Content-Range", "0-3"}, status: 400, code: "SIZE_INVALID"},
		{name: "range backwards", method: "PATCH", body: blob, headers: []string{"Content-Range", "9-0"}, status: 400, code: "BLOB_UPLOAD_INVALID"},
		{name: "range of words", method: "PATCH", body: blob, headers: []string{"Content-Range", "all"}, status: 400, code: "BLOB_UPLOAD_INVALID"},
		{name: "too large", method: "PATCH", body: strings.Repeat("x", 65), status: 413, code: "SIZE_INVALID", gone: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, c := open(t, registry.Options{MaxBlob: 64})
			url := c.url + c.do("POST", "/v2/ns/app/blobs/uploads/", "").want(t, 202).header.Get("Location")
			c.do(test.method, url+test.query, test.body, test.headers...).code(t, test.status, test.code)
			after := c.do("PUT", url+"?digest="+digest(blob), blob)
			if test.gone {
				after.code(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
			} else {
				after.want(t, http.StatusCreated)
			}
		})
	}
	t.Run("too large without a length", func(t *testing.T) {
		t.Parallel()
		_, c := open(t, registry.Options{MaxBlob: 64})
		url := c.url + c.do("POST", "/v2/ns/app/blobs/uploads/", "").want(t, 202).header.Get("Location")
		c.send("PATCH", url, io.MultiReader(strings.NewReader(strings.Repeat("x", 65)))).code(t, http.StatusRequestEntityTooLarge, "SIZE_INVALID")
	})
	t.Run("of another repository", func(t *testing.T) {
		t.Parallel()
		_, c := open(t, registry.Options{})
		at := c.do("POST", "/v2/ns/app/blobs/uploads/", "").want(t, 202).header.Get("Location")
		at = strings.Replace(at, "/ns/", "/other/", 1)
		c.do("PUT", c.url+at+"?digest="+digest(blob), blob).code(t, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	})
	t.Run("too many", func(t *testing.T) {
		t.Parallel()
		_, c := open(t, registry.Options{MaxUploads: 1})
		at := c.do("POST", "/v2/ns/app/blobs/uploads/", "").want(t, 202).header.Get("Location")
		c.do("POST", "/v2/ns/app/blobs/uploads/", "").code(t, http.StatusTooManyRequests, "TOOMANYREQUESTS")
		c.do("POST", "/v2/other/app/blobs/uploads/", "").want(t, http.StatusAccepted)
		c.do("DELETE", at, "").want(t, http.StatusNoContent)
		c.do("POST", "/v2/ns/app/blobs/uploads/", "").want(t, http.StatusAccepted)
	})
}

func TestMount(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	d := c.push("ns/one", layer)
	t.Run("mounted", func(t *testing.T) {
		a := c.do("POST", "/v2/ns/two/blobs/uploads/?mount="+d+"&from=ns/one", "").want(t, http.StatusCreated)
		if got, want := a.header.Get("Location"), "/v2/ns/two/blobs/"+d; got != want {
			t.Errorf("got Location %q, want %q", got, want)
		}
		if a := c.do("GET", "/v2/ns/two/blobs/"+d, "").want(t, http.StatusOK); a.body != layer {
			t.Errorf("got %q", a.body)
		}
	})
	for name, query := range map[string]string{
		"no such blob":       "mount=" + digest("nothing") + "&from=ns/one",
		"no such repository": "mount=" + d + "&from=ns/none",
		"no name":            "mount=" + d + "&from=../..",
		"no source":          "mount=" + d,
	} {
		t.Run(name, func(t *testing.T) {
			c.do("POST", "/v2/ns/three/blobs/uploads/?"+query, "").want(t, http.StatusAccepted)
			c.do("HEAD", "/v2/ns/three/blobs/"+d, "").want(t, http.StatusNotFound)
		})
	}
}

func TestPushManifest(t *testing.T) {
	t.Parallel()
	index := func(t *testing.T, children ...string) string {
		t.Helper()
		m := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
		for _, child := range children {
			m.Manifests = append(m.Manifests, descriptor(types.OCIManifestSchema1, child))
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	_, c := open(t, registry.Options{})
	m := c.putImage("ns/app", "v1")
	large := manifest(t, func(m *v1.Manifest) {
		m.Annotations = map[string]string{"a": strings.Repeat("x", layout.MaxManifest)}
	})
	for _, test := range []struct {
		name, ref, body, contentType string
		status                       int
		code                         string
	}{
		{name: "by tag", ref: "v2", body: m, status: 201},
		{name: "by digest", ref: digest(m), body: m, status: 201},
		{name: "content type with a parameter", ref: "v3", body: m, contentType: ociManifest + "; charset=utf-8", status: 201},
		{name: "index", ref: "index", body: index(t, m), contentType: string(types.OCIImageIndex), status: 201},
		{name: "index of what is not there", ref: "sparse", body: index(t, "elsewhere"), contentType: string(types.OCIImageIndex), status: 201},
		{name: "empty index", ref: "empty", body: index(t), contentType: string(types.OCIImageIndex), status: 201},
		{name: "under another digest", ref: digest("x"), body: m, status: 400, code: "DIGEST_INVALID"},
		{name: "no JSON", ref: "bad", body: "{", status: 400, code: "MANIFEST_INVALID"},
		{name: "empty", ref: "bad", body: "", status: 400, code: "MANIFEST_INVALID"},
		{name: "no manifest", ref: "bad", body: "{}", status: 400, code: "MANIFEST_INVALID"},
		{name: "as another type", ref: "bad", body: m, contentType: string(types.OCIImageIndex), status: 400, code: "MANIFEST_INVALID"},
		{name: "an unknown type", ref: "bad", body: m, contentType: "application/json", status: 400, code: "MANIFEST_INVALID"},
		{name: "bad tag", ref: "-x", body: m, status: 400, code: "MANIFEST_INVALID"},
		{name: "long tag", ref: strings.Repeat("t", 129), body: m, status: 400, code: "MANIFEST_INVALID"},
		{name: "too large", ref: "bad", body: large, status: 413, code: "SIZE_INVALID"},
		{name: "layer that is not there", ref: "bad", body: manifest(t, func(m *v1.Manifest) {
			m.Layers = []v1.Descriptor{descriptor(types.OCILayer, "nothing")}
		}), status: 404, code: "MANIFEST_BLOB_UNKNOWN"},
		{name: "layer that is not kept here", ref: "foreign", body: manifest(t, func(m *v1.Manifest) {
			m.Layers = []v1.Descriptor{descriptor(types.DockerForeignLayer, "nothing")}
		}), status: 201},
		{name: "layer of another size", ref: "bad", body: manifest(t, func(m *v1.Manifest) { m.Layers[0].Size++ }), status: 400, code: "MANIFEST_INVALID"},
		{name: "subject that is not there", ref: "subject", body: manifest(t, func(m *v1.Manifest) {
			s := descriptor(types.OCIManifestSchema1, "nothing")
			m.Subject = &s
		}), status: 201},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := client{t, c.url}
			contentType := test.contentType
			if contentType == "" {
				contentType = ociManifest
			}
			a := c.do("PUT", "/v2/ns/app/manifests/"+test.ref, test.body, "Content-Type", contentType)
			if test.code != "" {
				a.code(t, test.status, test.code)
				return
			}
			a.want(t, test.status)
			if got, want := a.header.Get("Docker-Content-Digest"), digest(test.body); got != want {
				t.Errorf("got digest %s, want %s", got, want)
			}
			if a := c.do("GET", a.header.Get("Location"), "").want(t, http.StatusOK); a.body != test.body {
				t.Errorf("got %q, want %q", a.body, test.body)
			}
		})
	}
}

func TestSHA512(t *testing.T) {
	t.Parallel()
	r, c := open(t, registry.Options{})
	sha512Digest := func(s string) string {
		sum := sha512.Sum512([]byte(s))
		return "sha512:" + hex.EncodeToString(sum[:])
	}
	d := sha512Digest(layer)
	c.do("POST", "/v2/ns/app/blobs/uploads/?digest="+d, layer).want(t, http.StatusCreated)
	c.do("POST", "/v2/ns/app/blobs/uploads/?digest="+d, "other").code(t, http.StatusBadRequest, "DIGEST_INVALID")
	if a := c.do("GET", "/v2/ns/app/blobs/"+d, "").want(t, http.StatusOK); a.body != layer {
		t.Errorf("got %q", a.body)
	}
	c.do("GET", "/v2/ns/app/blobs/"+digest(layer), "").code(t, http.StatusNotFound, "BLOB_UNKNOWN")
	hash, err := layout.ParseDigest(d)
	if err != nil {
		t.Fatal(err)
	}
	withLayer := `{"os":"linux","rootfs":{"type":"layers","diff_ids":["` + d + `"]}}`
	c.push("ns/app", withLayer)
	m := manifest(t, func(m *v1.Manifest) {
		m.Config = descriptor(types.OCIConfigJSON, withLayer)
		m.Layers[0].Digest = hash
	})
	ref := sha512Digest(m)
	c.do("PUT", "/v2/ns/app/manifests/"+ref, m+" ", "Content-Type", ociManifest).code(t, http.StatusBadRequest, "DIGEST_INVALID")
	a := c.do("PUT", "/v2/ns/app/manifests/"+ref, m, "Content-Type", ociManifest).want(t, http.StatusCreated)
	if got := a.header.Get("Docker-Content-Digest"); got != ref {
		t.Errorf("got digest %s", got)
	}
	if a := c.do("GET", "/v2/ns/app/manifests/"+ref, "").want(t, http.StatusOK); a.body != m {
		t.Errorf("got %q", a.body)
	}
	image, err := r.Image(t.Context(), "ns/app@"+ref, "")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := image.Layers[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(opened); err != nil || string(data) != layer {
		t.Errorf("got %q, %v", data, err)
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Remove(t.Context(), "ns/app@"+ref); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prune(t.Context(), "", -time.Hour, false); err != nil {
		t.Fatal(err)
	}
	c.do("HEAD", "/v2/ns/app/blobs/"+d, "").want(t, http.StatusNotFound)
}
