package image

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/micro/micro/v3/internal/fault"
)

// connection is one conversation with a host.
type connection struct {
	session transport.UploadPackSession
	adv     *packp.AdvRefs
}

func (c *connection) close() error { return c.session.Close() }

// anyCommit reports whether the host gives commits that have no name.
func (c *connection) anyCommit() bool {
	return c.adv.Capabilities.Supports(capability.AllowReachableSHA1InWant)
}

func (c *connection) refs() *refs {
	r := &refs{byName: c.adv.References, peeled: c.adv.Peeled}
	if c.adv.Head != nil {
		r.head = *c.adv.Head
	}
	for _, link := range c.adv.Capabilities.Get(capability.SymRef) {
		if target, ok := strings.CutPrefix(link, "HEAD:refs/heads/"); ok {
			r.branch = target
		}
	}
	return r
}

// dial connects to the host, first as nobody unless the address has
// credentials.
func (f *fetcher) dial(ctx context.Context) (*connection, error) {
	if f.auth == nil && f.userinfo != nil {
		password, _ := f.userinfo.Password()
		f.auth = &githttp.BasicAuth{Username: f.userinfo.Username(), Password: password}
	}
	if f.auth == nil && f.url.Scheme == "ssh" {
		f.auth = sshAuth(f.url.User.Username())
	}
	c, err := f.connect(ctx)
	wanted := errors.Is(err, transport.ErrAuthenticationRequired) || errors.Is(err, transport.ErrAuthorizationFailed)
	if wanted && f.auth == nil && f.url.Scheme != "ssh" {
		user, password, cerr := f.credentials(ctx)
		if cerr != nil {
			return nil, fmt.Errorf("repository %s: %w: %w", f.address, ErrAuth, cerr)
		}
		if user != "" || password != "" {
			f.auth = &githttp.BasicAuth{Username: user, Password: password}
			c, err = f.connect(ctx)
		}
	}
	if err != nil {
		return nil, f.explain(err)
	}
	return c, nil
}

func (f *fetcher) connect(ctx context.Context) (*connection, error) {
	endpoint, err := transport.NewEndpoint(f.url.String())
	if err != nil {
		return nil, err
	}
	var client transport.Transport
	if f.url.Scheme == "ssh" {
		client = gitssh.NewClient(nil)
	} else {
		client = githttp.NewClient(&http.Client{Transport: boundedTransport{f.options.MaxBytes + 1<<20}})
	}
	session, err := openSession(ctx, client, endpoint, f.auth)
	if err != nil {
		return nil, err
	}
	adv, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	return &connection{session, adv}, nil
}

// openSession opens a session, which over ssh connects and knows no context. A
// session that comes too late is closed.
func openSession(ctx context.Context, client transport.Transport, endpoint *transport.Endpoint, auth transport.AuthMethod) (transport.UploadPackSession, error) {
	type result struct {
		session transport.UploadPackSession
		err     error
	}
	opened := make(chan result, 1)
	fault.Go(ctx, func() {
		s, err := client.NewUploadPackSession(endpoint, auth)
		opened <- result{s, err}
	})
	select {
	case r := <-opened:
		return r.session, r.err
	case <-ctx.Done():
		go func() {
			if r := <-opened; r.err == nil {
				_ = r.session.Close() // nobody is left to tell
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// boundedTransport fails to read answers that are too large.
type boundedTransport struct{ limit int64 }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, t.limit}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, ErrTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// isNotOurs reports whether a host said that it does not give an object.
func isNotOurs(err error) bool {
	return err != nil && strings.Contains(err.Error(), "not our ref")
}

// explain says in the words of this package why a repository was not fetched.
func (f *fetcher) explain(err error) error {
	var dns *net.DNSError
	var op *net.OpError
	var certificate *x509.UnknownAuthorityError
	text := err.Error()
	switch {
	case errors.Is(err, ErrTooLarge):
		return fmt.Errorf("repository %s: %w", f.address, err)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("repository %s is empty: %w", f.address, ErrNotFound)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("repository %s: %w%s", f.address, ErrNotFound, f.subgroup())
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return f.unauthenticated("there is none, or it is private")
	case strings.Contains(text, "knownhosts: "):
		return fmt.Errorf("host %s: its key is not in your known_hosts: %w", f.url.Host, ErrAuth)
	case errors.Is(err, errNoKey), strings.Contains(text, errNoKey.Error()):
		return f.unauthenticated(errNoKey.Error())
	case strings.Contains(text, "unable to authenticate"):
		return f.unauthenticated("no key of your ssh agent or in ~/.ssh opens it")
	case errors.As(err, &certificate):
		return fmt.Errorf("host %s: %w", f.url.Host, err)
	case errors.As(err, &dns), errors.As(err, &op):
		return fmt.Errorf("host %s %w: %w", f.url.Host, ErrUnreachable, err)
	default:
		return fmt.Errorf("repository %s: %w", f.address, err)
	}
}

func (f *fetcher) unauthenticated(reason string) error {
	return &AuthError{Address: f.address, Host: f.url.Host, SSH: f.url.Scheme == "ssh", Reason: reason}
}

// subgroup returns a remark for the one host where owners lie in each other.
func (f *fetcher) subgroup() string {
	if f.url.Hostname() == "gitlab.com" && f.folder != "" {
		return " (where groups lie in each other, end the repository with .git: gitlab.com/GROUP/SUBGROUP/REPO.git)"
	}
	return ""
}
