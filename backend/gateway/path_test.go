package gateway

import (
	"slices"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path     string
		service  string // empty: refused
		words    string
		endpoint string
	}{
		{"/foo", "foo", "", "Foo.Call"},
		{"/foo/", "foo", "", "Foo.Call"},
		{"foo", "foo", "", "Foo.Call"},
		{"//foo//", "foo", "", "Foo.Call"},
		{"/foo/bar", "foo", "bar", "Foo.Bar"},
		{"/foo/Bar", "foo", "Bar", "Foo.Bar"},
		{"/foo/ping-pong", "foo", "ping-pong", "Foo.PingPong"},
		{"/foo/ping_pong", "foo", "ping_pong", "Foo.PingPong"},
		{"/foo-bar/baz", "foo-bar", "baz", "FooBar.Baz"},
		{"/foo/bar/baz", "foo", "bar baz", "Bar.Baz"},
		{"/foo/bar/baz/cat", "foo-bar", "baz cat", "Baz.Cat"},
		{"/foo/bar/baz/cat/dog", "foo-bar-baz", "cat dog", "Cat.Dog"},
		{"/v1/foo", "v1-foo", "Foo Call", "Foo.Call"},
		{"/v1/foo/bar", "v1-foo", "Foo bar", "Foo.Bar"},
		{"/v12/foo/bar", "v12-foo", "Foo bar", "Foo.Bar"},
		{"/v1/foo/bar/baz", "v1-foo", "bar baz", "Bar.Baz"},
		{"/v1", "v1", "", "V1.Call"},
		{"/v/foo", "v", "foo", "V.Foo"},
		{"/v1a/foo", "v1a", "foo", "V1a.Foo"},
		{"/foo/pkg.Bar/Baz", "foo", "pkg.Bar Baz", "Pkg.Bar.Baz"},
		{"/foo/über", "foo", "über", "Foo.über"},

		{"", "", "", ""},
		{"/", "", "", ""},
		{"///", "", "", ""},
		{"/foo//bar", "", "", ""},
		{"/../foo", "", "", ""},
		{"/foo/..", "", "", ""},
		{"/foo/./bar", "", "", ""},
	} {
		got, err := parsePath(tt.path)
		if (err == nil) != (tt.service != "") {
			t.Errorf("parsePath(%q): %+v, %v", tt.path, got, err)
			continue
		}
		if err != nil {
			continue
		}
		if got.service != tt.service || strings.Join(got.words, " ") != tt.words || got.endpoint() != tt.endpoint {
			t.Errorf("parsePath(%q) = %q %q %q, want %q %q %q", tt.path, got.service, got.words, got.endpoint(), tt.service, tt.words, tt.endpoint)
		}
	}
}

// Whatever a path is, it names a service by one part without slashes and a method by
// at most two, and the endpoint that rules are asked for has a dot, so that it is
// never taken for a class.
func FuzzParsePath(f *testing.F) {
	for _, path := range []string{"/foo/bar/baz/cat", "/v1/foo", "/..//", "/foo/%2e%2e", "\x00/\xff", "/v1/-/_", "v0/._"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parsePath(path)
		if err != nil {
			return
		}
		if len(got.words) > 2 {
			t.Errorf("%q: the words %q", path, got.words)
		}
		for _, part := range append(slices.Clone(got.words), got.service) {
			if strings.Contains(part, "/") {
				t.Errorf("%q: the part %q", path, part)
			}
		}
		if got.service == "" || !strings.Contains(got.endpoint(), ".") {
			t.Errorf("%q: service %q, endpoint %q", path, got.service, got.endpoint())
		}
		again, err := parsePath("/" + strings.Trim(path, "/") + "/")
		if err != nil || again.service != got.service || !slices.Equal(again.words, got.words) {
			t.Errorf("%q with a slash on either side: %+v, %v; want %+v", path, again, err, got)
		}
	})
}
