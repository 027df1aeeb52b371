package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// The tests in this file and the next ones work on repositories that they make.

// tool returns a program's path. The test is skipped where it is not installed,
// unless everything is to be tested.
func tool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("MICRO_TEST_ALL") != "" {
			tb.Fatal(err)
		}
		tb.Skip(err)
	}
	return path
}

func write(tb testing.TB, dir string, files map[string]string) {
	tb.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
}

// writeProgram writes a file that can be run at once. A child that another test
// starts meanwhile would have it open for writing, and then it cannot be.
func writeProgram(tb testing.TB, path, content string) {
	tb.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		tb.Fatal(err)
	}
}

// testRepository is a repository with a working tree.
type testRepository struct {
	t   testing.TB
	dir string
	*git.Repository
	n int
}

func newRepository(tb testing.TB, dir string) *testRepository {
	tb.Helper()
	r, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{InitOptions: git.InitOptions{DefaultBranch: "refs/heads/trunk"}})
	if err != nil {
		tb.Fatal(err)
	}
	return &testRepository{t: tb, dir: dir, Repository: r}
}

// commit commits files over those that there are, and returns the commit.
func (r *testRepository) commit(files map[string]string) plumbing.Hash {
	r.t.Helper()
	write(r.t, r.dir, files)
	tree, err := r.Worktree()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := tree.AddGlob("."); err != nil {
		r.t.Fatal(err)
	}
	r.n++
	who := &object.Signature{Name: "test", Email: "test@example.com", When: time.Unix(int64(1e9+r.n), 0).UTC()}
	h, err := tree.Commit("commit", &git.CommitOptions{Author: who, AllowEmptyCommits: true})
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// branch makes a branch at a commit.
func (r *testRepository) branch(name string, h plumbing.Hash) {
	r.t.Helper()
	if err := r.Storer.SetReference(plumbing.NewHashReference(plumbing.NewBranchReferenceName(name), h)); err != nil {
		r.t.Fatal(err)
	}
}

// tag makes a tag at a commit, with a message unless that is empty.
func (r *testRepository) tag(name string, h plumbing.Hash, message string) {
	r.t.Helper()
	var o *git.CreateTagOptions
	if message != "" {
		o = &git.CreateTagOptions{Message: message, Tagger: &object.Signature{Name: "test", When: time.Unix(1e9, 0)}}
	}
	if _, err := r.CreateTag(name, h, o); err != nil {
		r.t.Fatal(err)
	}
}

// fixture is a repository whose main.txt says which commit it is of.
type fixture struct {
	*testRepository
	first, second, side, last plumbing.Hash
}

func newFixture(tb testing.TB, dir string) *fixture {
	tb.Helper()
	f := &fixture{testRepository: newRepository(tb, dir)}
	f.first = f.commit(map[string]string{"main.txt": "first", "sub/x.txt": "x", "sub/deep/y.txt": "y"})
	f.second = f.commit(map[string]string{"main.txt": "second"})
	f.tag("v1.0.0", f.first, "")
	f.tag("v1.1.0", f.second, "a message")
	f.side = f.commit(map[string]string{"main.txt": "side"})
	f.branch("feature/x", f.side)
	f.branch("both", f.side)
	f.tag("both", f.first, "")
	f.last = f.commit(map[string]string{"main.txt": "last", "sub/../a space.txt": "z"})
	return f
}

// fetchCase is a reference to a fixture and what it leads to.
type fetchCase struct {
	name     string
	rest     string // of the reference, behind the repository
	content  string // of main.txt in the repository's root
	revision plumbing.Hash
	ref      string
	folder   string
}

func (f *fixture) cases() []fetchCase {
	return []fetchCase{
		{name: "default branch", content: "last", revision: f.last, ref: "trunk"},
		{name: "latest", rest: "@latest", content: "last", revision: f.last, ref: "trunk"},
		{name: "branch", rest: "@feature/x", content: "side", revision: f.side, ref: "feature/x"},
		{name: "full name", rest: "@refs/heads/feature/x", content: "side", revision: f.side, ref: "refs/heads/feature/x"},
		{name: "branch before tag", rest: "@both", content: "side", revision: f.side, ref: "both"},
		{name: "tag", rest: "@v1.0.0", content: "first", revision: f.first, ref: "v1.0.0"},
		{name: "tag with a message", rest: "@v1.1.0", content: "second", revision: f.second, ref: "v1.1.0"},
		{name: "commit of a branch", rest: "@" + f.side.String(), content: "side", revision: f.side, ref: f.side.String()},
		{name: "first digits of a named commit", rest: "@" + f.first.String()[:9], content: "first", revision: f.first, ref: f.first.String()[:9]},
		{name: "first digits of a tagged commit", rest: "@" + f.second.String()[:9], content: "second", revision: f.second, ref: f.second.String()[:9]},
		{name: "commit without a name", rest: "@" + f.second.String(), content: "second", revision: f.second, ref: f.second.String()},
		{name: "folder", rest: "//sub@v1.0.0", content: "first", revision: f.first, ref: "v1.0.0", folder: "sub"},
		{name: "folder in a folder", rest: "//sub/deep", content: "last", revision: f.last, ref: "trunk", folder: "sub/deep"},
	}
}

// check fetches a case and compares what comes.
func (c fetchCase) check(t *testing.T, repository string) {
	t.Helper()
	o := FetchOptions{TempDir: t.TempDir()}
	s, err := Fetch(t.Context(), repository+c.rest, o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Revision != c.revision.String() || s.Ref != c.ref || s.Folder != c.folder || s.Address != repository || s.Modified {
		t.Errorf("got %+v, want %+v", s, c)
	}
	root := strings.TrimSuffix(s.Dir, filepath.FromSlash(c.folder))
	if got, err := os.ReadFile(filepath.Join(root, "main.txt")); err != nil || string(got) != c.content {
		t.Errorf("main.txt: got %q, %v, want %q", got, err, c.content)
	}
	if c.folder != "" && s.Name != filepath.Base(c.folder) {
		t.Errorf("got name %q", s.Name)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(o.TempDir); err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}
