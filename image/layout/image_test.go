package layout_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/micro/micro/v3/image/layout"
)

func gzipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t *testing.T, s string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(s), nil)
}

// blob is a layer: how it is stored, and what it should hold.
type blob struct {
	mediaType types.MediaType
	stored    []byte
	content   string // nothing else is said in the configuration
}

// store puts an image of layers under a tag.
func store(t *testing.T, l *layout.Layout, tag string, platform v1.Platform, blobs ...blob) v1.Descriptor {
	t.Helper()
	config := v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		Config: v1.Config{
			Entrypoint: []string{"/app/x"}, Cmd: []string{"-v"}, Env: []string{"A=b"},
			WorkingDir: "/", User: "65532:65532", Labels: map[string]string{"k": "v"},
		},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}}
	for _, b := range blobs {
		add(t, l, string(b.stored))
		m.Layers = append(m.Layers, describe(b.mediaType, b.stored))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layout.Digest([]byte(b.content)))
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, string(data))
	m.Config = describe(types.OCIConfigJSON, data)
	if data, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	desc, err := l.PutManifest(data, m.MediaType, tag)
	if err != nil {
		t.Fatal(err)
	}
	desc.Platform = &platform
	return desc
}

func read(t *testing.T, layer layout.Layer) (string, error) {
	t.Helper()
	r, err := layer.Open()
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	return string(data), errors.Join(err, r.Close())
}

func TestImage(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	desc := store(t, l, "v1", v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"},
		blob{types.OCIUncompressedLayer, []byte("plain"), "plain"},
		blob{types.OCILayer, gzipped(t, "gzipped"), "gzipped"},
		blob{types.OCILayerZStd, zstandard(t, "zstandard"), "zstandard"},
		blob{types.OCIUncompressedLayer, nil, ""},
	)
	want := &layout.Image{
		Digest: desc.Digest.String(),
		OS:     "linux", Architecture: "arm64", Variant: "v8",
		Entrypoint: []string{"/app/x"}, Cmd: []string{"-v"}, Env: []string{"A=b"},
		WorkingDir: "/", User: "65532:65532", Labels: map[string]string{"k": "v"},
	}
	for _, ref := range []string{"v1", desc.Digest.String()} {
		got, err := l.Image(ref, "linux/amd64", 9)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(layout.Image{}, "Layers")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for i, content := range []string{"plain", "gzipped", "zstandard", ""} {
			layer := got.Layers[i]
			if layer.DiffID != layout.Digest([]byte(content)).String() {
				t.Errorf("layer %d has the digest %s", i, layer.DiffID)
			}
			if got, err := read(t, layer); err != nil || got != content {
				t.Errorf("layer %d: got %q, %v, want %q", i, got, err, content)
			}
		}
	}
	if _, err := l.Image("none", "", 1); !errors.Is(err, layout.ErrNotFound) {
		t.Errorf("got %v, want %v", err, layout.ErrNotFound)
	}
}

