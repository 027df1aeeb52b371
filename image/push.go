package image

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// PushOptions say where an image goes.
type PushOptions struct {
	Registry   string // HOST or HOST:PORT
	Repository string // such as NAMESPACE/SERVICE
	Tag        string // empty: the image is found by its digest only

	PlainHTTP bool        // without TLS
	TLS       *tls.Config // nil: the system's certificates

	// Token returns the bearer token to send, or none to push as nobody. Nil
	// takes what the user's container tools are logged in with.
	Token func(ctx context.Context) (string, error)

	Progress func(Event)
}

// Push sends the image with all that is attached to a registry, but for what is
// there already, and returns REPOSITORY@sha256:HEX. When it returns an error,
// the registry may have some of it, and no tag that names it. The error is
// [ErrAuth] when the registry wants another token, and [ErrUnreachable] when
// there is no way to it.
func (i *Image) Push(ctx context.Context, o PushOptions) (string, error) {
	var options []name.Option
	if o.PlainHTTP {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(o.Registry+"/"+o.Repository, append(options, name.StrictValidation)...)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", i.name, err)
	}
	t, err := o.transport(ctx, repository.RegistryStr())
	if err != nil {
		return "", fmt.Errorf("push %s: %w", i.name, err)
	}
	defer t.base.CloseIdleConnections()
	auth := remote.WithAuth(authn.Anonymous)
	if o.Token == nil {
		auth = remote.WithAuthFromKeychain(authn.DefaultKeychain)
	}
	var root name.Reference = repository.Digest(i.Digest())
	if o.Tag != "" {
		if root, err = name.NewTag(repository.Name()+":"+o.Tag, append(options, name.StrictValidation)...); err != nil {
			return "", fmt.Errorf("push %s: %w", i.name, err)
		}
	}
	if err := i.push(ctx, root, t, o.Progress, auth, remote.WithTransport(t), remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push %s to %s: %w", i.name, o.Registry, explainPush(ctx, err))
	}
	return o.Repository + "@" + i.Digest(), nil
}

// push sends all manifests with their blobs, and tells how far it is. The root comes
// last: what is named by a tag is whole.
func (i *Image) push(ctx context.Context, root name.Reference, t *pushTransport, progress func(Event), options ...remote.Option) error {
	sent := &sent{total: i.Size(), progress: progress, message: root.Context().RepositoryStr(), seen: map[v1.Hash]bool{}}
	t.sent = sent
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return err
	}
	for _, m := range i.manifests() {
		ref := root
		if m != i.root {
			ref = root.Context().Digest(m.descriptor.Digest.String())
		}
		if err := pusher.Push(ctx, ref, m.taggable()); err != nil {
			return err
		}
		sent.whole(m)
	}
	return nil
}

// taggable returns the manifest as the library wants it: an image with its layers, or
// an index, whose images are sent already.
func (m *manifest) taggable() remote.Taggable {
	if m.config == nil {
		return m
	}
	image, err := partial.CompressedToImage(m)
	if err != nil { // it looks at the type alone
		return m
	}
	return image
}

// sent tells how much of an image has arrived. It is safe for concurrent use.
type sent struct {
	total    int64
	progress func(Event)
	message  string

	mu   sync.Mutex
	done int64 // of what is on its way
	seen map[v1.Hash]bool
	size int64 // of what is there
}

// whole says that a manifest is there with all its blobs, sent or not.
func (s *sent) whole(m *manifest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size += m.descriptor.Size
	for _, b := range m.blobs() {
		if !s.seen[b.digest] {
			s.seen[b.digest] = true
			s.size += b.length()
		}
	}
	s.done = 0
	s.tell()
}

func (s *sent) tell() {
	report(s.progress, Event{Stage: Pushing, Message: s.message, Done: min(s.size+s.done, s.total), Total: s.total})
}

// reader tells of each read of a request's body.
func (s *sent) reader(body io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(body, s), body}
}

// Write counts what was read.
func (s *sent) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += int64(len(p))
	s.tell()
	return len(p), nil
}

// pushTransport sends requests as [PushOptions] say.
type pushTransport struct {
	base      *http.Transport
	host      string
	token     string
	own       bool // the token is ours: what the registry says of other ways in is not asked for
	plainHTTP bool
	sent      *sent // is told what goes out; nil: nobody
}

func (o PushOptions) transport(ctx context.Context, host string) (*pushTransport, error) {
	t := &pushTransport{host: host, own: o.Token != nil, plainHTTP: o.PlainHTTP}
	if o.Token != nil {
		var err error
		if t.token, err = o.Token(ctx); err != nil {
			return nil, err
		}
	}
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		base = &http.Transport{}
	}
	t.base = base.Clone()
	if o.TLS != nil {
		t.base.TLSClientConfig = o.TLS.Clone()
	}
	return t, nil
}

// RoundTrip sends the token to the registry itself only, not to where it sends
// its clients.
func (t *pushTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != t.host {
		return t.base.RoundTrip(req)
	}
	req = req.Clone(req.Context())
	if req.Body != nil && t.sent != nil {
		req.Body = t.sent.reader(req.Body)
	}
	if t.token != "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	if t.plainHTTP {
		req.URL.Scheme = "http" // the library tries https first
	}
	resp, err := t.base.RoundTrip(req)
	if err == nil && t.own && resp.StatusCode == http.StatusUnauthorized {
		return nil, errors.Join(ErrAuth, resp.Body.Close())
	}
	return resp, err
}

// explainPush says in the words of this package why an image was not pushed.
func explainPush(ctx context.Context, err error) error {
	var refused *transport.Error
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, ErrAuth):
		return ErrAuth
	case errors.As(err, &refused):
		var said []string
		for _, d := range refused.Errors {
			said = append(said, d.Message)
		}
		text := strings.Join(said, "; ")
		if text == "" {
			text = http.StatusText(refused.StatusCode)
		}
		if refused.StatusCode == http.StatusUnauthorized {
			return fmt.Errorf("%w: %s", ErrAuth, text)
		}
		return fmt.Errorf("the registry says: %s (%d)", text, refused.StatusCode)
	case errors.As(err, &dns), errors.As(err, &op):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	default:
		return err
	}
}
