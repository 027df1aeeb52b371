package layout_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/micro/micro/v3/image/layout"
)

// A negative grace makes what is new old.
const old = -time.Hour

func subject(d v1.Hash) func(*v1.Manifest) {
	return func(m *v1.Manifest) {
		m.Subject = &v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: d}
	}
}

func index(t *testing.T, l *layout.Layout, tag string, children ...v1.Hash) v1.Hash {
	t.Helper()
	var list []string
	for _, c := range children {
		list = append(list, fmt.Sprintf(`{"mediaType":%q,"size":1,"digest":%q}`, types.OCIManifestSchema1, c))
	}
	data := []byte(`{"schemaVersion":2,"mediaType":"` + string(types.OCIImageIndex) + `","manifests":[` + strings.Join(list, ",") + `]}`)
	desc, err := l.PutManifest(data, types.OCIImageIndex, tag)
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest
}

// What a sweep leaves when only tags and what somebody needs count.
func TestSweepNeeded(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	all := map[string]v1.Hash{}
	all["tagged"] = put(t, l, "tagged", "v1", nil)
	all["needed"] = put(t, l, "needed", "", nil)
	all["untagged"] = put(t, l, "untagged", "", nil)
	all["signature of tagged"] = put(t, l, "signature of tagged", "", subject(all["tagged"]))
	all["note of the signature"] = put(t, l, "note", "", subject(all["signature of tagged"]))
	all["signature of untagged"] = put(t, l, "signature of untagged", "", subject(all["untagged"]))
	all["amd64"] = put(t, l, "amd64", "", nil)
	all["arm64"] = put(t, l, "arm64", "", nil)
	all["index"] = index(t, l, "", all["amd64"], all["arm64"])
	all["SBOM of arm64"] = put(t, l, "SBOM", "", subject(all["arm64"]))
	all["part of nothing"] = put(t, l, "part", "", nil)
	all["index of nothing"] = index(t, l, "", all["part of nothing"])
	// As clients name what refers to an image in a registry without referrers.
	all["fallback of tagged"] = index(t, l, "sha256-"+all["tagged"].Hex, all["signature of tagged"])
	all["fallback of untagged"] = put(t, l, "cosign", "sha256-"+all["untagged"].Hex+".sig", nil)
	all["old style of nothing"] = put(t, l, "nothing", "sha256-"+strings.Repeat("0", 64), nil)
	have := func() map[string]bool {
		m := map[string]bool{}
		for name, d := range all {
			_, _, err := l.Manifest(d.String())
			m[name] = err == nil
		}
		return m
	}
	want := map[string]bool{}
	for name := range all {
		want[name] = true
	}
	needed := map[v1.Hash]bool{all["needed"]: true, all["index"]: true}
	sweep := func(step string, s layout.Sweep) layout.Swept {
		t.Helper()
		swept, err := l.Sweep(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, have()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
		return swept
	}
	gone := []string{"untagged", "signature of untagged", "part of nothing", "index of nothing", "fallback of untagged", "old style of nothing"}
	if swept := sweep("young", layout.Sweep{Needed: needed, Grace: time.Hour}); swept.Young != len(gone) || swept.Blobs != 0 {
		t.Errorf("young: %+v", swept)
	}
	dry := sweep("dry", layout.Sweep{Needed: needed, Grace: old, DryRun: true})
	for _, name := range gone {
		want[name] = false
	}
	wet := sweep("old", layout.Sweep{Needed: needed, Grace: old})
	if diff := cmp.Diff(dry, wet); diff != "" || wet.Manifests != len(gone) || wet.Bytes == 0 {
		t.Errorf("what a dry run tells (-) and what was done (+):\n%s\n%+v", diff, wet)
	}
	for name := range all {
		want[name] = false
	}
	if err := l.DeleteTag("v1"); err != nil {
		t.Fatal(err)
	}
	sweep("nothing is needed", layout.Sweep{Needed: map[v1.Hash]bool{}, Grace: old})
	if entries, err := os.ReadDir(filepath.Join(l.Dir(), "blobs", "sha256")); err != nil || len(entries) != 0 {
		t.Errorf("%d blobs are left of nothing (%v)", len(entries), err)
	}
}

// What is asked for is as young as what was just stored.
func TestTouch(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	image := put(t, l, "image", "", nil)
	blob := add(t, l, "blob")
	long := time.Now().Add(-24 * time.Hour)
	age := func() {
		t.Helper()
		if err := filepath.WalkDir(l.Dir(), func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Chtimes(path, long, long))
		}); err != nil {
			t.Fatal(err)
		}
	}
	age()
	if _, err := l.Touch(image.String()); err != nil || !l.Keep(blob) {
		t.Fatal(err, "or no blob")
	}
	s := layout.Sweep{Needed: map[v1.Hash]bool{}, Grace: time.Hour}
	if swept, err := l.Sweep(t.Context(), s); err != nil || swept.Blobs != 0 || swept.Young != 1 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	age()
	if swept, err := l.Sweep(t.Context(), s); err != nil || swept.Manifests != 1 || swept.Blobs != 3 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	if _, err := l.Touch(image.String()); !errors.Is(err, layout.ErrNotFound) || l.Keep(blob) {
		t.Errorf("what is gone was kept: %v", err)
	}
}

