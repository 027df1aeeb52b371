package sdk

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// source is an SDK in small.
func source() fstest.MapFS {
	return fstest.MapFS{
		"LICENSE":                          {Data: []byte("Apache")},
		"proto/micro/a/v1/a.proto":         {Data: []byte("syntax = \"proto3\";")},
		"service/service.go":               {Data: []byte("package service\n")},
		"service/service_test.go":          {Data: []byte("package service\n")},
		"service/README.md":                {Data: []byte("not Go")},
		"service/logger/logger.go":         {Data: []byte("package logger\n")},
		"service/testdata/greet/greet.go":  {Data: []byte("package greet\n")},
		"service/logger/testdata/data.txt": {Data: []byte("data")},

		"service/servicetest/servicetest.go": {Data: []byte("package servicetest\n")},
		"backend/server/server.go":           {Data: []byte("package server\n")},
		"backend/server/apis.binpb":          {Data: []byte("schema")},
		"backend/server/server_test.go":      {Data: []byte("package server\n")},
	}
}

// content is the module as a build takes it, and withServer as a directory has it.
var (
	content    = []string{"LICENSE", "go.mod", "go.sum", "proto/micro/a/v1/a.proto", "service/logger/logger.go", "service/service.go"}
	withServer = []string{
		"LICENSE", "backend/server/apis.binpb", "backend/server/server.go", "go.mod", "go.sum", "proto/micro/a/v1/a.proto",
		"service/logger/logger.go", "service/service.go", "service/servicetest/servicetest.go",
	}
)

