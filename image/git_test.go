package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/google/go-cmp/cmp"
)

// gitHost serves the repositories below a directory as git hosts do.
type gitHost struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // bodies of those for packs
	password string   // if not empty, what has to be sent
}

func newGitHost(t *testing.T, root string) *gitHost {
	t.Helper()
	h := &gitHost{}
	backend := &cgi.Handler{
		Path: tool(t, "git"), Args: []string{"http-backend"}, Root: "/",
		Stderr: io.Discard,
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + filepath.Join(root, "gitconfig")},
	}
	// The repositories may belong to another user than the one who tests.
	write(t, root, map[string]string{"gitconfig": "[safe]\n\tdirectory = *\n"})
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != h.password {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.requests = append(h.requests, string(body))
		h.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

// configure sets a setting of a repository.
func (f *fixture) configure(section, name, value string) {
	f.t.Helper()
	c, err := f.Config()
	if err != nil {
		f.t.Fatal(err)
	}
	c.Raw.Section(section).SetOption(name, value)
	if err := f.SetConfig(c); err != nil {
		f.t.Fatal(err)
	}
}

func TestFetchRemote(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	h := newGitHost(t, root)
	for name, settings := range map[string][]string{
		"plain":    nil,
		"generous": {"allowReachableSHA1InWant", "allowFilter"},
	} {
		f := newFixture(t, filepath.Join(root, name))
		for _, s := range settings {
			f.configure("uploadpack", s, "true")
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, c := range f.cases() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.check(t, h.URL+"/"+name)
				})
			}
		})
	}
}

// TestFetchShallow holds that of a branch no history is sent.
func TestFetchShallow(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	h := newGitHost(t, root)
	newFixture(t, filepath.Join(root, "r"))
	var last Event
	s, err := Fetch(t.Context(), h.URL+"/r@feature/x", FetchOptions{TempDir: t.TempDir(), Progress: func(e Event) { last = e }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if len(h.requests) != 2 || !strings.Contains(h.requests[1], "deepen 1") {
		t.Errorf("requests: %q", h.requests)
	}
	if last.Stage != Fetching || last.Done == 0 {
		t.Errorf("last event: %+v", last)
	}
}

func TestFetchRemoteErrors(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	h := newGitHost(t, root)
	newFixture(t, filepath.Join(root, "r"))
	newRepository(t, filepath.Join(root, "empty"))
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, test := range []struct {
		name, ref string
		options   FetchOptions
		want      error
	}{
		{name: "no repository", ref: h.URL + "/none", want: ErrNotFound},
		{name: "no commit", ref: h.URL + "/empty", want: ErrNotFound},
		{name: "no folder", ref: h.URL + "/r//none", want: ErrNotFound},
		{name: "no tag", ref: h.URL + "/r@v1.2.0", want: ErrNotFound},
		{name: "no digits", ref: h.URL + "/r@0123456", want: ErrNotFound},
		{name: "no host", ref: closed.URL + "/r", want: ErrUnreachable},
		{name: "no name of a host", ref: "https://no-such-host.invalid/r", want: ErrUnreachable},
		{name: "much data", ref: h.URL + "/r", options: FetchOptions{MaxBytes: 100}, want: ErrTooLarge},
		{name: "large file", ref: h.URL + "/r", options: FetchOptions{MaxFile: 2}, want: ErrTooLarge},
		{name: "many files", ref: h.URL + "/r", options: FetchOptions{MaxFiles: 4}, want: ErrTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.options.TempDir = t.TempDir()
			if _, err := Fetch(t.Context(), test.ref, test.options); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if left, err := os.ReadDir(test.options.TempDir); err != nil || len(left) != 0 {
				t.Errorf("%v is left (%v)", left, err)
			}
		})
	}
	var e *RefError
	if _, err := Fetch(t.Context(), h.URL+"/r@v1.2.0", FetchOptions{}); !errors.As(err, &e) || !cmp.Equal(e.Near, []string{"v1.1.0", "v1.0.0"}) {
		t.Errorf("got %v", err)
	}
}

func TestFetchCredentials(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	h := newGitHost(t, root)
	h.password = "secret"
	f := newFixture(t, filepath.Join(root, "r"))
	give := func(user, password string, err error) func(context.Context, string) (string, string, error) {
		return func(_ context.Context, url string) (string, string, error) {
			if url != h.URL+"/r" {
				t.Errorf("asked for credentials of %q", url)
			}
			return user, password, err
		}
	}
	broken := errors.New("the keyring is locked")
	for name, test := range map[string]struct {
		credentials func(context.Context, string) (string, string, error)
		want        error
	}{
		"right":  {give("alice", "secret", nil), nil},
		"wrong":  {give("alice", "guess", nil), ErrAuth},
		"none":   {give("", "", nil), ErrAuth},
		"broken": {give("", "", broken), broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Fetch(t.Context(), h.URL+"/r", FetchOptions{TempDir: t.TempDir(), Credentials: test.credentials})
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && s.Revision != f.last.String() {
				t.Errorf("got %+v", s)
			}
		})
	}
	t.Run("in the address", func(t *testing.T) {
		t.Parallel()
		address := strings.Replace(h.URL, "http://", "http://alice:secret@", 1) + "/r"
		s, err := Fetch(t.Context(), address, FetchOptions{TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(s.Address, "secret") || s.Address != h.URL+"/r" {
			t.Errorf("got address %q", s.Address)
		}
	})
}

// TestFetchGitCredentials lets the user's git answer for the user.
func TestFetchGitCredentials(t *testing.T) {
	root := t.TempDir()
	h := newGitHost(t, root)
	h.password = "secret"
	newFixture(t, filepath.Join(root, "r"))
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	if _, err := Fetch(t.Context(), h.URL+"/r", FetchOptions{TempDir: t.TempDir()}); !errors.Is(err, ErrAuth) {
		t.Errorf("without a helper: got %v, want %v", err, ErrAuth)
	}
	write(t, home, map[string]string{
		".gitconfig":       "[credential]\n\thelper = store\n",
		".git-credentials": strings.Replace(h.URL, "http://", "http://alice:secret@", 1) + "\n",
	})
	if _, err := Fetch(t.Context(), h.URL+"/r", FetchOptions{TempDir: t.TempDir()}); err != nil {
		t.Errorf("with a helper: %v", err)
	}
}

// TestFetchHanging holds that a host that says nothing, or never stops, does not
// hold up a caller who gives up.
func TestFetchHanging(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]func(w http.ResponseWriter, stop <-chan struct{}){
		"silent": func(_ http.ResponseWriter, stop <-chan struct{}) { <-stop },
		"endless": func(w http.ResponseWriter, stop <-chan struct{}) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, "001e# service=git-upload-pack\n0000"+pktLine("0123456789012345678901234567890123456789 HEAD\x00side-band-64k\n"))
			line := []byte(pktLine("0123456789012345678901234567890123456789 refs/heads/aaaa\n"))
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := w.Write(line); err != nil {
						return
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, stop := make(chan struct{}, 16), make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked <- struct{}{}
				handler(w, stop)
			}))
			defer s.Close()
			defer close(stop)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-asked
				cancel()
			}()
			if _, err := Fetch(ctx, s.URL+"/r", FetchOptions{TempDir: t.TempDir()}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
			if _, err := Fetch(t.Context(), s.URL+"/r", FetchOptions{TempDir: t.TempDir(), MaxBytes: 1 << 20, Timeout: 1}); err == nil {
				t.Error("no error after the time is over")
			}
		})
	}
}

