package image

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestParseReference(t *testing.T) {
	t.Parallel()
	type want struct{ url, address, folder, ref string }
	for _, test := range []struct {
		in   string
		want want
	}{
		{"github.com/o/r", want{"https://github.com/o/r.git", "github.com/o/r", "", ""}},
		{"github.com/o/r.git", want{"https://github.com/o/r.git", "github.com/o/r", "", ""}},
		{"github.com/o/r/", want{"https://github.com/o/r.git", "github.com/o/r", "", ""}},
		{"github.com/o/r/sub/folder", want{"https://github.com/o/r.git", "github.com/o/r", "sub/folder", ""}},
		{"github.com/o/r@v1", want{"https://github.com/o/r.git", "github.com/o/r", "", "v1"}},
		{"github.com/o/r/sub@feature/x", want{"https://github.com/o/r.git", "github.com/o/r", "sub", "feature/x"}},
		{"github.com/o/r//sub/./x@a@b", want{"https://github.com/o/r.git", "github.com/o/r", "sub/x", "a@b"}},
		{"GitHub.com/O/R", want{"https://github.com/O/R.git", "github.com/O/R", "", ""}},
		{"https://github.com/o/r/sub", want{"https://github.com/o/r.git", "github.com/o/r", "sub", ""}},
		{"https://GitHub.com/o/r", want{"https://github.com/o/r.git", "github.com/o/r", "", ""}},
		{"gitlab.com/g/s/r.git/sub@v1", want{"https://gitlab.com/g/s/r.git", "gitlab.com/g/s/r", "sub", "v1"}},
		{"bitbucket.org/o/r@1234abcd", want{"https://bitbucket.org/o/r.git", "bitbucket.org/o/r", "", "1234abcd"}},
		{"git.example.com/a/b/c.git/sub", want{"https://git.example.com/a/b/c.git", "git.example.com/a/b/c.git", "sub", ""}},
		{"git.example.com:8443/c.git@v1", want{"https://git.example.com:8443/c.git", "https://git.example.com:8443/c.git", "", "v1"}},
		{"https://git.example.com/a/b", want{"https://git.example.com/a/b", "https://git.example.com/a/b", "", ""}},
		{"https://git.example.com/a/b//sub@v1", want{"https://git.example.com/a/b", "https://git.example.com/a/b", "sub", "v1"}},
		{"https://user:secret@git.example.com/a.git", want{"https://git.example.com/a.git", "git.example.com/a.git", "", ""}},
		{"http://127.0.0.1:3000/a.git", want{"http://127.0.0.1:3000/a.git", "http://127.0.0.1:3000/a.git", "", ""}},
		{"ssh://git.example.com/a.git", want{"ssh://git@git.example.com/a.git", "ssh://git@git.example.com/a.git", "", ""}},
		{"ssh://me@host:2222/a//sub@v1", want{"ssh://me@host:2222/a", "ssh://me@host:2222/a", "sub", "v1"}},
		{"git@github.com:o/r", want{"ssh://git@github.com/o/r", "git@github.com:o/r", "", ""}},
		{"git@github.com:o/r.git/sub@v1", want{"ssh://git@github.com/o/r.git", "git@github.com:o/r.git", "sub", "v1"}},
		{"git@host:/srv/r.git", want{"ssh://git@host/srv/r.git", "git@host:/srv/r.git", "", ""}},
	} {
		t.Run(test.in, func(t *testing.T) {
			t.Parallel()
			r, err := parseReference(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := (want{r.url.String(), r.address, r.folder, r.ref}); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseReferenceBad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in, want string // part of the error
	}{
		{"helloworld", errNoAddress.Error()},
		{"a/b/c", errNoAddress.Error()},
		{"github.com", errNoAddress.Error()},
		{"github.com/o", "want OWNER/REPOSITORY"},
		{"github.com/o/r@", "branch, a tag or a commit"},
		{"github.com/o/r@--upload-pack=x", "branch, a tag or a commit"},
		{"github.com/o/r@a..b", "branch, a tag or a commit"},
		{"github.com/o/r@a b", "not allowed"},
		{"github.com/o/r/../../x", "outside the repository"},
		{"github.com/../r", "not allowed"},
		{"github.com/o/r\nhost=evil", "not allowed"},
		{"https://github.com/o/r%0ahost=evil", "not allowed"},
		{`github.com\o\r`, "not allowed"},
		{"git.example.com/a/b", "where does the repository end"},
		{"https:///a/b", "no host"},
		{"https://host/", "no repository"},
		{"https://host/a?x=y", "not allowed"},
		{"my folder", errNoAddress.Error()},
		{"ext::sh -c id", "not allowed"},
		{"git://host/a.git", "not supported"},
		{"file://host/a.git", "on this machine"},
		{"https://u:secret@ho st/a", "not allowed"},
		{"https://u:secret@h[st/a", "invalid"},
	} {
		t.Run(test.in, func(t *testing.T) {
			t.Parallel()
			r, err := parseReference(test.in)
			if err == nil {
				t.Fatalf("got %+v, want an error", r)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want %q in it", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%q tells a password", err)
			}
		})
	}
}

// FuzzReference holds that what is taken apart can be put together again, that
// it leads nowhere else, and that git's tools cannot be told anything with it.
func FuzzReference(f *testing.F) {
	for _, s := range []string{
		"github.com/o/r/sub@v1", "git@host:a/b.git//c@d", "https://u:p@h:1/a//b@c", "file:///srv/r.git//sub@v1",
		"ssh://h/a", "a.b/c.git/d", "https://h/%2e%2e/x.git", "@", "//@//", "git@:x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseReference(s)
		if err != nil || r.url.Scheme == "file" {
			return
		}
		if r.folder != "" && (strings.HasPrefix(r.folder, "/") || strings.Contains("/"+r.folder+"/", "/../")) {
			t.Errorf("%q: folder %q", s, r.folder)
		}
		if strings.HasPrefix(r.ref, "-") {
			t.Errorf("%q: ref %q", s, r.ref)
		}
		if r.url.Host == "" || strings.ContainsAny(r.url.Path+r.url.Host+r.address, "\r\n\x00") || r.url.RawQuery != "" {
			t.Errorf("%q: url %+v", s, r.url)
		}
		if u, err := url.Parse(r.url.String()); err != nil || u.Path != r.url.Path || u.Host != r.url.Host {
			t.Errorf("%q: url %q is read as %+v, %v", s, r.url, u, err)
		}
		again := r.address + "//" + r.folder
		if r.ref != "" {
			again += "@" + r.ref
		}
		r2, err := parseReference(again)
		if err != nil {
			t.Fatalf("%q is %q, which is no address: %v", s, again, err)
		}
		if r2.address != r.address || r2.url.String() != r.url.String() || r2.folder != r.folder || r2.ref != r.ref {
			t.Errorf("%q is %+v, then %+v", s, r, r2)
		}
	})
}

func TestServiceName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"helloworld":                   "helloworld",
		"Hello_World.v2":               "hello-world-v2",
		"--x--":                        "x",
		"r.git":                        "r",
		"/":                            "service",
		"日本":                           "service",
		strings.Repeat("a", 70):        strings.Repeat("a", 63),
		strings.Repeat("a", 62) + "-b": strings.Repeat("a", 62),
	} {
		if got := serviceName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestFetchUnknown(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"no-such-directory", "./no-such-directory", "/no/such/directory", "file:///no/such/repository@v1"} {
		if _, err := Fetch(t.Context(), ref, FetchOptions{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, want %v", ref, err, ErrNotFound)
		}
	}
	if _, err := Fetch(t.Context(), "source_test.go", FetchOptions{}); err == nil {
		t.Error("a file was taken for a source")
	}
}
