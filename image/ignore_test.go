package image

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What git says of its own rules is what we say.
func TestIgnore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules := "# a comment\n\n*.log\n!keep.log\n/root.txt\nbuild/\nsub/deep/*.tmp\n\\#odd\n**/any\ntrailing  \nd*r\n"
	names := map[string]bool{ // whether it is a folder
		"a.log": false, "keep.log": false, "sub/a.log": false, "root.txt": false, "sub/root.txt": false,
		"build/x": false, "sub/build/x": false, "sub/deep/x.tmp": false, "sub/x.tmp": false, "#odd": false,
		"x/y/any": false, "main.go": false, "sub/.gitignore": false, "sub/own": false, "sub/other": false, "other": false,
		"dir/in": false, "trailing": false,
	}
	files := map[string]string{".gitignore": rules, "sub/.gitignore": "own\n!a.log\n"}
	for name := range names {
		if _, ok := files[name]; !ok {
			files[name] = "x"
		}
	}
	write(t, dir, files)
	program := tool(t, "git")
	init := exec.CommandContext(t.Context(), program, "init", "-q")
	init.Dir = dir
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ignore := NewIgnore(dir)
	for name := range names {
		cmd := exec.CommandContext(t.Context(), program, "-c", "core.excludesFile=", "check-ignore", "-q", name)
		cmd.Dir = dir
		want := cmd.Run() == nil
		if got := ignore.Match(name, false); got != want {
			t.Errorf("%s: ignored %t, git says %t", name, got, want)
		}
	}
	if !ignore.Match(".git", true) || !ignore.Match("sub/.git/HEAD", false) {
		t.Error(".git is not ignored")
	}

	// What git keeps can be no part of a source all the same, and the other way round.
	write(t, dir, map[string]string{".microignore": "docs/\n!a.log\nx.go\n", "docs/x": ""})
	ignore = NewIgnore(dir)
	for name, want := range map[string]bool{"docs/x": true, "a.log": false, "x.go": true, "main.go": false, "build/x": true} {
		if got := ignore.Match(name, false); got != want {
			t.Errorf("%s: ignored %t, want %t", name, got, want)
		}
	}
	// Rules are read from files alone, and not from large ones.
	write(t, dir, map[string]string{"big/.gitignore": strings.Repeat("x\n", maxIgnoreFile), "sub/.microignore/x": ""})
	ignore = NewIgnore(dir)
	if ignore.Match("big/x", false) || ignore.Match("sub/other", false) {
		t.Error("what has no rules was ignored")
	}
	if ignore.Match(filepath.ToSlash("../outside"), false) {
		t.Error("what lies outside was ignored")
	}
}

func TestNetrc(t *testing.T) {
	t.Parallel()
	const text = `# mine
machine github.com login alice password secret
machine
  gitlab.com
  login bob account x password "two"
macdef init
  machine evil.example login x password y

machine evil.example login z password w # comment
default login anonymous password guest
`
	for host, want := range map[string]string{
		"github.com": "alice secret", "GitHub.com": "alice secret", "gitlab.com": `bob "two"`,
		"evil.example": "z w", "other.example": "anonymous guest",
	} {
		user, password := parseNetrc(text, host)
		if got := user + " " + password; got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
	for _, broken := range []string{"", "machine", "machine github.com login", "machine github.com password"} {
		if user, password := parseNetrc(broken, "github.com"); user+password != "" {
			t.Errorf("%q: got %q %q", broken, user, password)
		}
	}
}