func newModule(t *testing.T) *Module {
	t.Helper()
	m, err := New(source())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// list returns the files below a directory, and fails where one has not the content
// that it should have.
func list(t *testing.T, dir string, files []file) []string {
	t.Helper()
	want := make(map[string]string)
	for _, f := range files {
		want[f.name] = string(f.content)
	}
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		names = append(names, name)
		got, err := fs.ReadFile(os.DirFS(dir), name)
		if string(got) != want[name] {
			t.Errorf("%s is %q, want %q", name, got, want[name])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestVersion(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	if !regexp.MustCompile(`^v3\.0\.0-sdk-[0-9a-f]{12}$`).MatchString(m.Version()) {
		t.Errorf("Version = %q", m.Version())
	}
	if err := module.Check(Path, m.Version()); err != nil {
		t.Error(err)
	}
	if got, want := newModule(t).Version(), m.Version(); got != want {
		t.Errorf("the same source has version %q and %q", got, want)
	}
	for name, change := range map[string]func(fstest.MapFS){
		"content":  func(f fstest.MapFS) { f["LICENSE"] = &fstest.MapFile{Data: []byte("MIT")} },
		"server":   func(f fstest.MapFS) { f["backend/server/server.go"] = &fstest.MapFile{Data: []byte("package other")} },
		"new file": func(f fstest.MapFS) { f["service/new.go"] = &fstest.MapFile{} },
		"moved": func(f fstest.MapFS) {
			f["service/other.go"] = f["service/service.go"]
			delete(f, "service/service.go")
		},
	} {
		src := source()
		change(src)
		other, err := New(src)
		if err != nil {
			t.Fatal(err)
		}
		if other.Version() == m.Version() {
			t.Errorf("%s: the version is still %s", name, m.Version())
		}
	}
	src := source()
	src["service/more_test.go"] = &fstest.MapFile{}
	if other, err := New(src); err != nil || other.Version() != m.Version() {
		t.Errorf("a test has changed the version: %v", err)
	}
}

func TestNoSource(t *testing.T) {
	t.Parallel()
	if _, err := New(fstest.MapFS{}); err == nil {
		t.Error("New of nothing gives no error")
	}
}

func TestWriteDir(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	dir := filepath.Join(t.TempDir(), "data", "sdk")
	target, err := m.WriteDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, m.Version()); target != want {
		t.Errorf("WriteDir = %q, want %q", target, want)
	}
	if diff := cmp.Diff(withServer, list(t, target, m.all)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got, want := string(ProjectMod()), string(projectMod); got != want {
		t.Errorf("ProjectMod = %q, want %q", got, want)
	}

	// What is damaged is put right, in whatever way it came about.
	for name, damage := range map[string]func() error{
		"nothing":      func() error { return nil },
		"removed file": func() error { return os.Remove(filepath.Join(target, "go.mod")) },
		"cut file": func() error {
			name := filepath.Join(target, "service", "service.go")
			if err := os.Chmod(name, 0o644); err != nil {
				return err
			}
			return os.Truncate(name, 3)
		},
		"removed folder":   func() error { return os.RemoveAll(filepath.Join(target, "service")) },
		"nothing but name": func() error { return os.RemoveAll(filepath.Join(target)) },
		"empty": func() error {
			return os.Mkdir(target, 0o755)
		},
	} {
		if name == "empty" {
			if err := os.RemoveAll(target); err != nil {
				t.Fatal(err)
			}
		}
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.WriteDir(dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(withServer, list(t, target, m.all)); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", name, diff)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(entries), 1; got != want {
		t.Errorf("%s has %d entries, want %d", dir, got, want)
	}
}

func TestWriteDirFails(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	dir := t.TempDir()
	target := filepath.Join(dir, m.Version())
	if err := os.WriteFile(target, []byte("in the way"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, filepath.Join(target, "sdk")} {
		_, err := m.WriteDir(at)
		if err == nil || !strings.HasPrefix(err.Error(), "unpack the SDK: ") {
			t.Errorf("WriteDir = %v, want an error of unpacking", err)
		}
		if _, err := m.WriteProxy(filepath.Join(target, "proxy")); err == nil || !strings.HasPrefix(err.Error(), "write the SDK as a module proxy: ") {
			t.Errorf("WriteProxy = %v, want an error of writing", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(entries), 1; got != want {
		t.Errorf("%s has %d entries, want what was there: %v", dir, got, entries)
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	dir, proxy := t.TempDir(), t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := m.WriteDir(dir); err != nil {
				t.Error(err)
			}
			if _, err := m.WriteProxy(proxy); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff(withServer, list(t, filepath.Join(dir, m.Version()), m.all)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got, want := len(proxyFiles(t, proxy)), 4; got != want {
		t.Errorf("the proxy has %d files, want %d", got, want)
	}
}

// proxyFiles returns what a proxy has of the module, by names.
func proxyFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	dir = filepath.Join(dir, "github.com", "micro", "micro", "v3", "@v")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(content)
	}
	return files
}

func TestWriteProxy(t *testing.T) {
	t.Parallel()
	m := newModule(t)
	dir := t.TempDir()
	version, err := m.WriteProxy(dir)
	if err != nil {
		t.Fatal(err)
	}
	if version != m.Version() {
		t.Errorf("WriteProxy = %q, want %q", version, m.Version())
	}
	files := proxyFiles(t, dir)
	archive := filepath.Join(t.TempDir(), "sdk.zip")
	if err := os.WriteFile(archive, []byte(files[version+".zip"]), 0o644); err != nil {
		t.Fatal(err)
	}
	unzipped := filepath.Join(t.TempDir(), "sdk")
	if err := zip.Unzip(unzipped, module.Version{Path: Path, Version: version}, archive); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(content, list(t, unzipped, m.files)); diff != "" {
		t.Errorf("files of the archive (-want +got):\n%s", diff)
	}
	delete(files, version+".zip")
	want := map[string]string{
		"list":            version + "\n",
		version + ".info": `{"Version":"` + version + `","Time":"1970-01-01T00:00:00Z"}` + "\n",
		version + ".mod":  string(goMod),
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	// What is damaged is put right, and another version finds its place.
	files = proxyFiles(t, dir)
	at := filepath.Join(dir, "github.com", "micro", "micro", "v3", "@v")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.Truncate(filepath.Join(at, name), 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.WriteProxy(dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, proxyFiles(t, dir)); diff != "" {
		t.Errorf("files after damage (-want +got):\n%s", diff)
	}
	src := source()
	src["service/new.go"] = &fstest.MapFile{Data: []byte("package service\n")}
	other, err := New(src)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.WriteProxy(dir); err != nil {
		t.Fatal(err)
	}
	versions := slices.Sorted(slices.Values([]string{m.Version() + "\n", other.Version() + "\n"}))
	if got, want := proxyFiles(t, dir)["list"], strings.Join(versions, ""); got != want {
		t.Errorf("list = %q, want %q", got, want)
	}
}
