package image

import (
	"archive/tar"
	"debug/buildinfo"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/micro/micro/v3/image/layout"
)

// Programs of the tests import nothing, so that they compile in no time.
const (
	goMod  = "module example.com/app\n\ngo 1.26.0\n"
	goMain = "package main\n\nfunc main() { println(\"hello\") }\n"
)

// source makes a source of files in a folder app.
func source(tb testing.TB, files map[string]string) *Source {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "app")
	write(tb, dir, files)
	s, err := Fetch(tb.Context(), dir, FetchOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func buildImage(tb testing.TB, s *Source, o BuildOptions) *Image {
	tb.Helper()
	if o.CacheDir == "" {
		o.TempDir = tb.TempDir()
	}
	i, err := Build(tb.Context(), s, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := i.Close(); err != nil {
			tb.Error(err)
		}
	})
	return i
}

// open writes an image into a layout and opens it there.
func open(tb testing.TB, i *Image) *layout.Image {
	tb.Helper()
	dir := tb.TempDir()
	if err := i.WriteLayout(tb.Context(), dir, "v1"); err != nil {
		tb.Fatal(err)
	}
	got, err := layout.New(dir, "").Image("v1", "", 1<<30)
	if err != nil {
		tb.Fatal(err)
	}
	if got.Digest != i.Digest() {
		tb.Errorf("the layout has %s, the image is %s", got.Digest, i.Digest())
	}
	return got
}

// files returns the entries of an image and what the files hold.
func files(tb testing.TB, i *layout.Image) (entries []string, content map[string]string) {
	tb.Helper()
	content = map[string]string{}
	for _, l := range i.Layers {
		r, err := l.Open()
		if err != nil {
			tb.Fatal(err)
		}
		tr := tar.NewReader(r)
		for {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				tb.Fatal(err)
			}
			entries = append(entries, fmt.Sprintf("%s %s %d:%d %d", h.FileInfo().Mode(), h.Name, h.Uid, h.Gid, h.ModTime.Unix()))
			data, err := io.ReadAll(tr)
			if err != nil {
				tb.Fatal(err)
			}
			content[h.Name] = string(data)
		}
		if _, err := io.Copy(io.Discard, r); err != nil { // to the end, where the digest is checked
			tb.Error(err)
		}
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	}
	return entries, content
}

func TestBuild(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain})
	var stages []Stage
	i := buildImage(t, s, BuildOptions{Progress: func(e Event) { stages = append(stages, e.Stage) }})
	if i.Name() != "app" || i.Platforms()[0].Platform != runtime.GOOS+"/"+runtime.GOARCH || i.Size() < 1<<20 || i.Schema() != nil {
		t.Errorf("got %q for %q of %d bytes", i.Name(), i.Platforms()[0].Platform, i.Size())
	}
	if diff := cmp.Diff([]Stage{Building, Packaging}, stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	got := open(t, i)
	entries, content := files(t, got)
	layers := got.Layers
	got.Layers = nil
	if diff := cmp.Diff(&layout.Image{
		Digest: i.Digest(), OS: runtime.GOOS, Architecture: runtime.GOARCH,
		Entrypoint: []string{"/app/app"}, WorkingDir: "/", User: "65532:65532",
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
		},
		Labels: map[string]string{"org.opencontainers.image.title": "app"},
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(layers) != 2 {
		t.Errorf("got %d layers, want 2", len(layers))
	}
	if diff := cmp.Diff([]string{
		"drwxr-xr-x etc/ 0:0 0",
		"-rw-r--r-- etc/group 0:0 0",
		"-rw-r--r-- etc/passwd 0:0 0",
		"drwxr-xr-x etc/ssl/ 0:0 0",
		"drwxr-xr-x etc/ssl/certs/ 0:0 0",
		"-rw-r--r-- etc/ssl/certs/ca-certificates.crt 0:0 0",
		"dtrwxrwxrwx tmp/ 0:0 0",
		"drwxr-xr-x app/ 0:0 0",
		"-rwxr-xr-x app/app 0:0 0",
	}, entries); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	certificates := 0
	for rest := []byte(content[certificatesFile]); ; certificates++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
	}
	if certificates < 100 {
		t.Errorf("got %d certificates", certificates)
	}

	program := filepath.Join(t.TempDir(), "app")
	writeProgram(t, program, content["app/app"])
	out, err := exec.CommandContext(t.Context(), program).CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("the program says %q, %v", out, err)
	}
	for _, setting := range settings(t, content["app/app"]) {
		if strings.Contains(setting, "vcs") || strings.Contains(setting, s.Dir) {
			t.Errorf("the program was told %s", setting)
		}
	}
}