func TestLayerHostile(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		name string
		blob blob
		want error // nil: any
	}{
		{"plain over the limit", blob{types.OCIUncompressedLayer, []byte(large), large}, layout.ErrTooLarge},
		{"gzip bomb", blob{types.OCILayer, gzipped(t, large), large}, layout.ErrTooLarge},
		{"zstandard bomb", blob{types.OCILayerZStd, zstandard(t, large), large}, layout.ErrTooLarge},
		{"other content", blob{types.OCIUncompressedLayer, []byte("abc"), "abd"}, layout.ErrDigest},
		{"other compressed content", blob{types.OCILayer, gzipped(t, "abc"), "abd"}, layout.ErrDigest},
		{"no gzip", blob{types.OCILayer, []byte("abc"), "abc"}, nil},
		{"no zstandard", blob{types.OCILayerZStd, []byte("abcdefgh"), "abcdefgh"}, nil},
		{"cut gzip", blob{types.OCILayer, gzipped(t, "abc")[:14], "abc"}, io.ErrUnexpectedEOF},
		{"cut zstandard", blob{types.OCILayerZStd, zstandard(t, large)[:20], large}, io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := layout.New(t.TempDir(), "")
			store(t, l, "v1", v1.Platform{OS: "linux", Architecture: "amd64"}, test.blob)
			image, err := l.Image("v1", "", 1<<20-1)
			if err != nil {
				t.Fatal(err)
			}
			_, err = read(t, image.Layers[0])
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	t.Run("exactly the limit", func(t *testing.T) {
		t.Parallel()
		l := layout.New(t.TempDir(), "")
		store(t, l, "v1", v1.Platform{OS: "linux"}, blob{types.OCILayer, gzipped(t, large), large})
		image, err := l.Image("v1", "", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := read(t, image.Layers[0]); err != nil || got != large {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
	t.Run("unknown compression", func(t *testing.T) {
		t.Parallel()
		l := layout.New(t.TempDir(), "")
		store(t, l, "v1", v1.Platform{OS: "linux"}, blob{"application/vnd.oci.image.layer.v1.tar+rar", []byte("x"), "x"})
		if _, err := l.Image("v1", "", 1); !errors.Is(err, layout.ErrInvalid) {
			t.Errorf("got %v, want %v", err, layout.ErrInvalid)
		}
	})
	t.Run("lost layer", func(t *testing.T) {
		t.Parallel()
		l := layout.New(t.TempDir(), "")
		store(t, l, "v1", v1.Platform{OS: "linux"}, blob{types.OCIUncompressedLayer, []byte("x"), "x"})
		if err := os.Remove(filepath.Join(l.Dir(), "blobs", "sha256", layout.Digest([]byte("x")).Hex)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Image("v1", "", 1); !errors.Is(err, layout.ErrNotFound) {
			t.Errorf("got %v, want %v", err, layout.ErrNotFound)
		}
	})
}

func TestPlatform(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	platform := func(s string) v1.Platform {
		p, err := v1.ParsePlatform(s)
		if err != nil {
			t.Fatal(err)
		}
		return *p
	}
	index := func(tag string, children ...v1.Descriptor) v1.Descriptor {
		data, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: children})
		if err != nil {
			t.Fatal(err)
		}
		desc, err := l.PutManifest(data, types.OCIImageIndex, tag)
		if err != nil {
			t.Fatal(err)
		}
		return desc
	}
	attestation := put(t, l, "attestation", "", nil)
	amd64 := store(t, l, "", platform("linux/amd64"))
	arm64 := store(t, l, "", platform("linux/arm64/v8"))
	armv6 := store(t, l, "", platform("linux/arm/v6"))
	armv7 := store(t, l, "", platform("linux/arm/v7"))
	unknown := platform("unknown/unknown")
	index("all", v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: attestation, Platform: &unknown}, amd64, arm64, armv6, armv7)
	index("one", amd64, v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: attestation, Platform: &unknown})
	lost := platform("linux/amd64")
	index("lost", v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: layout.Digest([]byte("lost")), Platform: &lost})
	nested := index("")
	for range 4 {
		nested = index("nested", nested)
	}

	for _, test := range []struct {
		name, tag, platform string
		want                v1.Descriptor
		err                 error
	}{
		{name: "exact", tag: "all", platform: "linux/amd64", want: amd64},
		{name: "without a variant", tag: "all", platform: "linux/arm64", want: arm64},
		{name: "variant", tag: "all", platform: "linux/arm/v7", want: armv7},
		{name: "variant by its other name", tag: "all", platform: "linux/arm64/v8", want: arm64},
		{name: "none", tag: "all", platform: "windows/amd64", err: layout.ErrPlatform},
		{name: "no variant", tag: "all", platform: "linux/arm/v5", err: layout.ErrPlatform},
		{name: "not said", tag: "all", err: layout.ErrPlatform},
		{name: "not said and not needed", tag: "one", want: amd64},
		{name: "not here", tag: "lost", platform: "linux/amd64", err: layout.ErrNotFound},
		{name: "nested", tag: "nested", err: layout.ErrInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := l.Image(test.tag, test.platform, 1)
			if !errors.Is(err, test.err) {
				t.Fatalf("got %v, want %v", err, test.err)
			}
			if err == nil && got.Digest != test.want.Digest.String() {
				t.Errorf("got %s/%s/%s", got.OS, got.Architecture, got.Variant)
			}
		})
	}
}

func TestAttachment(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	image := put(t, l, "image", "v1", nil)
	for _, content := range []string{"old", "new"} {
		add(t, l, content)
		put(t, l, content, "", func(m *v1.Manifest) {
			m.ArtifactType = "application/schema"
			m.Layers = []v1.Descriptor{describe("application/schema", []byte(content))}
			m.Subject = &v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: image}
		})
	}
	if got, err := l.Attachment("v1", "application/schema", 3); err != nil || string(got) != "new" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := l.Attachment(image.String(), "application/schema", 2); !errors.Is(err, layout.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, layout.ErrTooLarge)
	}
	if _, err := l.Attachment("v1", "application/other", 3); !errors.Is(err, layout.ErrNotFound) {
		t.Errorf("got %v, want %v", err, layout.ErrNotFound)
	}
}
