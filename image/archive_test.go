package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// writeArchive returns an image as a tar file.
func writeArchive(tb testing.TB, i *Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := i.WriteArchive(tb.Context(), &b, i.Name(), "v1"); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// untar unpacks an archive into a directory.
func untar(tb testing.TB, data []byte) string {
	tb.Helper()
	dir := tb.TempDir()
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			tb.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		write(tb, dir, map[string]string{h.Name: string(content)})
	}
}

// An archive is an image layout and a Docker archive at once, of one platform and of
// several.
func TestWriteArchive(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain, "proto/helloworld.proto": helloProto})
	for _, platforms := range [][]string{{"linux/amd64"}, {"linux/arm64", "linux/amd64"}} {
		t.Run(strings.Join(platforms, " "), func(t *testing.T) {
			t.Parallel()
			i := buildImage(t, s, BuildOptions{Platforms: platforms})
			data := writeArchive(t, i)
			if again := writeArchive(t, i); !bytes.Equal(data, again) {
				t.Error("the same image gives another archive")
			}
			dir := untar(t, data)
			path, err := ggcr.FromPath(dir)
			if err != nil {
				t.Fatal(err)
			}
			index, err := path.ImageIndex()
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Index(index, validate.Fast); err != nil {
				t.Error(err)
			}
			list, err := index.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Manifests) != 1 || list.Manifests[0].Digest.String() != i.Digest() ||
				list.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "v1" {
				t.Errorf("index.json names %+v", list.Manifests)
			}
			file := filepath.Join(t.TempDir(), "image.tar")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			docker, err := tarball.ImageFromPath(file, nil)
			if err != nil {
				t.Fatal(err)
			}
			config, err := docker.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(platforms, "linux/"+config.Architecture) || len(config.RootFS.DiffIDs) != 2 {
				t.Errorf("Docker finds %+v", config)
			}
		})
	}
}

// An index has an image for each platform, each the same as when it is built alone.
func TestBuildPlatforms(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain, "proto/helloworld.proto": helloProto})
	cache := t.TempDir()
	both := buildImage(t, s, BuildOptions{Platforms: []string{"linux/amd64", "linux/arm64"}, CacheDir: cache})
	var alone []Platform
	for _, p := range []string{"linux/amd64", "linux/arm64"} {
		i := buildImage(t, s, BuildOptions{Platforms: []string{p}, CacheDir: cache})
		if i.Digest() != i.Platforms()[0].Digest || i.Digest() == both.Digest() {
			t.Errorf("%s: %s and %s", p, i.Digest(), i.Platforms()[0].Digest)
		}
		alone = append(alone, i.Platforms()...)
	}
	if diff := cmp.Diff(alone, both.Platforms()); diff != "" {
		t.Errorf("alone (-) and together (+):\n%s", diff)
	}
	r := newTestRegistry(t, httptest.NewServer, "")
	ref, err := both.Push(t.Context(), PushOptions{Registry: r.host(), Repository: "micro/app", Tag: "v1", PlainHTTP: true, Token: give("")})
	if err != nil {
		t.Fatal(err)
	}
	for n, platform := range []string{"linux/amd64", "linux/arm64"} {
		got, err := r.Image(t.Context(), ref, platform)
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest != alone[n].Digest {
			t.Errorf("for %s there is %s, want %s", platform, got.Digest, alone[n].Digest)
		}
		files(t, got) // checks the digests
		for _, kind := range []string{SchemaType, SBOMType, RecordType} {
			if _, err := r.Attachment(t.Context(), "micro/app@"+got.Digest, kind, 1<<20); err != nil {
				t.Errorf("%s: %v", platform, err)
			}
		}
	}
	for _, kind := range []string{SchemaType, SBOMType} {
		if _, err := r.Attachment(t.Context(), ref, kind, 1<<20); err != nil {
			t.Error(err)
		}
	}
	// Base, {} and schema once, program, configuration and record of each, three SBOMs.
	if n := r.sent(http.MethodPatch); n != 12 {
		t.Errorf("%d blobs were sent, want 12", n)
	}
}