func settings(tb testing.TB, program string) []string {
	tb.Helper()
	var lines []string
	for _, s := range info(tb, program).Settings {
		lines = append(lines, s.Key+"="+s.Value)
	}
	return lines
}

func info(tb testing.TB, program string) *buildinfo.BuildInfo {
	tb.Helper()
	info, err := buildinfo.Read(strings.NewReader(program))
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

// TestReproducible builds the same source at two places that have nothing in
// common but the version of Go.
func TestReproducible(t *testing.T) {
	t.Parallel()
	content := map[string]string{"go.mod": goMod, "main.go": goMain, "sub/x.go": "package sub\n"}
	first := source(t, content)
	second := source(t, content)
	if err := os.Rename(second.Dir, second.Dir+"-2"); err != nil {
		t.Fatal(err)
	}
	second.Dir += "-2"
	newRepository(t, second.Dir).commit(nil) // and it is in a repository
	if err := filepath.WalkDir(second.Dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 0)))
	}); err != nil {
		t.Fatal(err)
	}
	one := buildImage(t, first, BuildOptions{Platforms: []string{"linux/amd64"}})
	two := buildImage(t, second, BuildOptions{
		Platforms: []string{"linux/amd64"}, CacheDir: t.TempDir(),
		Env: append(os.Environ(), "GOCACHE="+t.TempDir(), "GOFLAGS=-ldflags=-X=main.x=y -tags=x", "GOAMD64=v3", "GOEXPERIMENT=nogreenteagc", "TZ=Asia/Tokyo"),
	})
	if one.Digest() != two.Digest() {
		_, a := files(t, open(t, one))
		_, b := files(t, open(t, two))
		t.Errorf("the digest is %s there and %s here; program equal: %t\n%s", one.Digest(), two.Digest(),
			a["app/app"] == b["app/app"], cmp.Diff(settings(t, a["app/app"]), settings(t, b["app/app"])))
	}
}

func TestBuildCache(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain})
	cache := t.TempDir()
	kept := func() os.FileInfo {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(cache, "*", "*"))
		if err != nil || len(names) != 1 {
			t.Fatalf("the cache has %v, %v", names, err)
		}
		info, err := os.Stat(names[0])
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	run := func() string {
		t.Helper()
		i, err := Build(t.Context(), s, BuildOptions{CacheDir: cache})
		if err != nil {
			t.Fatal(err)
		}
		// The next build takes the file away; the image has it open.
		defer func() {
			if err := i.Close(); err != nil {
				t.Error(err)
			}
		}()
		return i.Digest()
	}
	first := run()
	before := kept()
	again := run()
	if !os.SameFile(before, kept()) || first != again {
		t.Error("an unchanged program was linked again")
	}
	write(t, s.Dir, map[string]string{"main.go": strings.Replace(goMain, "hello", "bye", 1)})
	changed := run()
	if os.SameFile(before, kept()) || first == changed {
		t.Error("a changed program was not linked again")
	}
	write(t, s.Dir, map[string]string{"main.go": goMain})
	if back := run(); back != first {
		t.Error("the first source again gives another image")
	}

	// What the program does not import makes no difference, and nothing is linked.
	before = kept()
	write(t, s.Dir, map[string]string{
		"README.md": "read me", "main_test.go": "package main\n", "other/other.go": "package other\n", "main_plan9.go": "package main\n",
		".gitignore": "x", "testdata/x.go": "rubbish", "micro.yaml": "name: app\n",
	})
	if same := run(); same != first || !os.SameFile(before, kept()) {
		t.Error("a change of what is not in the program makes another image, or links it")
	}

	// What nobody built for long goes.
	old := filepath.Join(cache, strings.Repeat("0", 24))
	write(t, old, map[string]string{"program": "x"})
	write(t, cache, map[string]string{"mine/x": "x"})
	long := time.Now().Add(-2 * keepFor)
	for _, dir := range []string{old, filepath.Join(cache, "mine")} {
		if err := os.Chtimes(dir, long, long); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an old program is kept: %v", err)
	}
	if _, err := os.Stat(filepath.Join(cache, "mine")); err != nil {
		t.Errorf("somebody else's directory was removed: %v", err)
	}
}

