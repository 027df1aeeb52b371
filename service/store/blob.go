package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
	"github.com/micro/micro/v3/service/internal/platform"
)

// Blob is what is known of a blob beside its content.
type Blob struct {
	Name        string
	Size        int64
	ContentType string
	Metadata    map[string]string
	SHA256      []byte // of the content
	Modified    time.Time
	Revision    int64 // of the write that made it
}

func blobFrom(b *storev1.Blob) *Blob {
	return &Blob{
		Name: b.GetName(), Size: b.GetSize(), ContentType: b.GetContentType(), Metadata: b.GetMetadata(),
		SHA256: b.GetSha256(), Modified: b.GetModified().AsTime(), Revision: b.GetRevision(),
	}
}

// BlobClient reads and writes blobs: content of any size under a name. The blobs are
// those of the namespace, which its services share. It is safe for concurrent use.
type BlobClient struct{ api storev1.BlobsClient }

// NewBlobs returns a client of the blobs on a connection to a server, whose calls have
// to say who calls.
func NewBlobs(conn grpc.ClientConnInterface) *BlobClient {
	return &BlobClient{api: storev1.NewBlobsClient(conn)}
}

// DefaultBlobs returns the client of the service's own identity, on the server that
// runs it.
func DefaultBlobs() (*BlobClient, error) {
	conn, err := platform.Conn()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return NewBlobs(conn), nil
}

// BlobOption says something of a blob that is written.
type BlobOption func(*BlobOptions)

// BlobOptions are what the options of a blob have set.
type BlobOptions struct {
	ContentType string
	Metadata    map[string]string
	// Namespace and Public are for a [BlobStore] alone.
	Namespace string
	Public    bool

	ifRevision *int64
}

// BlobType sets the content type.
func BlobType(contentType string) BlobOption {
	return func(o *BlobOptions) { o.ContentType = contentType }
}

// BlobMetadata sets what goes with the content.
func BlobMetadata(md map[string]string) BlobOption {
	return func(o *BlobOptions) { o.Metadata = md }
}

// BlobIfRevision writes only if the blob has that revision; 0: if there is none. Else
// [ErrConflict].
func BlobIfRevision(revision int64) BlobOption {
	return func(o *BlobOptions) { o.ifRevision = &revision }
}

func newBlobOptions(opts []BlobOption) (o BlobOptions) {
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// blobPiece is how much of a blob a message has.
const blobPiece = 256 << 10

// Write makes a blob of what r gives until its end, in the place of the one that has
// the name. With any error, one of r as well, the blob is what it was before.
func (c *BlobClient) Write(ctx context.Context, name string, r io.Reader, opts ...BlobOption) (*Blob, error) {
	ctx, cancel := context.WithCancel(ctx) // what was not completed is given up
	defer cancel()
	stream, err := c.api.Write(ctx)
	if err != nil {
		return nil, wrap(err, "write blob %q", name)
	}
	o := newBlobOptions(opts)
	req := &storev1.WriteBlobRequest{Name: name, ContentType: o.ContentType, Metadata: o.Metadata, IfRevision: o.ifRevision}
	if err := sendBlob(r, stream, req); err != nil {
		return nil, wrap(err, "write blob %q", name)
	}
	rsp, err := stream.CloseAndRecv()
	if err != nil {
		return nil, wrap(err, "write blob %q", name)
	}
	return blobFrom(rsp.GetBlob()), nil
}

// sendBlob sends what r gives, and that it is complete. When the server takes no more
// it returns nil: the answer tells why.
func sendBlob(r io.Reader, stream grpc.ClientStreamingClient[storev1.WriteBlobRequest, storev1.WriteBlobResponse], req *storev1.WriteBlobRequest) error {
	sum := sha256.New()
	for size := int64(0); ; {
		piece := make([]byte, blobPiece) // gRPC may look at a message later
		n, err := io.ReadFull(r, piece)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		req.Data = piece[:n]
		sum.Write(req.GetData())
		size += int64(n)
		if err != nil {
			req.Complete, req.Size, req.Sha256 = true, size, sum.Sum(nil)
		}
		switch err := stream.Send(req); {
		case errors.Is(err, io.EOF), err == nil && req.GetComplete():
			return nil
		case err != nil:
			return err
		}
		req = &storev1.WriteBlobRequest{}
	}
}

// Read opens a blob from an offset on, at most length bytes; 0: to the end. It is what
// it was at the call, whatever is written meanwhile. The caller closes it.
// [ErrNotFound] when there is no such blob.
func (c *BlobClient) Read(ctx context.Context, name string, offset, length int64) (*BlobReader, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.api.Read(ctx, &storev1.ReadBlobRequest{Name: name, Offset: offset, Length: length})
	var first *storev1.ReadBlobResponse
	if err == nil {
		first, err = stream.Recv()
	}
	if err != nil {
		cancel()
		return nil, wrap(err, "read blob %q", name)
	}
	return &BlobReader{
		Blob: blobFrom(first.GetBlob()), stream: stream, cancel: cancel,
		rest: first.GetData(), complete: first.GetComplete(),
	}, nil
}

// BlobReader reads a blob. Its end, [io.EOF], comes only when all has come: a blob that
// was read as a whole has been compared with its SHA-256 then.
type BlobReader struct {
	Blob *Blob

	stream   grpc.ServerStreamingClient[storev1.ReadBlobResponse]
	cancel   context.CancelFunc
	rest     []byte
	complete bool
}

var _ io.ReadCloser = (*BlobReader)(nil)

// Read implements [io.Reader].
func (r *BlobReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.complete {
			return 0, io.EOF
		}
		rsp, err := r.stream.Recv()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // without a word that it is complete
		}
		if err != nil {
			return 0, wrap(err, "read blob %q", r.Blob.Name)
		}
		r.rest, r.complete = rsp.GetData(), rsp.GetComplete()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close ends the reading.
func (r *BlobReader) Close() error {
	r.cancel()
	return nil
}

// Stat returns what is known of a blob, [ErrNotFound] when there is none.
func (c *BlobClient) Stat(ctx context.Context, name string) (*Blob, error) {
	rsp, err := c.api.Stat(ctx, &storev1.StatBlobRequest{Name: name})
	if err != nil {
		return nil, wrap(err, "blob %q", name)
	}
	return blobFrom(rsp.GetBlob()), nil
}

// List returns all blobs whose names begin with a prefix, ordered by name.
func (c *BlobClient) List(ctx context.Context, prefix string) ([]*Blob, error) {
	var list []*Blob
	err := each(selection{}, func(size int32, token string) ([]*storev1.Blob, string, error) {
		rsp, err := c.api.List(ctx, &storev1.ListBlobsRequest{Prefix: prefix, PageSize: size, PageToken: token})
		return rsp.GetBlobs(), rsp.GetNextPageToken(), err
	}, func(b *storev1.Blob) bool {
		list = append(list, blobFrom(b))
		return true
	})
	return list, wrap(err, "list blobs")
}

// Delete removes a blob. It is no error when there is none.
func (c *BlobClient) Delete(ctx context.Context, name string) error {
	_, err := c.api.Delete(ctx, &storev1.DeleteBlobRequest{Name: name})
	return wrap(err, "delete blob %q", name)
}
