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

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/micro/micro/v3/internal/fault"
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
// [ErrAuth] when the registry wants another token, [ErrDenied] when it does not let
// its owner push there, and [ErrUnreachable] when there is no way to it.
func (i *Image) Push(ctx context.Context, o PushOptions) (string, error) {
	c, err := connectTo(ctx, o.Registry+"/"+o.Repository, access{o.PlainHTTP, o.TLS, o.Token})
	if err != nil {
		return "", fmt.Errorf("push %s: %w", i.name, err)
	}
	defer c.close()
	root, err := c.reference(o.Tag, i.Digest())
	if err == nil {
		c.transport.sent = newSent(i.Size(), o)
		err = i.push(ctx, root, c)
	}
	if err != nil {
		return "", fmt.Errorf("push %s to %s: %w", o.Repository, o.Registry, explainPush(ctx, err))
	}
	return o.Repository + "@" + i.Digest(), nil
}

// push sends all manifests with their blobs, and tells how far it is. The root comes
// last: what is named by a tag is whole.
func (i *Image) push(ctx context.Context, root name.Reference, c *connected) error {
	pusher, err := remote.NewPusher(c.options...)
	if err != nil {
		return err
	}
	send := func(ctx context.Context, ref name.Reference, m *manifest) error {
		if err := pusher.Push(ctx, ref, m.taggable()); err != nil {
			return err
		}
		c.transport.sent.whole(m)
		return nil
	}
	// What is attached waits for the disk of the registry mostly, so all go at once.
	var wg sync.WaitGroup
	before := i.manifests()
	before = before[:len(before)-1]
	errs := make([]error, len(before))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for n, m := range before {
		wg.Go(fault.Guard(ctx, func() {
			if errs[n] = send(ctx, root.Context().Digest(m.descriptor.Digest.String()), m); errs[n] != nil {
				cancel()
			}
		}))
	}
	for _, l := range i.root.layers {
		wg.Go(fault.Guard(ctx, func() {
			// When it fails, the root does, and says so.
			_ = pusher.Upload(ctx, root.Context(), l)
		}))
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return send(ctx, root, i.root)
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

func newSent(total int64, o PushOptions) *sent {
	return &sent{total: total, progress: o.Progress, message: o.Repository, seen: map[v1.Hash]bool{}}
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
		switch refused.StatusCode {
		case http.StatusUnauthorized:
			return fmt.Errorf("%w: %s", ErrAuth, text)
		case http.StatusNotFound:
			return fmt.Errorf("%w: %s", ErrNotFound, text)
		case http.StatusForbidden:
			return ErrDenied
		}
		return fmt.Errorf("the registry says: %s (%d)", text, refused.StatusCode)
	case errors.As(err, &dns), errors.As(err, &op):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	default:
		return err
	}
}
