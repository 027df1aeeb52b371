package server

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/micro/micro/v3/backend/archive"
	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/tables"
	"github.com/micro/micro/v3/backend/transfer"
	"github.com/micro/micro/v3/internal/buildinfo"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	namespacev1 "github.com/micro/micro/v3/proto/micro/namespace/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// transferAPI answers micro.namespace.v1.Transfer.
type transferAPI struct {
	namespacev1.UnimplementedTransferServer
	store  store.Store
	tables *tables.Tables
	blobs  *blobs.Blobs
	config *config.Config
	auth   *auth.Auth
	check  func(ctx context.Context, method string, a access, req any) error
}

// right is what a [transfer.Right] needs: the method that does the same to one thing.
type right struct {
	method, typ, class string
	reveals            bool
}

func exportRights() map[string]right {
	return map[string]right{
		"store":  {method: storev1.Store_Export_FullMethodName, typ: "store", class: auth.Read},
		"blob":   {method: storev1.Blobs_Read_FullMethodName, typ: "blob", class: auth.Read},
		"config": {method: configv1.Config_Get_FullMethodName, typ: "config", class: auth.Read},
		"secret": {method: configv1.Config_Get_FullMethodName, typ: "config", class: auth.Read, reveals: true},
		"auth":   {method: authv1.Rules_List_FullMethodName, typ: "auth", class: auth.Read},
	}
}

func importRights() map[string]right {
	return map[string]right{
		"store":  {method: storev1.Store_Import_FullMethodName, typ: "store", class: auth.Write},
		"blob":   {method: storev1.Blobs_Write_FullMethodName, typ: "blob", class: auth.Write},
		"config": {method: configv1.Config_Set_FullMethodName, typ: "config", class: auth.Write},
		"auth":   {method: authv1.Rules_Create_FullMethodName, typ: "auth", class: auth.Write},
	}
}

// allowed returns a function that authorises the caller for what is moved.
func (t *transferAPI) allowed(rights map[string]right) func(context.Context, transfer.Right) error {
	return func(ctx context.Context, r transfer.Right) error {
		need, ok := rights[r.Type]
		if !ok {
			return auth.ErrDenied
		}
		name := r.Name
		if r.Type == "store" && name == "" {
			name = tables.DefaultTable
		}
		return t.check(ctx, need.method, access{
			typ: need.typ, class: need.class,
			name:    func(any) string { return name },
			reveals: func(any) bool { return need.reveals },
		}, nil)
	}
}

func (t *transferAPI) Export(req *namespacev1.ExportRequest, out grpc.ServerStreamingServer[namespacev1.ExportResponse]) error {
	w := &pieces{send: func(p []byte) error { return out.Send(&namespacev1.ExportResponse{Data: p}) }}
	buffered, sum := bufio.NewWriterSize(w, backupPiece), sha256.New()
	summary, err := transfer.Export(out.Context(), io.MultiWriter(buffered, sum), transfer.Source{
		Store: t.store, Config: t.config, Namespace: callerOf(out.Context()).namespace,
		Secrets: req.GetSecrets(), Micro: buildinfo.Version(), Allowed: t.allowed(exportRights()),
	})
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return err
	}
	return out.Send(&namespacev1.ExportResponse{Complete: true, Size: w.size, Sha256: sum.Sum(nil), Summary: summaryMessage(summary)})
}

func (t *transferAPI) Import(in grpc.ClientStreamingServer[namespacev1.ImportRequest, namespacev1.ImportResponse]) error {
	c := callerOf(in.Context())
	summary, err := transfer.Import(in.Context(), &importStream{in: in}, transfer.Target{
		Tables: t.tables, Blobs: t.blobs, Config: t.config, Auth: t.auth,
		Namespace: c.namespace, By: c.ID, Allowed: t.allowed(importRights()),
		CheckMetadata: func(b []byte) error { return proto.Unmarshal(b, &structpb.Struct{}) },
	})
	if errors.Is(err, archive.ErrCut) || errors.Is(err, archive.ErrDamaged) || errors.Is(err, archive.ErrForeign) {
		return invalid("%v: nothing was written", err)
	}
	if err != nil {
		return err
	}
	return in.SendAndClose(&namespacev1.ImportResponse{Summary: summaryMessage(summary)})
}

// importStream is what a caller sends, as a reader.
type importStream struct {
	in       grpc.ClientStreamingServer[namespacev1.ImportRequest, namespacev1.ImportResponse]
	rest     []byte
	complete bool
}

func (i *importStream) Read(p []byte) (int, error) {
	for len(i.rest) == 0 {
		if i.complete {
			return 0, io.EOF
		}
		req, err := i.in.Recv()
		if errors.Is(err, io.EOF) {
			return 0, invalid("the import ends without saying that it is complete: nothing was written")
		}
		if err != nil {
			return 0, err
		}
		if n := len(req.GetData()); n > maxBlobData {
			return 0, invalid("a message with %d bytes, and %d are allowed", n, maxBlobData)
		}
		i.rest, i.complete = req.GetData(), req.GetComplete()
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	return n, nil
}

// pieces sends what is written to it, and counts.
type pieces struct {
	send func(p []byte) error
	size int64
}

func (w *pieces) Write(p []byte) (int, error) {
	if err := w.send(append([]byte{}, p...)); err != nil {
		return 0, err
	}
	w.size += int64(len(p))
	return len(p), nil
}

func summaryMessage(s transfer.Summary) *namespacev1.Summary {
	return &namespacev1.Summary{
		Namespace: s.Namespace, Revision: s.Revision, Records: s.Records, Expired: s.Expired, Blobs: s.Blobs, BlobBytes: s.BlobBytes,
		Values: int64(s.Values), SecretsLeftOut: int64(s.SecretsLeftOut), Rules: int64(s.Rules),
	}
}
