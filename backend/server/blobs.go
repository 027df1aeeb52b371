package server

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/blobs"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// maxBlobData is how many bytes of a blob a message may have.
const maxBlobData = 4 << 20

// blobsAPI answers micro.store.v1.Blobs.
type blobsAPI struct {
	storev1.UnimplementedBlobsServer
	blobs *blobs.Blobs
}

func (b *blobsAPI) Write(in grpc.ClientStreamingServer[storev1.WriteBlobRequest, storev1.WriteBlobResponse]) error {
	ctx := in.Context()
	req, err := in.Recv()
	if errors.Is(err, io.EOF) {
		return invalid("no blob")
	}
	if err != nil {
		return err
	}
	name := req.GetName()
	upload, err := b.blobs.Create(ctx, callerOf(ctx).namespace, blobs.Info{
		Name: name, ContentType: req.GetContentType(), Metadata: req.GetMetadata(),
	}, req.IfRevision)
	if err != nil {
		return ofBlob(name, err)
	}
	defer func() {
		// The call is over, and what it left has to go anyway. What cannot be
		// removed now expires.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownIn)
		defer cancel()
		_ = upload.Discard(ctx)
	}()
	for {
		if n := len(req.GetData()); n > maxBlobData {
			return invalid("a message with %d bytes of a blob, and %d are allowed", n, maxBlobData)
		}
		if err := upload.Write(ctx, req.GetData()); err != nil {
			return ofBlob(name, err)
		}
		if req.GetComplete() {
			break
		}
		if req, err = in.Recv(); errors.Is(err, io.EOF) {
			return invalid("the blob ends without saying that it is complete: nothing was written")
		}
		if err != nil {
			return err
		}
	}
	info, err := upload.Commit(ctx, req.GetSize(), req.GetSha256())
	if err != nil {
		return ofBlob(name, err)
	}
	return in.SendAndClose(&storev1.WriteBlobResponse{Blob: blob(info)})
}

func (b *blobsAPI) Read(req *storev1.ReadBlobRequest, out grpc.ServerStreamingServer[storev1.ReadBlobResponse]) error {
	ctx := out.Context()
	r, err := b.blobs.Read(ctx, callerOf(ctx).namespace, req.GetName(), req.GetOffset(), req.GetLength())
	if err != nil {
		return ofBlob(req.GetName(), err)
	}
	defer r.Close()
	rsp := &storev1.ReadBlobResponse{Blob: blob(r.Info)}
	for {
		piece, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			rsp.Complete = true
			return out.Send(rsp)
		}
		if err != nil {
			return err
		}
		rsp.Data = piece
		if err := out.Send(rsp); err != nil {
			return err
		}
		rsp = &storev1.ReadBlobResponse{}
	}
}

func (b *blobsAPI) Stat(ctx context.Context, req *storev1.StatBlobRequest) (*storev1.StatBlobResponse, error) {
	info, err := b.blobs.Stat(ctx, callerOf(ctx).namespace, req.GetName())
	if err != nil {
		return nil, ofBlob(req.GetName(), err)
	}
	return &storev1.StatBlobResponse{Blob: blob(info)}, nil
}

func (b *blobsAPI) List(ctx context.Context, req *storev1.ListBlobsRequest) (*storev1.ListBlobsResponse, error) {
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	page, next, err := b.blobs.List(ctx, callerOf(ctx).namespace, req.GetPrefix(), size, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	rsp := &storev1.ListBlobsResponse{NextPageToken: next}
	for _, info := range page {
		rsp.Blobs = append(rsp.Blobs, blob(info))
	}
	return rsp, nil
}

func (b *blobsAPI) Delete(ctx context.Context, req *storev1.DeleteBlobRequest) (*storev1.DeleteBlobResponse, error) {
	deleted, err := b.blobs.Delete(ctx, callerOf(ctx).namespace, req.GetName(), req.IfRevision)
	if err != nil {
		return nil, ofBlob(req.GetName(), err)
	}
	return &storev1.DeleteBlobResponse{Deleted: deleted}, nil
}

func blob(i blobs.Info) *storev1.Blob {
	return &storev1.Blob{
		Name: i.Name, Size: i.Size, ContentType: i.ContentType, Metadata: i.Metadata,
		Sha256: i.SHA256, Modified: timestamppb.New(i.Modified), Revision: i.Revision,
	}
}

// ofBlob says which blob an error is about.
func ofBlob(name string, err error) error {
	if errors.Is(err, blobs.ErrInvalid) || errors.Is(err, blobs.ErrDamaged) {
		return err
	}
	return fmt.Errorf("%q: %w", name, err)
}
