package embedded

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/logfile"
	"github.com/micro/micro/v3/backend/runtime/runtimetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestRuntime(t *testing.T) {
	t.Parallel()
	runtimetest.Test(t, func(t *testing.T, dir string, images runtime.OpenImage) runtime.Runtime {
		t.Helper()
		return mustOpen(t, Config{Dir: dir, OpenImage: images})
	})
}

// mustOpen opens a runtime; whoever asks for it closes it.
func mustOpen(t *testing.T, c Config) *Runtime {
	t.Helper()
	r, err := Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return r
}

func alphaSpec(id, image string, args ...string) runtime.Spec {
	return runtime.Spec{ID: id, Namespace: alpha.Namespace, Service: alpha.Name, Release: 1, Image: image, Args: args}
}

func noImages(context.Context, string) (*runtime.Image, error) { return nil, runtime.ErrNotFound }

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	r := mustOpen(t, Config{Dir: used, OpenImage: noImages})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // a table's
		c    Config
		want string
	}{
		{"no directory", t.Context(), Config{OpenImage: noImages}, "directory"},
		{"no images", t.Context(), Config{Dir: t.TempDir()}, "images"},
		{"a file", t.Context(), Config{Dir: plain, OpenImage: noImages}, "not a directory"},
		{"below a file", t.Context(), Config{Dir: filepath.Join(plain, "x"), OpenImage: noImages}, "not a directory"},
		{"used by another", t.Context(), Config{Dir: used, OpenImage: noImages}, "another server"},
		{"ended context", ended, Config{Dir: t.TempDir(), OpenImage: noImages}, "canceled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := Open(tt.ctx, tt.c)
			if err == nil {
				t.Fatalf("it is open: %v", r.Close())
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.c.Dir) {
				t.Errorf("got error %q, want one with %q and the directory's name", err, tt.want)
			}
		})
	}
}

// TestOpenCleans checks that halves of what a crash interrupted are removed, and
// damaged records and strange files are no obstacle.
func TestOpenCleans(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := mustOpen(t, Config{Dir: dir, OpenImage: noImages}).Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"staging/image-1/root/app":           "half",
		"staging/trash-1/x":                  "half",
		"images/0123/root/app":               "no record",
		"images/stray":                       "a file",
		"instances/half/work/x":              "no log",
		"instances/torn/state.json":          `{"release":1,"ima`,
		"instances/torn/state.json.next":     `{`,
		"instances/torn/identity":            "token",
		"logs/micro/alpha/torn/00000007.log": "2026-11-05T10:00:00.000000000Z o 3 kept\n2026-11-05T10",
		"logs/micro/alpha/torn/notes.txt":    "not ours",
		"logs/micro/alpha/torn/0000000x.log": "not ours",
		"logs/lost+found":                    "",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := mustOpen(t, Config{Dir: dir, OpenImage: noImages})
	defer r.Close()
	for _, name := range []string{"staging", "images"} {
		if left := files(t, filepath.Join(dir, name)); len(left) > 0 {
			t.Errorf("%s holds %q", name, left)
		}
	}
	if left := files(t, filepath.Join(dir, "instances")); !slices.Equal(left, []string{"torn"}) {
		t.Errorf("instances: %q, want the one that has a log", left)
	}
	in := known(t, r, "torn")
	if in.State != runtime.Exited || in.Exit.Signal != "SIGKILL" || in.Namespace != "micro" || in.Service != "alpha" {
		t.Errorf("the instance is %+v, want it killed", in)
	}
	var got []string
	for line, err := range r.Logs(t.Context(), runtime.LogQuery{Namespace: alpha.Namespace, Service: alpha.Name}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line.Text)
	}
	if len(got) != 2 || got[0] != "kept" {
		t.Errorf("its lines are %q, want the one that was whole and the runtime's own", got)
	}
	if _, err := os.Stat(homeOf(r, "torn").identity()); err == nil {
		t.Errorf("its identity is still there")
	}
}

var alpha = logfile.Service{Namespace: "micro", Name: "alpha"}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// known returns an instance as it is.
func known(t *testing.T, r *Runtime, id string) runtime.Instance {
	t.Helper()
	for event, err := range r.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Instance.ID == id {
			return event.Instance
		}
		if event.Synced {
			break
		}
	}
	t.Fatalf("there is no instance %q", id)
	return runtime.Instance{}
}

// runOf returns what runs of an instance.
func runOf(t *testing.T, r *Runtime, id string) *run {
	t.Helper()
	for p, in := range r.Running() {
		if current, ok := p.(*run); ok && in.ID == id {
			return current
		}
	}
	t.Fatalf("instance %q does not run", id)
	return nil
}

func homeOf(r *Runtime, id string) home { return home(filepath.Join(r.engine.dir, "instances", id)) }

// unpackedDir returns where the image of a run is.
func unpackedDir(c *run) string { return c.start.Of.(*image).dir }
