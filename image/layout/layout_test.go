package layout_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/micro/micro/v3/image/layout"
)

func add(t *testing.T, l *layout.Layout, content string) v1.Hash {
	t.Helper()
	d := layout.Digest([]byte(content))
	if err := l.AddBlob(d, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

func describe(t types.MediaType, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: t, Digest: layout.Digest(content), Size: int64(len(content))}
}

// put stores an image whose manifest has a note, and returns its digest.
func put(t *testing.T, l *layout.Layout, note, tag string, change func(*v1.Manifest)) v1.Hash {
	t.Helper()
	const config = `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`
	add(t, l, config)
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config:      describe(types.OCIConfigJSON, []byte(config)),
		Layers:      []v1.Descriptor{},
		Annotations: map[string]string{"note": note},
	}
	if change != nil {
		change(&m)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := l.PutManifest(data, m.MediaType, tag)
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest
}

func TestTags(t *testing.T) {
	t.Parallel()
	l := layout.New(filepath.Join(t.TempDir(), "new", "one"), "")
	if _, err := l.Tags(); !errors.Is(err, layout.ErrNotFound) {
		t.Errorf("tags of nothing: got %v, want %v", err, layout.ErrNotFound)
	}
	one := put(t, l, "one", "", nil)
	two := put(t, l, "two", "latest", nil)
	check := func(step string, tags map[string]v1.Hash, byDigest ...v1.Hash) {
		t.Helper()
		names, err := l.Tags()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]v1.Hash{}
		for _, name := range names {
			desc, _, err := l.Manifest(name)
			if err != nil {
				t.Fatal(err)
			}
			got[name] = desc.Digest
		}
		if diff := cmp.Diff(tags, got); diff != "" {
			t.Errorf("%s: tags (-want +got):\n%s", step, diff)
		}
		for _, d := range byDigest {
			if _, _, err := l.Manifest(d.String()); err != nil {
				t.Errorf("%s: %v", step, err)
			}
		}
	}
	check("begin", map[string]v1.Hash{"latest": two}, one, two)
	put(t, l, "one", "latest", nil)
	check("move a tag", map[string]v1.Hash{"latest": one}, one, two)
	put(t, l, "one", "v1", nil)
	put(t, l, "one", "v1", nil)
	put(t, l, "one", "", nil)
	check("second tag", map[string]v1.Hash{"latest": one, "v1": one}, one, two)
	if err := l.DeleteTag("latest"); err != nil {
		t.Fatal(err)
	}
	check("remove a tag", map[string]v1.Hash{"v1": one}, one, two)
	if err := l.DeleteTag("v1"); err != nil {
		t.Fatal(err)
	}
	check("remove the last tag", map[string]v1.Hash{}, one, two)
	if err := l.DeleteTag("v1"); !errors.Is(err, layout.ErrNotFound) {
		t.Errorf("got %v, want %v", err, layout.ErrNotFound)
	}
	if err := l.DeleteManifest(two); err != nil {
		t.Fatal(err)
	}
	check("remove a manifest", map[string]v1.Hash{}, one)
	if _, _, err := l.Manifest(two.String()); !errors.Is(err, layout.ErrNotFound) {
		t.Errorf("got %v, want %v", err, layout.ErrNotFound)
	}

	// The index has each manifest once, and others can read it.
	path, err := ggcr.FromPath(l.Dir())
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Manifests) != 1 {
		t.Errorf("%d manifests in the index, want 1", len(m.Manifests))
	}
}

