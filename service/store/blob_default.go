package store

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
)

// BlobStore keeps blobs without a context, as Micro 3 had it.
type BlobStore interface {
	// Read opens a blob; [ErrNotFound] itself when there is none.
	Read(key string, opts ...BlobOption) (io.Reader, error)
	// Write is [BlobClient.Write].
	Write(key string, blob io.Reader, opts ...BlobOption) error
	// Delete removes a blob. It is no error when there is none.
	Delete(key string, opts ...BlobOption) error
	// List returns the keys of all blobs, or of those that the options select, in order.
	List(opts ...BlobListOption) ([]string, error)
}

// DefaultBlobStore keeps blobs by the client of [DefaultBlobs]. Reading and writing take
// as long as they take, what else it does 10 s at most. Tests may put another in its place.
var DefaultBlobStore BlobStore = blobs{} //nolint:gochecknoglobals // the name that services use

// BlobContentType is [BlobType].
func BlobContentType(contentType string) BlobOption { return BlobType(contentType) }

// BlobNamespace puts a blob of a [BlobStore] below a name, with a slash between the two.
// The namespace of the server is always that of the service.
func BlobNamespace(name string) BlobOption { return func(o *BlobOptions) { o.Namespace = name } }

// BlobPublic changes nothing: who may read a blob, the rules say.
func BlobPublic(b bool) BlobOption { return func(o *BlobOptions) { o.Public = b } }

// BlobListOption selects blobs.
type BlobListOption func(*BlobListOptions)

// BlobListOptions are what the options of a list have set.
type BlobListOptions struct {
	Namespace, Prefix string
}

// BlobListNamespace lists what [BlobNamespace] has put below a name.
func BlobListNamespace(name string) BlobListOption {
	return func(o *BlobListOptions) { o.Namespace = name }
}

// BlobListPrefix lists the blobs whose keys begin with a prefix.
func BlobListPrefix(p string) BlobListOption { return func(o *BlobListOptions) { o.Prefix = p } }

// blobs are those of the server that runs the service.
type blobs struct{}

func (blobs) Read(key string, opts ...BlobOption) (io.Reader, error) {
	c, err := DefaultBlobs()
	if err != nil {
		return nil, err
	}
	r, err := c.Read(context.Background(), below(newBlobOptions(opts).Namespace)+key, 0, 0)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotFound // services compare it with ==
	}
	if err != nil {
		return nil, err
	}
	u := &unclosed{r}
	runtime.AddCleanup(u, func(r *BlobReader) { _ = r.Close() }, r)
	return u, nil
}

func (blobs) Write(key string, blob io.Reader, opts ...BlobOption) error {
	c, err := DefaultBlobs()
	if err != nil {
		return err
	}
	_, err = c.Write(context.Background(), below(newBlobOptions(opts).Namespace)+key, blob, opts...)
	return err
}

func (blobs) Delete(key string, opts ...BlobOption) error {
	c, err := DefaultBlobs()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return c.Delete(ctx, below(newBlobOptions(opts).Namespace)+key)
}

func (blobs) List(opts ...BlobListOption) ([]string, error) {
	c, err := DefaultBlobs()
	if err != nil {
		return nil, err
	}
	var o BlobListOptions
	for _, opt := range opts {
		opt(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	list, err := c.List(ctx, below(o.Namespace)+o.Prefix)
	keys := make([]string, 0, len(list))
	for _, b := range list {
		keys = append(keys, strings.TrimPrefix(b.Name, below(o.Namespace)))
	}
	return keys, err
}

// below returns what the names of blobs begin with that [BlobNamespace] puts below a name.
func below(name string) string {
	if name = strings.TrimSuffix(name, "/"); name == "" {
		return ""
	}
	return name + "/"
}

// unclosed is a blob that nobody has to close: it is closed at its end, or when nobody
// reads it any more.
type unclosed struct{ *BlobReader }

func (u *unclosed) Read(p []byte) (int, error) {
	n, err := u.BlobReader.Read(p)
	if err != nil {
		_ = u.Close()
	}
	return n, err
}
