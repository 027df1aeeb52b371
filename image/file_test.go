package image

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-git/go-git/v5"
	"github.com/google/go-cmp/cmp"
)

func TestFetchFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := newFixture(t, filepath.Join(dir, "repo"))
	// What is not committed is not part of the source.
	write(t, f.dir, map[string]string{"main.txt": "changed"})
	bare := filepath.Join(dir, "bare.git")
	if _, err := git.PlainClone(bare, true, &git.CloneOptions{URL: f.dir, Mirror: true}); err != nil {
		t.Fatal(err)
	}
	for name, repository := range map[string]string{"working tree": "file://" + f.dir, "bare": "file://" + bare} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, c := range f.cases() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.check(t, repository)
				})
			}
		})
	}
}

func TestFetchFileErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := newFixture(t, filepath.Join(dir, "repo"))
	newRepository(t, filepath.Join(dir, "empty"))
	for _, test := range []struct {
		name, ref string
		near      []string
	}{
		{name: "similar tag", ref: "file://" + f.dir + "@v1.2.0", near: []string{"v1.1.0", "v1.0.0"}},
		{name: "beginning of a tag", ref: "file://" + f.dir + "@v1", near: []string{"v1.1.0", "v1.0.0"}},
		{name: "branch by its last part", ref: "file://" + f.dir + "@x", near: []string{"feature/x"}},
		{name: "nothing like it", ref: "file://" + f.dir + "@production"},
		{name: "commit", ref: "file://" + f.dir + "@0123456789012345678901234567890123456789"},
		{name: "digits", ref: "file://" + f.dir + "@0123456"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Fetch(t.Context(), test.ref, FetchOptions{})
			var e *RefError
			if !errors.As(err, &e) || !errors.Is(err, ErrNotFound) {
				t.Fatalf("got %v, want a RefError", err)
			}
			if diff := cmp.Diff(test.near, e.Near); diff != "" {
				t.Errorf("near (-want +got):\n%s", diff)
			}
		})
	}
	for name, ref := range map[string]string{
		"no commit":      "file://" + dir + "/empty",
		"no folder":      "file://" + f.dir + "//none",
		"file as folder": "file://" + f.dir + "//main.txt",
		"no repository":  "file://" + dir,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			temp := t.TempDir()
			if _, err := Fetch(t.Context(), ref, FetchOptions{TempDir: temp}); !errors.Is(err, ErrNotFound) {
				t.Errorf("got %v, want %v", err, ErrNotFound)
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
				t.Errorf("%v is left (%v)", left, err)
			}
		})
	}
}

func TestFindRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, repository := range []string{"repo/.git", "a@b/repo/.git", "repo/inner/.git", "bare.git/objects", "bare.git/refs"} {
		if err := os.MkdirAll(filepath.Join(dir, repository), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, map[string]string{"bare.git/HEAD": ""})
	type want struct{ repository, folder, ref string }
	for in, want := range map[string]want{
		"/repo":                 {"/repo", "", ""},
		"/repo/":                {"/repo", "", ""},
		"/repo@v1":              {"/repo", "", "v1"},
		"/repo/sub@v1":          {"/repo", "sub", "v1"},
		"/repo/sub@feature/x":   {"/repo", "sub", "feature/x"},
		"/repo//sub@v1":         {"/repo", "sub", "v1"},
		"/repo/inner/x@v1":      {"/repo/inner", "x", "v1"},
		"/repo//inner/x":        {"/repo", "inner/x", ""},
		"/a@b/repo":             {"/a@b/repo", "", ""},
		"/a@b/repo/sub@v1":      {"/a@b/repo", "sub", "v1"},
		"/bare.git":             {"/bare.git", "", ""},
		"/bare.git/sub/deep@v1": {"/bare.git", "sub/deep", "v1"},
		"/bare.git//../repo":    {},
		"/none@v1":              {},
		"/repo@..":              {},
		"/none//sub":            {},
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			r, err := findRepository(dir + in)
			if want.repository == "" {
				if err == nil {
					t.Fatalf("got %+v, want an error", r)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want.repository = dir + want.repository
			if got := (struct{ repository, folder, ref string }{r.url.Path, r.folder, r.ref}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestFetchDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Hello_World")
	f := newRepository(t, dir)
	h := f.commit(map[string]string{".gitignore": "*.log\n", "main.go": "package main\n", "sub/x.go": "package sub\n"})
	t.Chdir(dir)
	fetch := func(ref string) *Source {
		t.Helper()
		s, err := Fetch(t.Context(), ref, FetchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.close = nil
		return s
	}
	want := &Source{Dir: dir, Name: "hello-world", Address: "Hello_World", Revision: h.String()}
	inSub := &Source{Dir: filepath.Join(dir, "sub"), Name: "sub", Address: "sub", Revision: h.String()}
	for _, path := range []string{os.Getenv("PATH"), ""} { // with git, and without
		t.Setenv("PATH", path)
		for ref, want := range map[string]*Source{".": want, dir: want, "./sub": inSub, "sub": inSub, "sub/..": want} {
			if diff := cmp.Diff(want, fetch(ref), cmp.AllowUnexported(Source{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", ref, diff)
			}
		}
		for name, file := range map[string]string{"changed": "main.go", "new": "new.go"} {
			write(t, dir, map[string]string{"ignored.log": "x", file: "package main // " + name})
			if s := fetch("."); !s.Modified || s.Revision != h.String() {
				t.Errorf("%s: got %+v, want it modified", name, s)
			}
			if err := os.Remove(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{"main.go": "package main\n"})
		}
		if s := fetch("."); s.Modified {
			t.Error("still modified")
		}
	}
	t.Chdir(t.TempDir())
	if s := fetch("."); s.Revision != "" || s.Modified {
		t.Errorf("not in a repository: got %+v", s)
	}
}