func TestAddBlob(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	d := layout.Digest([]byte("content"))
	if err := l.AddBlob(d, strings.NewReader("other")); !errors.Is(err, layout.ErrDigest) {
		t.Errorf("got %v, want %v", err, layout.ErrDigest)
	}
	broken := errors.New("broken")
	if err := l.AddBlob(d, io.MultiReader(strings.NewReader("con"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if _, err := l.Size(d); !errors.Is(err, layout.ErrNotFound) {
		t.Errorf("got %v, want %v", err, layout.ErrNotFound)
	}
	if entries, err := os.ReadDir(l.Dir()); err != nil || len(entries) != 0 {
		t.Errorf("%v is left of what was not stored (%v)", entries, err)
	}
	add(t, l, "content")
	if err := l.AddBlob(d, failing{broken}); err != nil {
		t.Errorf("a blob that is there was read again: %v", err)
	}
	if data, err := l.ReadBlob(d, 7); err != nil || string(data) != "content" {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := l.ReadBlob(d, 6); !errors.Is(err, layout.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, layout.ErrTooLarge)
	}
	if err := os.WriteFile(filepath.Join(l.Dir(), "blobs", "sha256", d.Hex), []byte("cantent"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ReadBlob(d, 7); !errors.Is(err, layout.ErrDigest) {
		t.Errorf("a flipped bit: got %v, want %v", err, layout.ErrDigest)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestSweep(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	layer := add(t, l, "layer")
	orphan := add(t, l, "orphan")
	image := put(t, l, "image", "v1", func(m *v1.Manifest) {
		m.Layers = []v1.Descriptor{describe(types.OCIUncompressedLayer, []byte("layer"))}
	})
	artifact := put(t, l, "artifact", "", func(m *v1.Manifest) {
		m.Subject = &v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: image}
	})
	have := func() map[string]bool {
		m := map[string]bool{}
		for name, d := range map[string]v1.Hash{"layer": layer, "orphan": orphan, "image": image, "artifact": artifact} {
			_, err := l.Size(d)
			m[name] = err == nil
		}
		return m
	}
	sweep := func(step string, grace time.Duration, want map[string]bool) {
		t.Helper()
		if _, err := l.Sweep(t.Context(), layout.Sweep{Grace: grace}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, have()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	// A negative grace makes what is new old.
	sweep("young", time.Hour, map[string]bool{"layer": true, "orphan": true, "image": true, "artifact": true})
	sweep("old", -time.Hour, map[string]bool{"layer": true, "orphan": false, "image": true, "artifact": true})
	if err := l.DeleteManifest(image); err != nil {
		t.Fatal(err)
	}
	sweep("young orphans", time.Hour, map[string]bool{"layer": true, "orphan": false, "image": false, "artifact": true})
	sweep("old orphans", -time.Hour, map[string]bool{"layer": false, "orphan": false, "image": false, "artifact": false})
	if entries, err := os.ReadDir(filepath.Join(l.Dir(), "blobs", "sha256")); err != nil || len(entries) != 0 {
		t.Errorf("%d blobs are left of nothing (%v)", len(entries), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	add(t, l, "orphan")
	if _, err := l.Sweep(ctx, layout.Sweep{Grace: -time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestKill kills a process again and again that stores images, and looks
// whether what it said is stored is there.
func TestKill(t *testing.T) {
	t.Parallel()
	const env = "MICRO_LAYOUT_WRITER"
	if dir := os.Getenv(env); dir != "" {
		l := layout.New(dir, "")
		for i := 0; ; i++ {
			d := put(t, l, fmt.Sprint(os.Getpid(), i), fmt.Sprint("t", i%3), nil)
			fmt.Println("stored", d)
		}
	}
	dir := t.TempDir()
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$", "-test.v")
		cmd.Env = append(os.Environ(), env+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var stored []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if d, ok := strings.CutPrefix(lines.Text(), "stored "); ok {
				stored = append(stored, d)
			}
			if len(stored) == 5+round {
				// It goes on writing until the signal is there.
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		if len(stored) < 5+round {
			t.Fatalf("the writer ended by itself after %d images", len(stored))
		}
		l := layout.New(dir, "")
		for _, d := range stored {
			if _, _, err := l.Manifest(d); err != nil {
				t.Error(err)
			}
		}
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
	}
}

func TestManifestInvalid(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	for name, text := range map[string]string{
		"nothing":          ``,
		"a list":           `[]`,
		"version 1":        `{"schemaVersion":1}`,
		"no configuration": `{"schemaVersion":2,"layers":[]}`,
		"both kinds":       `{"schemaVersion":2,"manifests":[],"config":{"mediaType":"a","size":1,"digest":"sha256:` + strings.Repeat("0", 64) + `"}}`,
		"no digest":        `{"schemaVersion":2,"config":{"mediaType":"a","size":1}}`,
		"another digest":   `{"schemaVersion":2,"config":{"mediaType":"a","size":1,"digest":"md5:` + strings.Repeat("0", 32) + `"}}`,
		"negative size":    `{"schemaVersion":2,"config":{"mediaType":"a","size":-1,"digest":"sha256:` + strings.Repeat("0", 64) + `"}}`,
		"deep":             `{"schemaVersion":2,"x":` + strings.Repeat("[", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := l.PutManifest([]byte(text), types.OCIManifestSchema1, "v1"); !errors.Is(err, layout.ErrInvalid) {
				t.Errorf("got %v, want %v", err, layout.ErrInvalid)
			}
		})
	}
	large := bytes.Repeat([]byte(" "), layout.MaxManifest+1)
	if _, err := l.PutManifest(large, types.OCIManifestSchema1, ""); !errors.Is(err, layout.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, layout.ErrTooLarge)
	}
}
