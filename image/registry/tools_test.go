package registry_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/micro/micro/v3/image/registry"
)

// The tests in this file let the tools that people use speak to the registry.

// tool returns a program's path. The test is skipped where it is not installed,
// unless everything is to be tested.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("MICRO_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

func (c client) host() string { return strings.TrimPrefix(c.url, "http://") }

func TestRemote(t *testing.T) {
	t.Parallel()
	_, c := open(t, registry.Options{})
	repository, err := name.NewRepository(c.host()+"/ns/app", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1024, 3)
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(1024, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repository.Tag("v1"), image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(repository.Tag("all"), index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Image(repository.Tag("v1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
	gotIndex, err := remote.Index(repository.Tag("all"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(gotIndex); err != nil {
		t.Error(err)
	}
	tags, err := remote.List(repository, remote.WithPageSize(1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"all", "v1"}, tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}

	desc, err := partial.Descriptor(image)
	if err != nil {
		t.Fatal(err)
	}
	artifact, ok := mutate.Subject(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/note"), *desc).(v1.Image)
	if !ok {
		t.Fatal("no image")
	}
	digest, err := artifact.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repository.Digest(digest.String()), artifact); err != nil {
		t.Fatal(err)
	}
	referrers, err := remote.Referrers(repository.Digest(desc.Digest.String()), remote.WithFilter("artifactType", "application/note"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest != digest {
		t.Errorf("referrers: %+v", manifest.Manifests)
	}

	other, err := name.NewRepository(c.host()+"/ns/other", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(other.Tag("v1"), got); err != nil { // mounts
		t.Fatal(err)
	}
	if err := remote.Delete(repository.Digest(desc.Digest.String())); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Image(repository.Tag("v1")); err == nil {
		t.Error("a deleted image is still there")
	}
	if got, err = remote.Image(other.Tag("v1")); err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
}

func TestSkopeo(t *testing.T) {
	t.Parallel()
	skopeo := tool(t, "skopeo")
	_, c := open(t, registry.Options{
		Challenge: func(*http.Request) string { return `Basic realm="micro"` },
		Authorize: func(_ context.Context, r *http.Request, _ string, _ registry.Action) error {
			if r.Header.Get("Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:secret")) {
				return registry.ErrUnauthenticated
			}
			return nil
		},
	})
	_, free := open(t, registry.Options{})
	repository, err := name.NewRepository(free.host()+"/ns/app", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(4096, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(repository.Tag("v1"), index); err != nil {
		t.Fatal(err)
	}
	want, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}

	source, target := "docker://"+free.host()+"/ns/app", "docker://"+c.host()+"/other/app"
	run(t, skopeo, "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", "--dest-creds=alice:secret", source+":v1", target+":v2")
	dir := t.TempDir()
	run(t, skopeo, "copy", "--all", "--src-tls-verify=false", "--src-creds=alice:secret", target+"@"+want.String(), "oci:"+dir+":v3")
	run(t, skopeo, "copy", "--all", "--dest-tls-verify=false", "--dest-creds=alice:secret", "oci:"+dir+":v3", target+":v3")
	out := run(t, skopeo, "list-tags", "--tls-verify=false", "--creds=alice:secret", target)
	if !strings.Contains(out, `"v2"`) || !strings.Contains(out, `"v3"`) {
		t.Errorf("tags: %s", out)
	}
	run(t, skopeo, "delete", "--tls-verify=false", "--creds=alice:secret", target+":v3")
	if err := exec.CommandContext(t.Context(), skopeo, "inspect", "--raw", "--tls-verify=false", "--creds=alice:wrong", target+":v2").Run(); err == nil {
		t.Error("a wrong password was accepted")
	}
	if out := run(t, skopeo, "inspect", "--raw", "--tls-verify=false", "--creds=alice:secret", target+":v2"); !strings.Contains(out, string(types.OCIImageIndex)) {
		t.Errorf("got %s", out)
	}
}

// TestLayoutOfRepository lets another tool read the files of a repository.
func TestLayoutOfRepository(t *testing.T) {
	t.Parallel()
	skopeo := tool(t, "skopeo")
	dir := t.TempDir()
	r, err := registry.Open(dir, registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	defer s.Close()
	c := client{t, s.URL}
	m := c.putImage("ns/app", "v1")
	if got := run(t, skopeo, "inspect", "--raw", "oci:"+filepath.Join(dir, "ns", "app")+":v1"); got != m {
		t.Errorf("got %s, want %s", got, m)
	}
}

func TestPodman(t *testing.T) {
	t.Parallel()
	podman := tool(t, "podman")
	_, c := open(t, registry.Options{})
	root := t.TempDir()
	args := func(args ...string) []string {
		return append([]string{"--root", filepath.Join(root, "root"), "--runroot", filepath.Join(root, "run"), "--storage-driver", "vfs"}, args...)
	}
	if out, err := exec.CommandContext(t.Context(), podman, args("info")...).CombinedOutput(); err != nil {
		if os.Getenv("MICRO_TEST_ALL") != "" {
			t.Fatalf("%v: %s", err, out)
		}
		t.Skipf("podman does not work here: %v", err)
	}
	archive := filepath.Join(root, "root.tar")
	if err := os.WriteFile(archive, emptyTar(), 0o600); err != nil {
		t.Fatal(err)
	}
	ref := c.host() + "/ns/app:v1"
	run(t, podman, args("import", archive, ref)...)
	run(t, podman, args("push", "--tls-verify=false", ref)...)
	run(t, podman, args("rmi", ref)...)
	run(t, podman, args("pull", "--tls-verify=false", ref)...)
	if out := run(t, podman, args("images", "--format", "{{.Repository}}:{{.Tag}}")...); strings.TrimSpace(out) != ref {
		t.Errorf("got %q, want %q", out, ref)
	}
	run(t, podman, args("rmi", ref)...)
}

func emptyTar() []byte { return make([]byte, 1024) }
