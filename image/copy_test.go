package image

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCopy(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{"go.mod": goMod, "main.go": goMain, "proto/helloworld.proto": helloProto})
	from := newTestRegistry(t, httptest.NewServer, "reader")
	push := func(tag string, platforms ...string) *Image {
		t.Helper()
		i := buildImage(t, s, BuildOptions{Platforms: platforms})
		if _, err := i.Push(t.Context(), PushOptions{Registry: from.host(), Repository: "team/app", Tag: tag, PlainHTTP: true, Token: give("reader")}); err != nil {
			t.Fatal(err)
		}
		return i
	}
	one := push("one", "linux/amd64")
	both := push("both", "linux/amd64", "linux/arm64")

	for _, test := range []struct {
		name, ref string
		platforms []string
		digest    string
		err       error
	}{
		{name: "an image", ref: "one", digest: one.Digest()},
		{name: "an image for its platform", ref: "one", platforms: []string{"linux/amd64"}, digest: one.Digest()},
		{name: "an image for another", ref: "one", platforms: []string{"linux/arm64"}, err: ErrPlatform},
		{name: "an index", ref: "both", digest: both.Digest()},
		{name: "an index for two", ref: "both", platforms: []string{"linux/arm64", "linux/amd64"}, digest: both.Digest()},
		{name: "one of an index", ref: "both", platforms: []string{"linux/arm64"}, digest: both.Platforms()[1].Digest},
		{name: "none of an index", ref: "both", platforms: []string{"linux/amd64", "plan9/386"}, err: ErrPlatform},
		{name: "no such tag", ref: "none", err: ErrNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			to := newTestRegistry(t, httptest.NewServer, "writer")
			got, err := Copy(t.Context(),
				CopyOptions{Reference: from.host() + "/team/app:" + test.ref, Platforms: test.platforms, PlainHTTP: true, Token: give("reader")},
				PushOptions{Registry: to.host(), Repository: "micro/copy", Tag: "latest", PlainHTTP: true, Token: give("writer")})
			if test.err != nil {
				if !errors.Is(err, test.err) {
					t.Errorf("got %v, want %v", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Reference != "micro/copy@"+test.digest || got.Tag != test.ref || got.Repository != from.host()+"/team/app" || got.Size < 1<<20 {
				t.Errorf("got %+v, want %s", got, test.digest)
			}
			i, err := to.Image(t.Context(), "micro/copy:latest", "linux/amd64")
			if err != nil {
				t.Fatal(err)
			}
			files(t, i) // checks the digests
			for _, kind := range []string{SchemaType, SBOMType} {
				if _, err := to.Attachment(t.Context(), got.Reference, kind, 1<<20); err != nil {
					t.Error(err)
				}
			}
			if _, err := to.Attachment(t.Context(), "micro/copy@"+i.Digest, RecordType, 1<<20); err != nil {
				t.Error(err)
			}
		})
	}
	to := newTestRegistry(t, httptest.NewServer, "writer")
	target := PushOptions{Registry: to.host(), Repository: "micro/copy", PlainHTTP: true, Token: give("writer")}
	closed := httptest.NewServer(nil)
	closed.Close()
	artifact := buildArtifact(t, from)
	for name, test := range map[string]struct {
		from CopyOptions
		err  error
	}{
		"wrong token": {CopyOptions{Reference: from.host() + "/team/app:one", Token: give("x")}, ErrAuth},
		"nobody":      {CopyOptions{Reference: strings.TrimPrefix(closed.URL, "http://") + "/team/app:one", Token: give("x")}, ErrUnreachable},
		"no image":    {CopyOptions{Reference: from.host() + "/team/app@" + artifact, Token: give("reader")}, nil},
		"no name":     {CopyOptions{Reference: "A b", Token: give("x")}, nil},
	} {
		test.from.PlainHTTP = true
		if _, err := Copy(t.Context(), test.from, target); err == nil || test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("%s: got %v, want %v", name, err, test.err)
		}
	}
	// Nothing is sent that is there.
	for range 2 {
		to.sent("")
		if _, err := Copy(t.Context(), CopyOptions{Reference: from.host() + "/team/app:both", PlainHTTP: true, Token: give("reader")}, target); err != nil {
			t.Fatal(err)
		}
	}
	if n := to.sent(http.MethodPatch) + to.sent(http.MethodPut); n != 0 {
		t.Errorf("%d things were sent again", n)
	}
}

// buildArtifact returns the digest of something in a registry that is no image: the
// first thing that was attached to one.
func buildArtifact(t *testing.T, r *testRegistry) string {
	t.Helper()
	list, _, err := r.List(t.Context(), "team")
	if err != nil || len(list) == 0 {
		t.Fatal(err)
	}
	i := buildImage(t, source(t, map[string]string{"go.mod": goMod, "main.go": goMain}), BuildOptions{Platforms: []string{"linux/amd64"}})
	if _, err := i.Push(t.Context(), PushOptions{Registry: r.host(), Repository: "team/app", PlainHTTP: true, Token: give("reader")}); err != nil {
		t.Fatal(err)
	}
	return i.attached[0].descriptor.Digest.String()
}