// Images are pushed while everything that nothing needs is removed at once. What was
// acknowledged with a tag is whole, always.
func TestSweepWhilePushing(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := l.Sweep(t.Context(), layout.Sweep{Needed: map[v1.Hash]bool{}, Grace: old}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var pushers sync.WaitGroup
	refused := 0
	var mu sync.Mutex
	for p := range 4 {
		pushers.Go(func() {
			tag := fmt.Sprint("t", p)
			for n := range 15 {
				content := fmt.Sprint("layer ", rand.N(3), " of ", n/3)
				data := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","size":2,"digest":%q},"layers":[{"mediaType":%q,"size":%d,"digest":%q}],"annotations":{"p":"%d %d"}}`,
					types.OCIManifestSchema1, layout.Digest([]byte("{}")), types.OCIUncompressedLayer, len(content), layout.Digest([]byte(content)), p, n)
				for {
					for _, blob := range []string{"{}", content} {
						if err := l.AddBlob(layout.Digest([]byte(blob)), strings.NewReader(blob)); err != nil {
							t.Error(err)
							return
						}
					}
					_, err := l.PutManifest(data, types.OCIManifestSchema1, tag)
					if errors.Is(err, layout.ErrUnknownBlob) { // it is told, and sends them again
						mu.Lock()
						refused++
						mu.Unlock()
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					break
				}
				if _, _, err := l.Manifest(tag); err != nil {
					t.Error(err)
				}
				if got, err := l.ReadBlob(layout.Digest([]byte(content)), 100); err != nil || string(got) != content {
					t.Errorf("%s: %q, %v", tag, got, err)
				}
			}
		})
	}
	pushers.Wait()
	close(done)
	wg.Wait()
	t.Logf("%d pushes had to send their blobs again", refused)
	tags, err := l.Tags()
	if err != nil || len(tags) != 4 {
		t.Errorf("tags %v, %v", tags, err)
	}
}

// TestSweepKill kills a process again and again that stores images and sweeps, and looks
// whether all that the index names is there.
func TestSweepKill(t *testing.T) {
	t.Parallel()
	const env = "MICRO_LAYOUT_SWEEPER"
	if dir := os.Getenv(env); dir != "" {
		l := layout.New(dir, "")
		for i := 0; ; i++ {
			put(t, l, fmt.Sprint(os.Getpid(), i), fmt.Sprint("t", i%3), func(m *v1.Manifest) {
				content := fmt.Sprint("layer", os.Getpid(), i)
				add(t, l, content)
				m.Layers = []v1.Descriptor{describe(types.OCIUncompressedLayer, []byte(content))}
			})
			if i%10 != 9 {
				continue
			}
			fmt.Println("sweeping")
			if _, err := l.Sweep(t.Context(), layout.Sweep{Needed: map[v1.Hash]bool{}, Grace: old}); err != nil {
				fmt.Println(err)
				os.Exit(3)
			}
		}
	}
	dir := t.TempDir()
	for round := range 6 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSweepKill$")
		cmd.Env = append(os.Environ(), env+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n <= round%3 && lines.Scan(); n++ {
			if lines.Text() != "sweeping" {
				t.Fatal(lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil { // in the middle of it
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		path, err := ggcr.FromPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		index, err := path.ImageIndex()
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(index, validate.Fast); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
	// What it left is taken up by the next sweep.
	l := layout.New(dir, "")
	if _, err := l.Sweep(t.Context(), layout.Sweep{Needed: map[v1.Hash]bool{}, Grace: old}); err != nil {
		t.Fatal(err)
	}
	manifests, err := l.Tags()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil || len(entries) != 2*len(manifests)+1 { // a manifest and a layer each, and the configuration
		t.Errorf("%d blobs for %d images, %v", len(entries), len(manifests), err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	l := layout.New(t.TempDir(), "")
	if list, err := l.List(); err != nil || len(list) != 0 {
		t.Errorf("of nothing: %v, %v", list, err)
	}
	amd64 := put(t, l, "amd64", "", nil)
	arm64 := put(t, l, "arm64", "", nil)
	both := index(t, l, "v1", amd64, arm64)
	put(t, l, "note", "", func(m *v1.Manifest) {
		subject(both)(m)
		m.Config.MediaType = "application/note"
	})
	alone := put(t, l, "alone", "b", nil)
	desc, data, err := l.Manifest(alone.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.PutManifest(data, desc.MediaType, "a"); err != nil {
		t.Fatal(err)
	}
	list, err := l.List()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, i := range list {
		var platforms []string
		for _, p := range i.Platforms {
			if p.Size == 0 {
				t.Errorf("%s has no size", p.Digest)
			}
			platforms = append(platforms, p.Platform)
		}
		got[i.Digest] = fmt.Sprint(i.Tags, len(platforms), i.Attached)
	}
	want := map[string]string{
		alone.String(): "[a b] 1 []",
		both.String():  "[v1] 2 [application/note]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if n, err := l.Bytes(); err != nil || n == 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