// TestImageKeepsProgram holds that an image is what was built, whatever is built
// after it.
func TestImageKeepsProgram(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain})
	cache := t.TempDir()
	first := buildImage(t, s, BuildOptions{CacheDir: cache})
	write(t, s.Dir, map[string]string{"main.go": strings.Replace(goMain, "hello", "bye", 1)})
	second := buildImage(t, s, BuildOptions{CacheDir: cache})
	if first.Digest() == second.Digest() {
		t.Fatal("the images are the same")
	}
	for _, i := range []*Image{first, second} {
		files(t, open(t, i)) // checks the digests
	}
}

func TestBuildLabels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRepository(t, filepath.Join(dir, "repo"))
	h := r.commit(map[string]string{"go.mod": goMod, "cmd/server/main.go": goMain})
	s, err := Fetch(t.Context(), "file://"+r.dir+"/cmd/server@trunk", FetchOptions{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	i := buildImage(t, s, BuildOptions{Name: "other"})
	want := map[string]string{
		"org.opencontainers.image.title":    "other",
		"org.opencontainers.image.source":   "file://" + r.dir + "//cmd/server",
		"org.opencontainers.image.revision": h.String(),
		"org.opencontainers.image.version":  "trunk",
	}
	if diff := cmp.Diff(want, open(t, i).Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	var m v1.Manifest
	if err := json.Unmarshal(i.root.data, &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, m.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestBuildPlatform(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": "package main\n\nfunc main() {}\n"})
	b := &builder{source: s}
	for platform, want := range map[string]string{
		"linux/amd64":    "GOOS=linux GOARCH=amd64",
		"linux/amd64/v3": "GOOS=linux GOARCH=amd64 GOAMD64=v3",
		"linux/arm64/v8": "GOOS=linux GOARCH=arm64 GOARM64=v8.0",
		"linux/arm/v6":   "GOOS=linux GOARCH=arm GOARM=6",
	} {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		b.platform = *p
		var got []string
		for _, v := range b.platformEnv() {
			if strings.HasPrefix(v, "GOOS") || strings.HasPrefix(v, "GOA") {
				got = append(got, v)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", platform, got, want)
		}
	}
	for _, bad := range []string{"linux", "a/b/c/d", "/"} {
		if _, err := Build(t.Context(), s, BuildOptions{Platforms: []string{bad}}); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestSourceDateEpoch(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1000000000")
	entries, _ := files(t, open(t, buildImage(t, source(t, map[string]string{"go.mod": goMod, "main.go": goMain}), BuildOptions{})))
	for _, e := range entries {
		if !strings.HasSuffix(e, " 1000000000") {
			t.Errorf("%s is of another time", e)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, err := created(); err == nil {
		t.Error("no error for a word")
	}
}
