package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/archive"
	"github.com/micro/micro/v3/backend/backup"
)

// put makes files, whose content is their name and a word.
func put(t *testing.T, dir, word string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, []byte(word), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// tree returns the files below a directory, with what is in them; what was replaced is
// below "replaced".
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name := filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator)))
		if top, rest, ok := strings.Cut(name, "/"); ok && strings.HasPrefix(top, "replaced-") {
			name = "replaced/" + rest
		}
		all[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// source is a data directory with a backup of it.
func source(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "new", "master.key", "server.yaml", "server.json", "runtime/logs/x", "store/LOCK")
	var b bytes.Buffer
	err := backup.Take(t.Context(), &b, backup.Source{
		DataDir: dir, Version: "v3",
		Copy: func(_ context.Context, store, images string) error {
			put(t, store, "new", "000001.sst", "FORMAT")
			put(t, images, "new", "acme/x/index.json")
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); left != nil {
		t.Errorf("the backup has left %q", left)
	}
	return b.Bytes()
}

func target(dir string, force bool, verify error) backup.Target {
	return backup.Target{
		DataDir: dir, Force: force, Now: func() time.Time { return time.Unix(0, 0) },
		Verify: func(context.Context, string) error { return verify },
	}
}

func restored() map[string]string {
	return map[string]string{
		"master.key": "new", "server.yaml": "new", "store/000001.sst": "new", "store/FORMAT": "new", "images/acme/x/index.json": "new",
	}
}

// with returns what was restored over something.
func with(old ...string) map[string]string {
	all := restored()
	for _, name := range old {
		all["replaced/"+name] = "old"
	}
	return all
}

func TestRestore(t *testing.T) {
	t.Parallel()
	b := source(t)
	dir := t.TempDir()
	r, err := backup.Restore(t.Context(), bytes.NewReader(b), target(dir, false, nil))
	if err != nil || r.Files != 5 || r.Bytes != 15 || r.Micro != "v3" || r.Created.IsZero() || r.Replaced != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if diff := cmp.Diff(restored(), tree(t, dir)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if _, err := backup.Restore(t.Context(), bytes.NewReader(b), target(dir, false, nil)); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("a second time: %v, want %v", err, backup.ErrNotEmpty)
	}
	for range 2 { // in the same second
		put(t, dir, "old", "mine", "store/000001.sst")
		r, err = backup.Restore(t.Context(), bytes.NewReader(b), target(dir, true, nil))
		if err != nil {
			t.Fatal(err)
		}
		if old, err := os.ReadFile(filepath.Join(r.Replaced, "mine")); err != nil || string(old) != "old" {
			t.Errorf("what was there: %q, %v", old, err)
		}
	}
}

// Whatever is wrong with a backup, nothing of what is there is touched, and nothing left.
func TestRestoreFails(t *testing.T) {
	t.Parallel()
	b := source(t)
	broken := errors.New("the disk burns")
	foreign := func(name string) []byte {
		var out bytes.Buffer
		w, err := archive.NewWriter(&out, archive.Header{Kind: "backup", Version: 1})
		if err == nil {
			err = w.Add(t.Context(), name, 1, strings.NewReader("x"))
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, tt := range map[string]struct {
		cancel bool
		in     io.Reader
		verify error
		want   error
	}{
		"cut off":          {in: bytes.NewReader(b[:len(b)-1]), want: archive.ErrCut},
		"half":             {in: bytes.NewReader(b[:len(b)/2]), want: archive.ErrCut},
		"does not read on": {in: io.MultiReader(bytes.NewReader(b[:len(b)/2]), errReader{broken}), want: broken},
		"not accepted":     {in: bytes.NewReader(b), verify: broken, want: broken},
		"given up":         {cancel: true, in: bytes.NewReader(b), want: context.Canceled},
		"of something":     {in: strings.NewReader("milk, eggs"), want: archive.ErrForeign},
		"another file":     {in: bytes.NewReader(foreign("passwd")), want: archive.ErrDamaged},
		"another folder":   {in: bytes.NewReader(foreign("runtime/x")), want: archive.ErrDamaged},
		"the lock":         {in: bytes.NewReader(foreign("lock")), want: archive.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, dir, "old", "master.key", "store/000001.sst", "runtime/id")
			before := tree(t, dir)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.cancel {
				cancel()
			}
			if _, err := backup.Restore(ctx, tt.in, target(dir, true, tt.verify)); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
				t.Errorf("before (-) and after (+):\n%s", diff)
			}
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// A restore that is interrupted has either not happened yet, or goes on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	fresh := []string{"master.key", "server.yaml", "store/000001.sst", "store/FORMAT", "images/acme/x/index.json"}
	old := []string{"master.key", "store/000001.sst", "runtime/id"}
	for name, tt := range map[string]struct {
		make func(t *testing.T, dir string)
		want map[string]string
	}{
		"while it unpacks": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, "old", old...)
			put(t, dir, "new", ".restore-X/master.key", ".restore-Y/store/FORMAT", ".backup-Z/store/FORMAT")
		}, map[string]string{"master.key": "old", "store/000001.sst": "old", "runtime/id": "old"}},
		"when it is decided": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, "old", old...)
			put(t, filepath.Join(dir, ".restore"), "new", fresh...)
		}, with(old...)},
		"when something was taken away": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, "old", old[1:]...)
			put(t, filepath.Join(dir, ".replaced"), "old", old[0])
			put(t, filepath.Join(dir, ".restore"), "new", fresh...)
		}, with(old...)},
		"when all was taken away": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, filepath.Join(dir, ".replaced"), "old", old...)
			put(t, filepath.Join(dir, ".restore"), "new", fresh...)
		}, with(old...)},
		"before anything is put there": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, filepath.Join(dir, ".replaced"), "old", old...)
			put(t, filepath.Join(dir, ".restored"), "new", fresh...)
		}, with(old...)},
		"when something is put there": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, filepath.Join(dir, ".replaced"), "old", old...)
			put(t, filepath.Join(dir, ".restored"), "new", fresh[1:]...)
			put(t, dir, "new", fresh[0])
		}, with(old...)},
		"when all is put there": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, filepath.Join(dir, ".replaced"), "old", old...)
			put(t, dir, "new", fresh...)
			if err := os.Mkdir(filepath.Join(dir, ".restored"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, with(old...)},
		"at the very end": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, filepath.Join(dir, "replaced-19700101-000000"), "old", old...)
			put(t, dir, "new", fresh...)
			if err := os.Mkdir(filepath.Join(dir, ".restored"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, with(old...)},
		"into nothing": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, filepath.Join(dir, ".restore"), "new", fresh...)
		}, restored()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.make(t, dir)
			for range 2 {
				if _, err := backup.Finish(dir); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, tree(t, dir)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if backup.Unfinished(dir) {
					t.Error("there is something left to do")
				}
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*")); left != nil {
				t.Errorf("left: %q", left)
			}
		})
	}
}
