package envs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGitLogin(t *testing.T) {
	t.Parallel()
	d, k := newDirs(t), newKeyring()
	for _, l := range []GitLogin{
		{Host: "github.com", User: "alice", Token: "one", Storage: InKeyring},
		{Host: "git.example.com:8443", User: "git", Token: "two", Storage: InFile},
	} {
		if err := l.Save(d, k); err != nil {
			t.Fatal(err)
		}
		got, err := FindGitLogin(d, strings.ToUpper(l.Host), k)
		if err != nil || got != l {
			t.Errorf("got %+v, %v, want %+v", got, err, l)
		}
	}
	// A token in the keyring is nowhere else; one in a file is for the user alone.
	text, err := os.ReadFile(gitPath(d, "github.com"))
	if err != nil || strings.Contains(string(text), "one") {
		t.Errorf("the file has %s, %v", text, err)
	}
	info, err := os.Stat(gitPath(d, "git.example.com:8443"))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	all, err := GitLogins(d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]GitLogin{
		{Host: "git.example.com:8443", User: "git", Storage: InFile}, {Host: "github.com", User: "alice", Storage: InKeyring},
	}, all); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
	for _, host := range []string{"gitlab.com", "git.example.com", "hub.com", "../github.com", ""} {
		if l, err := FindGitLogin(d, host, k); !errors.Is(err, ErrNoSession) {
			t.Errorf("%q: got %+v, %v", host, l, err)
		}
	}
	for _, host := range []string{"github.com", "git.example.com:8443"} {
		if err := ForgetGitLogin(d, host, k); err != nil {
			t.Error(err)
		}
		if err := ForgetGitLogin(d, host, k); !errors.Is(err, ErrNoSession) {
			t.Errorf("%s again: %v", host, err)
		}
	}
	if _, err := k.Get(gitEntry(d, "github.com")); !errors.Is(err, ErrNoSession) {
		t.Errorf("the keyring has it still: %v", err)
	}
	for _, host := range []string{"", "a b", "../x", "-x", "github.com/o", "x:y", "http://github.com"} {
		if got, err := GitHost(host); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %q, %v", host, got, err)
		}
	}
	// A file that somebody moved is for no other host.
	if err := (GitLogin{Host: "github.com", Token: "x", Storage: InFile}).Save(d, k); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(gitPath(d, "github.com"), filepath.Join(gitDir(d), "evil.example.json")); err != nil {
		t.Fatal(err)
	}
	if l, err := FindGitLogin(d, "evil.example", k); !errors.Is(err, ErrNoSession) {
		t.Errorf("got %+v, %v", l, err)
	}
}