// A program that was built by somebody else becomes an image as it is.
func TestBuildProgram(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain})
	file := filepath.Join(t.TempDir(), "My_Server")
	compile := func(file, goos, goarch string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, ".")
		cmd.Dir, cmd.Env = s.Dir, append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, platform := range []string{"linux/arm64", "windows/amd64", "linux/amd64"} {
		goos, goarch, _ := strings.Cut(platform, "/")
		compile(file, goos, goarch)
		got, err := Fetch(t.Context(), file, FetchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		i := buildImage(t, got, BuildOptions{})
		if i.Name() != "my-server" || i.Platforms()[0].Platform != platform {
			t.Errorf("got %s for %v, want my-server for %s", i.Name(), i.Platforms(), platform)
		}
		entries, content := files(t, open(t, i))
		program := "app/my-server"
		if goos == "windows" {
			program += ".exe"
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if content[program] != string(want) {
			t.Errorf("the program of %s is not in the image: %v", platform, entries)
		}
	}
	got, err := Fetch(t.Context(), file, FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Build(t.Context(), got, BuildOptions{Platforms: []string{"linux/arm64"}}); !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), "linux/amd64") {
		t.Errorf("for another platform: %v", err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"script": "#!/bin/sh\n", "empty": "", "text": "hello", "cut": string(data[:100]), "page": string(data[:4096]), "main.go": goMain,
	})
	for name := range map[string]bool{"script": true, "empty": true, "text": true, "cut": true, "page": true} {
		got, err := Fetch(t.Context(), filepath.Join(dir, name), FetchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if i, err := Build(t.Context(), got, BuildOptions{}); !errors.Is(err, ErrProgram) {
			// What has its headers is a program to everybody but the one who runs it.
			if name != "page" || err != nil {
				t.Errorf("%s: got %v, want %v", name, err, ErrProgram)
			} else if err := i.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := Fetch(t.Context(), filepath.Join(dir, "main.go"), FetchOptions{}); err == nil {
		t.Error("a file of Go was taken")
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"registry.example.com/team/app:v1": true, "localhost/app": true, "127.0.0.1:8081/micro/app": true,
		"ghcr.io/o/app@sha256:" + strings.Repeat("0", 64): true,
		"team/app": false, "app": false, "./app": false, "../x/app": false, "/tmp/app": false, "a.b/": false, "a.b/A": false, "": false,
	} {
		if got := IsReference(s); got != want {
			t.Errorf("%q: got %t, want %t", s, got, want)
		}
	}
	registry, repository, tag, err := SplitReference("127.0.0.1:8081/micro/app")
	if err != nil || registry != "127.0.0.1:8081" || repository != "micro/app" || tag != "latest" {
		t.Errorf("got %q %q %q %v", registry, repository, tag, err)
	}
}

// What an engine saved is read where it lies, and nothing of it is believed.
func TestReadArchive(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain})
	i := buildImage(t, s, BuildOptions{Platforms: []string{"linux/amd64"}})
	data := writeArchive(t, i)
	read := func(data []byte) (part, error) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return readArchive(f, map[string]string{titleLabel: "app"})
	}
	got, err := read(data)
	if err != nil {
		t.Fatal(err)
	}
	if got.descriptor.Digest.String() != i.Digest() || got.platform.String() != "linux/amd64" {
		t.Errorf("got %s for %s, want %s", got.descriptor.Digest, got.platform.String(), i.Digest())
	}
	layer := blobName(i.parts[0].layers[0].digest)
	for name, broken := range map[string][]byte{
		"cut":           data[:len(data)/2],
		"empty":         nil,
		"no manifest":   bytes.ReplaceAll(data, []byte("manifest.json"), []byte("manifest.jsoff")[:13]),
		"no layer":      bytes.Replace(data, []byte(layer), []byte("blobs/sha256/"+strings.Repeat("0", 64)), 1),
		"changed layer": bytes.Replace(data, []byte("nobody:x:65532"), []byte("nobody:x:65533"), 1),
		"bad json":      bytes.Replace(data, []byte(`[{"Config":`), []byte(`{{"Config":`), 1),
	} {
		if _, err := read(broken); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
