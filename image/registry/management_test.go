package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/micro/micro/v3/image/registry"
)

// The tests in this file take the requirements of the distribution
// specification about tags, referrers, removal and permission one after the other, in its words.

func TestTags(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	m := c.putImage("ns/app", "b")
	for _, tag := range []string{"d", "a", "C", "b"} {
		c.do("PUT", "/v2/ns/app/manifests/"+tag, m, "Content-Type", ociManifest).want(t, http.StatusCreated)
	}
	for _, test := range []struct {
		name, query string
		want        []string
		next        string
	}{
		{name: "all", want: []string{"C", "a", "b", "d"}},
		{name: "first", query: "?n=2", want: []string{"C", "a"}, next: `</v2/ns/app/tags/list?last=a&n=2>; rel="next"`},
		{name: "next", query: "?n=2&last=a", want: []string{"b", "d"}},
		{name: "more than there are", query: "?n=9", want: []string{"C", "a", "b", "d"}},
		{name: "none", query: "?n=0", want: []string{}},
		{name: "after one that is not there", query: "?last=bb", want: []string{"d"}},
		{name: "after the last", query: "?last=d", want: []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := client{t, c.url}
			a := c.do("GET", "/v2/ns/app/tags/list"+test.query, "").want(t, http.StatusOK)
			var got struct {
				Name string
				Tags []string
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatal(err)
			}
			if got.Name != "ns/app" {
				t.Errorf("got name %q", got.Name)
			}
			if diff := cmp.Diff(test.want, got.Tags); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			if got := a.header.Get("Link"); got != test.next {
				t.Errorf("got Link %q, want %q", got, test.next)
			}
		})
	}
	c.do("GET", "/v2/ns/app/tags/list?n=x", "").code(t, http.StatusBadRequest, "UNSUPPORTED")
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	image := c.putImage("ns/app", "v1")
	subject := descriptor(types.OCIManifestSchema1, image)
	attach := func(artifactType, note string) v1.Descriptor {
		m := manifest(t, func(m *v1.Manifest) {
			m.Subject, m.ArtifactType = &subject, artifactType
			m.Annotations = map[string]string{"note": note}
		})
		a := c.do("PUT", "/v2/ns/app/manifests/"+digest(m), m, "Content-Type", ociManifest).want(t, http.StatusCreated)
		if got := a.header.Get("OCI-Subject"); got != subject.Digest.String() {
			t.Errorf("got OCI-Subject %q", got)
		}
		d := descriptor(types.OCIManifestSchema1, m)
		d.Annotations, d.ArtifactType = map[string]string{"note": note}, artifactType
		if artifactType == "" { // the configuration tells
			d.ArtifactType = string(types.OCIConfigJSON)
		}
		return d
	}
	sbom := attach("application/sbom", "one")
	schema := attach("application/schema", "two")
	plain := attach("", "three")
	none := []v1.Descriptor{}

	for _, test := range []struct {
		name, path string
		filtered   bool
		want       []v1.Descriptor
	}{
		{name: "all", path: subject.Digest.String(), want: []v1.Descriptor{sbom, schema, plain}},
		{name: "of a type", path: subject.Digest.String() + "?artifactType=application/schema", filtered: true, want: []v1.Descriptor{schema}},
		{name: "of no type", path: subject.Digest.String() + "?artifactType=application/none", filtered: true, want: none},
		{name: "of nothing", path: digest("nothing"), want: none},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := c.do("GET", "/v2/ns/app/referrers/"+test.path, "").want(t, http.StatusOK)
			if got := a.header.Get("Content-Type"); got != string(types.OCIImageIndex) {
				t.Errorf("got Content-Type %q", got)
			}
			if got := a.header.Get("OCI-Filters-Applied") == "artifactType"; got != test.filtered {
				t.Errorf("filtered is %t, want %t", got, test.filtered)
			}
			var got v1.IndexManifest
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatal(err)
			}
			want := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: test.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	c.do("GET", "/v2/ns/app/referrers/latest", "").code(t, http.StatusBadRequest, "DIGEST_INVALID")
	c.do("DELETE", "/v2/ns/app/manifests/"+sbom.Digest.String(), "").want(t, http.StatusAccepted)
	if a := c.do("GET", "/v2/ns/app/referrers/"+subject.Digest.String(), ""); strings.Contains(a.body, sbom.Digest.String()) {
		t.Errorf("a deleted manifest still refers: %s", a.body)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	m := c.putImage("ns/app", "v1")
	c.putImage("ns/app", "v2")
	blob := "/v2/ns/app/blobs/" + digest(layer)

	c.do("DELETE", "/v2/ns/app/manifests/none", "").code(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	c.do("DELETE", "/v2/ns/app/manifests/v1", "").want(t, http.StatusAccepted)
	c.do("GET", "/v2/ns/app/manifests/v1", "").code(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	c.do("GET", "/v2/ns/app/manifests/"+digest(m), "").want(t, http.StatusOK)
	c.do("DELETE", blob, "").code(t, http.StatusConflict, "DENIED")
	c.do("DELETE", "/v2/ns/app/blobs/"+digest(m), "").code(t, http.StatusConflict, "DENIED")
	c.do("DELETE", "/v2/ns/app/manifests/"+digest(m), "").want(t, http.StatusAccepted)
	c.do("GET", "/v2/ns/app/manifests/"+digest(m), "").code(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	c.do("GET", "/v2/ns/app/manifests/v2", "").code(t, http.StatusNotFound, "MANIFEST_UNKNOWN")
	c.do("DELETE", blob, "").want(t, http.StatusAccepted)
	c.do("GET", blob, "").code(t, http.StatusNotFound, "BLOB_UNKNOWN")
	c.do("DELETE", blob, "").code(t, http.StatusNotFound, "BLOB_UNKNOWN")
	if a := c.do("GET", "/v2/ns/app/tags/list", "").want(t, http.StatusOK); !strings.Contains(a.body, `"tags":[]`) {
		t.Errorf("got %s", a.body)
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	type ask struct {
		repository string
		action     registry.Action
	}
	asked := make(chan ask, 16)
	_, c := open(t, registry.Options{
		Challenge: func(*http.Request) string { return `Bearer realm="here"` },
		Authorize: func(_ context.Context, r *http.Request, repository string, action registry.Action) error {
			asked <- ask{repository, action}
			switch r.Header.Get("Authorization") {
			case "":
				return registry.ErrUnauthenticated
			case "Bearer bad":
				return fmt.Errorf("alice: %w", registry.ErrDenied)
			case "Bearer broken":
				return io.ErrUnexpectedEOF
			}
			return nil
		},
	})
	for _, test := range []struct {
		name, method, path, token string
		want                      ask
		status                    int
		code                      string
	}{
		{name: "who", method: "GET", path: "/v2/", status: 401, code: "UNAUTHORIZED", want: ask{"", registry.Pull}},
		{name: "base", method: "GET", path: "/v2/", token: "good", status: 200, want: ask{"", registry.Pull}},
		{name: "pull", method: "GET", path: "/v2/ns/app/manifests/v1", token: "bad", status: 403, code: "DENIED", want: ask{"ns/app", registry.Pull}},
		{name: "push", method: "POST", path: "/v2/ns/app/blobs/uploads/", token: "bad", status: 403, code: "DENIED", want: ask{"ns/app", registry.Push}},
		{name: "put", method: "PUT", path: "/v2/ns/app/manifests/v1", token: "bad", status: 403, code: "DENIED", want: ask{"ns/app", registry.Push}},
		{name: "delete", method: "DELETE", path: "/v2/ns/app/manifests/v1", token: "bad", status: 403, code: "DENIED", want: ask{"ns/app", registry.Delete}},
		{name: "cancel", method: "DELETE", path: "/v2/ns/app/blobs/uploads/x", token: "bad", status: 403, code: "DENIED", want: ask{"ns/app", registry.Push}},
		{name: "broken", method: "GET", path: "/v2/ns/app/manifests/v1", token: "broken", status: 500, code: "UNKNOWN", want: ask{"ns/app", registry.Pull}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var headers []string
			if test.token != "" {
				headers = []string{"Authorization", "Bearer " + test.token}
			}
			a := c.do(test.method, test.path, "", headers...)
			if test.code != "" {
				a.code(t, test.status, test.code)
			} else {
				a.want(t, test.status)
			}
			if got := <-asked; got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			challenge := a.header.Get("WWW-Authenticate")
			if (test.status == 401) != (challenge == `Bearer realm="here"`) {
				t.Errorf("got challenge %q", challenge)
			}
			if strings.Contains(a.body, "EOF") || strings.Contains(a.body, "alice") {
				t.Errorf("the answer tells too much: %s", a.body)
			}
		})
	}
}

// TestMountAuthorize holds that a mount reads from no repository that its
// sender may not read.
func TestMountAuthorize(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{
		Authorize: func(_ context.Context, r *http.Request, repository string, _ registry.Action) error {
			if !strings.HasPrefix(repository, r.Header.Get("Namespace")+"/") {
				return registry.ErrDenied
			}
			return nil
		},
	})
	const secret = "secret"
	c.do("POST", "/v2/alice/app/blobs/uploads/?digest="+digest(secret), secret, "Namespace", "alice").want(t, http.StatusCreated)
	c.do("POST", "/v2/bob/app/blobs/uploads/?mount="+digest(secret)+"&from=alice/app", "", "Namespace", "bob").want(t, http.StatusAccepted)
	c.do("GET", "/v2/bob/app/blobs/"+digest(secret), "", "Namespace", "bob").code(t, http.StatusNotFound, "BLOB_UNKNOWN")
}

func TestManyClients(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	c.push("ns/app", config)
	c.push("ns/app", layer)
	const clients = 8
	var wg sync.WaitGroup
	for i := range clients {
		m := manifest(t, func(m *v1.Manifest) { m.Annotations = map[string]string{"i": strconv.Itoa(i)} })
		wg.Go(func() {
			if a := c.do("PUT", "/v2/ns/app/manifests/t"+strconv.Itoa(i), m, "Content-Type", ociManifest); a.status != http.StatusCreated {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	a := c.do("GET", "/v2/ns/app/tags/list", "").want(t, http.StatusOK)
	if got := strings.Count(a.body, `"t`) - 1; got != clients {
		t.Errorf("got %d tags, want %d: %s", got, clients, a.body)
	}
}

// What somebody needs can neither be deleted nor pruned, with a tag or without.
func TestNeeded(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var needed []string
	r, c := open(t, registry.Options{Needed: func(_ context.Context, namespace string) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		if namespace != "ns" {
			return nil, errors.New("not asked for")
		}
		return needed, nil
	}})
	need := func(refs ...string) {
		mu.Lock()
		defer mu.Unlock()
		needed = refs
	}
	d := digest(c.putImage("ns/app", "v1"))
	need("ns/app@"+d, "ns/app:v1", "", "other/app@"+d)
	c.do("DELETE", "/v2/ns/app/manifests/"+d, "").code(t, http.StatusConflict, "DENIED")
	for _, ref := range []string{"ns/app@" + d, "ns/app"} {
		if err := r.Remove(t.Context(), ref); !errors.Is(err, registry.ErrInUse) {
			t.Errorf("%s: got %v, want %v", ref, err, registry.ErrInUse)
		}
	}
	if err := r.Remove(t.Context(), "ns/app:v1"); err != nil { // the tag alone
		t.Error(err)
	}
	prune := func(want int) {
		t.Helper()
		swept, err := r.Prune(t.Context(), "ns", -time.Hour, false)
		if err != nil || swept.Manifests != want {
			t.Errorf("pruned %+v, %v, want %d manifests", swept, err, want)
		}
	}
	prune(0)
	list, size, err := r.List(t.Context(), "ns")
	if err != nil || len(list) != 1 || !list[0].InUse || list[0].Repository != "ns/app" || size == 0 {
		t.Errorf("got %+v of %d bytes, %v", list, size, err)
	}
	need()
	prune(1)
	if list, size, err = r.List(t.Context(), "ns"); err != nil || len(list) != 0 || size != 0 {
		t.Errorf("got %+v of %d bytes, %v", list, size, err)
	}
	if err := r.Remove(t.Context(), "ns/none"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("got %v, want %v", err, registry.ErrNotFound)
	}

	// When nobody can say what is needed, nothing goes.
	c.putImage("foreign/app", "v1")
	if _, err := r.Prune(t.Context(), "", -time.Hour, false); err == nil {
		t.Error("no error")
	}
	if err := r.Exists(t.Context(), "foreign/app@"+d); err != nil {
		t.Error(err)
	}
}
