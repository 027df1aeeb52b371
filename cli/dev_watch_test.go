package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"
)

// What counts as a change follows the rules of the source as they are then.
func TestSourceWatchCounts(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	rules := filepath.Join(dir, ".microignore")
	if err := os.WriteFile(rules, []byte("drafts/\n*.gen.go\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "drafts"), 0o700); err != nil {
		t.Fatal(err)
	}
	w, err := watchSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	check := func(name string, want bool) {
		t.Helper()
		got, err := w.counts(fsnotify.Event{Name: filepath.Join(dir, filepath.FromSlash(name)), Op: fsnotify.Write})
		if got != want || err != nil {
			t.Errorf("%s counts: %t, %v, want %t", name, got, err, want)
		}
	}
	for name, want := range map[string]bool{
		"main.go": true, "go.mod": true, "proto/a.proto": true, "micro.yaml": true, "..a/b.go": true,
		"main_test.go": false, ".main.go.swp": false, "main.go~": false, "notes.txt": false,
		"drafts/a.go": false, "drafts/a.proto": false, "a.gen.go": false, ".git/index": false,
	} {
		check(name, want)
	}
	if err := os.Remove(rules); err != nil {
		t.Fatal(err)
	}
	check(".microignore", true)
	check("drafts/a.go", true)
	check("a.gen.go", true)
	found := false
	for _, watched := range w.fs.WatchList() {
		found = found || watched == filepath.Join(dir, "drafts")
	}
	if !found {
		t.Error("a folder that is not ignored any more is not watched")
	}
}

// The code of a .proto file is made with all of the source, or of the module elsewhere.
func TestSourceWatchProtoDir(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"orders/proto", "mod/proto/a"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "mod", "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := &sourceWatch{dir: filepath.Join(dir, "orders")}
	for name, want := range map[string]string{
		"orders/proto/a.proto": "orders", "mod/proto/a/a.proto": "mod", "orders2/a.proto": "orders2",
	} {
		if got := w.protoDir(filepath.Join(dir, filepath.FromSlash(name))); got != filepath.Join(dir, want) {
			t.Errorf("protoDir(%s) = %s, want %s", name, got, want)
		}
	}
}

// Limits of the system are told of with what raises them.
func TestExplainWatch(t *testing.T) {
	other := errors.New("no")
	if err := explainWatch("a", other); !errors.Is(err, other) {
		t.Errorf("got %v, want %v", err, other)
	}
	for _, limit := range []error{syscall.ENOSPC, syscall.EMFILE} {
		e, ok := errors.AsType[*Error](explainWatch("a", fmt.Errorf("add: %w", limit)))
		if !ok || e.Hint == "" || e.Exit != ExitError {
			t.Errorf("%v: got %+v", limit, e)
		}
	}
}
