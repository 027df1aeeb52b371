package image

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// access says how to get to a registry, as [PushOptions] explains.
type access struct {
	plainHTTP bool
	tls       *tls.Config
	token     func(ctx context.Context) (string, error)
}

// connected is a repository of a registry, and how to get there.
type connected struct {
	name.Repository
	names     []name.Option
	options   []remote.Option
	transport *registryTransport
}

// connectTo prepares for requests to a repository. The caller closes what it gets.
func connectTo(ctx context.Context, repository string, a access) (*connected, error) {
	c := &connected{names: []name.Option{name.StrictValidation}}
	if a.plainHTTP {
		c.names = append(c.names, name.Insecure)
	}
	var err error
	if c.Repository, err = name.NewRepository(repository, c.names...); err != nil {
		return nil, err
	}
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		base = &http.Transport{}
	}
	c.transport = &registryTransport{base: base.Clone(), host: c.RegistryStr(), token: a.token, plainHTTP: a.plainHTTP}
	if a.tls != nil {
		c.transport.base.TLSClientConfig = a.tls.Clone()
	}
	auth := remote.WithAuth(authn.Anonymous)
	if a.token == nil {
		auth = remote.WithAuthFromKeychain(authn.DefaultKeychain)
	}
	c.options = []remote.Option{auth, remote.WithTransport(c.transport), remote.WithContext(ctx)}
	return c, nil
}

// reference names a manifest by its tag, or by its digest when that is empty.
func (c *connected) reference(tag, digest string) (name.Reference, error) {
	if tag == "" {
		return c.Digest(digest), nil
	}
	ref, err := name.NewTag(c.Name()+":"+tag, c.names...)
	if err != nil {
		return nil, err
	}
	return ref, nil
}

func (c *connected) close() { c.transport.base.CloseIdleConnections() }

// registryTransport sends requests to a registry.
type registryTransport struct {
	base *http.Transport
	host string
	// token returns the token to send; nil: the library takes care of it. When it is
	// ours, what the registry says of other ways in is not asked for.
	token     func(ctx context.Context) (string, error)
	plainHTTP bool
	sent      *sent // is told what goes out; nil: nobody

	mu sync.Mutex // token is called by one at a time
}

// RoundTrip sends the token to the registry itself only, not to where it sends
// its clients. A token is asked for each time: a transfer can outlast one.
func (t *registryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != t.host {
		return t.base.RoundTrip(req)
	}
	req = req.Clone(req.Context())
	if req.Body != nil && t.sent != nil {
		req.Body = t.sent.reader(req.Body)
	}
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

func (t *registryTransport) authorize(req *http.Request) error {
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
