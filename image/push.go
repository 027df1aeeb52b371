package image

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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

	// Token returns the bearer token to send, or none to push as nobody. It is asked
	// for each request, since a token may expire while an image is pushed, by one
	// goroutine at a time. Nil takes what the user's container tools are logged in
	// with.
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
	t := o.transport(repository.RegistryStr())
	defer t.base.CloseIdleConnections()
	auth := remote.WithAuth(authn.Anonymous)
	if o.Token == nil {
		auth = remote.WithAuthFromKeychain(authn.DefaultKeychain)
	}
	for n, m := range i.manifests() {
		var ref name.Reference = repository.Digest(m.descriptor.Digest.String())
		if n == 0 && o.Tag != "" {
			tag, err := name.NewTag(repository.Name()+":"+o.Tag, append(options, name.StrictValidation)...)
			if err != nil {
				return "", fmt.Errorf("push %s: %w", i.name, err)
			}
			ref = tag
		}
		if err := push(ctx, ref, m, o.Progress, auth, remote.WithTransport(t), remote.WithContext(ctx)); err != nil {
			return "", fmt.Errorf("push %s to %s: %w", i.name, o.Registry, explainPush(ctx, err))
		}
	}
	return o.Repository + "@" + i.Digest(), nil
}

// push sends one manifest with its blobs, and tells how far it is.
func push(ctx context.Context, ref name.Reference, m *manifest, progress func(Event), options ...remote.Option) error {
	image, err := partial.CompressedToImage(m)
	if err != nil {
		return err
	}
	if progress == nil {
		return remote.Push(ref, image, options...)
	}
	updates := make(chan v1.Update, 16)
	done := make(chan error, 1)
	go func() { done <- remote.Push(ref, image, append(options, remote.WithProgress(updates))...) }()
	for u := range updates {
		if u.Error == nil && ctx.Err() == nil {
			progress(Event{Stage: Pushing, Message: ref.Context().RepositoryStr(), Done: u.Complete, Total: u.Total})
		}
	}
	return <-done
}

// pushTransport sends requests as [PushOptions] say.
type pushTransport struct {
	base      *http.Transport
	host      string
	plainHTTP bool

	mu    sync.Mutex
	token func(ctx context.Context) (string, error) // nil: what the registry says of other ways in is asked for
}

// authorize adds the token to a request.
func (t *pushTransport) authorize(req *http.Request) error {
	if t.token == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	token, err := t.token(req.Context())
	if err == nil && token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return err
}

func (o PushOptions) transport(host string) *pushTransport {
	t := &pushTransport{host: host, token: o.Token, plainHTTP: o.PlainHTTP}
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		base = &http.Transport{}
	}
	t.base = base.Clone()
	if o.TLS != nil {
		t.base.TLSClientConfig = o.TLS.Clone()
	}
	return t
}

// RoundTrip sends the token to the registry itself only, not to where it sends
// its clients.
func (t *pushTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != t.host {
		return t.base.RoundTrip(req)
	}
	req = req.Clone(req.Context())
	if err := t.authorize(req); err != nil {
		if req.Body != nil {
			err = errors.Join(err, req.Body.Close())
		}
		return nil, err
	}
	if t.plainHTTP {
		req.URL.Scheme = "http" // the library tries https first
	}
	resp, err := t.base.RoundTrip(req)
	if err == nil && t.token != nil && resp.StatusCode == http.StatusUnauthorized {
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