// TestFetchEndless holds that a host that sends without an end is cut off.
func TestFetchEndless(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/info/refs") {
			_, _ = io.WriteString(w, "001e# service=git-upload-pack\n0000"+
				pktLine("0123456789012345678901234567890123456789 HEAD\x00side-band-64k ofs-delta\n")+"0000")
			return
		}
		_, _ = io.WriteString(w, pktLine("NAK\n"))
		for {
			if _, err := io.WriteString(w, pktLine("\x01"+strings.Repeat("x", 60000))); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	if _, err := Fetch(t.Context(), s.URL+"/r", FetchOptions{TempDir: t.TempDir(), MaxBytes: 8 << 20}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want %v", err, ErrTooLarge)
	}
}

// pktLine frames a line as git's protocol has it.
func pktLine(s string) string {
	const digits = "0123456789abcdef"
	n := len(s) + 4
	return string([]byte{digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]}) + s
}

// What there is no way in to says where one logs in.
func TestAuthError(t *testing.T) {
	t.Parallel()
	f := &fetcher{}
	for address, want := range map[string]AuthError{
		"github.com/o/r":               {Address: "github.com/o/r", Host: "github.com"},
		"https://git.example.com:81/r": {Address: "https://git.example.com:81/r", Host: "git.example.com:81"},
		"git@example.com:r":            {Address: "git@example.com:r", Host: "example.com", SSH: true},
	} {
		var err error
		if f.reference, err = parseReference(address); err != nil {
			t.Fatal(err)
		}
		got, ok := errors.AsType[*AuthError](f.explain(transport.ErrAuthenticationRequired))
		if !ok || !errors.Is(got, ErrAuth) {
			t.Fatalf("%s: got %v", address, got)
		}
		want.Reason = got.Reason
		if *got != want {
			t.Errorf("%s: got %+v, want %+v", address, *got, want)
		}
	}
}
