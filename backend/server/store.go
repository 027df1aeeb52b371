package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/tables"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// storeAPI answers micro.store.v1.Store.
type storeAPI struct {
	storev1.UnimplementedStoreServer
	tables *tables.Tables
	// authorize returns why the caller may not use a table, for methods whose
	// request does not name it.
	authorize func(ctx context.Context, method, class, table string) error
	sent      encodings // to those who watch
}

// inTable is any request about one table.
type inTable interface {
	GetDatabase() string
	GetTable() string
}

// tableName returns the name of the table that a request is about, for rules.
func tableName(req any) string {
	r, ok := req.(inTable)
	if !ok || r.GetTable() == "" {
		return tables.DefaultTable
	}
	return r.GetTable()
}

// checkTable authorises the caller of a method of the store for one of the tables
// that the call is about.
func (g *guard) checkTable(ctx context.Context, method, class, table string) error {
	return g.check(ctx, method, access{typ: "store", class: class, name: func(any) string { return table }}, nil)
}

func tableOf(ctx context.Context, req inTable) tables.Table {
	return tables.Table{Namespace: callerOf(ctx).namespace, Database: req.GetDatabase(), Name: req.GetTable()}
}

func (s *storeAPI) Read(ctx context.Context, req *storev1.ReadRequest) (*storev1.ReadResponse, error) {
	if req.Key != nil {
		if len(req.GetPrefix())+len(req.GetSuffix())+len(req.GetStart())+len(req.GetEnd())+len(req.GetPageToken()) > 0 {
			return nil, invalid("a key excludes prefix, suffix, start, end and page_token")
		}
		rec, err := s.tables.Get(ctx, tableOf(ctx, req), string(req.GetKey()))
		if err != nil {
			return nil, ofKey(req.GetKey(), err)
		}
		out, err := record(rec)
		if err != nil {
			return nil, err
		}
		return &storev1.ReadResponse{Records: []*storev1.Record{out}}, nil
	}
	page, next, err := s.page(ctx, req, false)
	if err != nil {
		return nil, err
	}
	rsp := &storev1.ReadResponse{NextPageToken: next}
	for _, rec := range page {
		out, err := record(rec)
		if err != nil {
			return nil, err
		}
		rsp.Records = append(rsp.Records, out)
	}
	return rsp, nil
}

// selecting is a request for a page of what it selects.
type selecting interface {
	inTable
	GetPrefix() []byte
	GetSuffix() []byte
	GetStart() []byte
	GetEnd() []byte
	GetOrder() storev1.Order
	GetPageSize() int32
	GetPageToken() string
}

func (s *storeAPI) page(ctx context.Context, req selecting, keysOnly bool) ([]tables.Record, string, error) {
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, "", err
	}
	if _, known := storev1.Order_name[int32(req.GetOrder())]; !known {
		return nil, "", invalid("the unknown order %d", req.GetOrder())
	}
	return s.tables.Page(ctx, tableOf(ctx, req), tables.Selection{
		Prefix:   string(req.GetPrefix()),
		Suffix:   string(req.GetSuffix()),
		Start:    string(req.GetStart()),
		End:      string(req.GetEnd()),
		Reverse:  req.GetOrder() == storev1.Order_ORDER_DESC,
		KeysOnly: keysOnly,
	}, size, req.GetPageToken())
}

func (s *storeAPI) List(ctx context.Context, req *storev1.ListRequest) (*storev1.ListResponse, error) {
	page, next, err := s.page(ctx, req, true)
	if err != nil {
		return nil, err
	}
	rsp := &storev1.ListResponse{NextPageToken: next}
	for _, rec := range page {
		rsp.Keys = append(rsp.Keys, []byte(rec.Key))
	}
	return rsp, nil
}

func (s *storeAPI) Write(ctx context.Context, req *storev1.WriteRequest) (*storev1.WriteResponse, error) {
	op, err := put(req.GetRecord(), req.GetExpiry(), req.IfRevision)
	if err != nil {
		return nil, err
	}
	revision, err := s.tables.Batch(ctx, tableOf(ctx, req), []tables.Op{op})
	if err != nil {
		return nil, ofKey(req.GetRecord().GetKey(), err)
	}
	return &storev1.WriteResponse{Revision: revision}, nil
}

func (s *storeAPI) Delete(ctx context.Context, req *storev1.DeleteRequest) (*storev1.DeleteResponse, error) {
	at := tableOf(ctx, req)
	if req.GetAllWithPrefix() {
		if len(req.GetKey()) > 0 || req.IfRevision != nil {
			return nil, invalid("all_with_prefix excludes key and if_revision")
		}
		n, err := s.tables.DeleteAll(ctx, at, string(req.GetPrefix()))
		return &storev1.DeleteResponse{Deleted: n}, err
	}
	if len(req.GetPrefix()) > 0 {
		return nil, invalid("a prefix without all_with_prefix")
	}
	found, err := s.tables.Delete(ctx, at, string(req.GetKey()), req.IfRevision)
	if err != nil {
		return nil, ofKey(req.GetKey(), err)
	}
	rsp := &storev1.DeleteResponse{}
	if found {
		rsp.Deleted = 1
	}
	return rsp, nil
}

func (s *storeAPI) Batch(ctx context.Context, req *storev1.BatchRequest) (*storev1.BatchResponse, error) {
	ops := make([]tables.Op, 0, len(req.GetOperations()))
	for _, o := range req.GetOperations() {
		op := tables.Op{If: o.IfRevision}
		switch k := o.GetKind().(type) {
		case *storev1.Operation_Put:
			var err error
			if op, err = put(k.Put.GetRecord(), k.Put.GetExpiry(), o.IfRevision); err != nil {
				return nil, err
			}
		case *storev1.Operation_Delete:
			op.Kind, op.Record.Key = tables.Delete, string(k.Delete)
		case *storev1.Operation_Check:
			op.Kind, op.Record.Key = tables.Check, string(k.Check)
		}
		ops = append(ops, op)
	}
	revision, err := s.tables.Batch(ctx, tableOf(ctx, req), ops)
	if err != nil {
		return nil, err
	}
	return &storev1.BatchResponse{Revision: revision}, nil
}

func (s *storeAPI) Tables(ctx context.Context, req *storev1.TablesRequest) (*storev1.TablesResponse, error) {
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	names, next, err := s.tables.Tables(ctx, callerOf(ctx).namespace, req.GetDatabase(), size, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &storev1.TablesResponse{Tables: names, NextPageToken: next}, nil
}

func (s *storeAPI) Databases(ctx context.Context, req *storev1.DatabasesRequest) (*storev1.DatabasesResponse, error) {
	size, err := pageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	names, next, err := s.tables.Databases(ctx, callerOf(ctx).namespace, size, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &storev1.DatabasesResponse{Databases: names, NextPageToken: next}, nil
}

func (s *storeAPI) Watch(req *storev1.WatchRequest, out grpc.ServerStreamingServer[storev1.WatchResponse]) error {
	ctx := out.Context()
	at := tableOf(ctx, req)
	synced := false // what is there before nobody else may be about to send
	for c, err := range s.tables.Watch(ctx, at, string(req.GetPrefix()), req.GetFromRevision()) {
		if err != nil {
			return err
		}
		if !synced {
			synced = c.Kind == store.Synced
			rsp, err := watched(c)
			if err != nil {
				return err
			}
			if err := out.Send(rsp); err != nil {
				return err
			}
			continue
		}
		id := changeID{table: at, key: c.Record.Key, revision: c.Revision, more: c.More}
		msg := s.sent.get(id)
		if msg == nil {
			rsp, err := watched(c)
			if err != nil {
				return err
			}
			if msg, err = s.sent.add(id, rsp); err != nil {
				return err
			}
		}
		if err := out.SendMsg(msg); err != nil {
			return err
		}
	}
	return nil
}

// watched returns what a watch is sent of a change.
func watched(c tables.Change) (*storev1.WatchResponse, error) {
	rsp := &storev1.WatchResponse{Revision: c.Revision, More: c.More}
	switch c.Kind {
	case store.KindPut:
		rsp.Change = storev1.Change_CHANGE_PUT
	case store.KindDelete:
		rsp.Change = storev1.Change_CHANGE_DELETE
	case store.Synced:
		rsp.Change = storev1.Change_CHANGE_SYNCED
		return rsp, nil
	}
	var err error
	rsp.Record, err = record(c.Record)
	return rsp, err
}

// Messages of an export have as many records as these bounds allow.
const (
	exportRecords = 500
	exportBytes   = 256 << 10
)

func (s *storeAPI) Export(req *storev1.ExportRequest, out grpc.ServerStreamingServer[storev1.ExportResponse]) error {
	ctx := out.Context()
	revision, entries, err := s.tables.Export(ctx, callerOf(ctx).namespace, req.GetDatabase(), req.GetTable())
	if err != nil {
		return err
	}
	allowed := s.eachTable(storev1.Store_Export_FullMethodName, auth.Read)
	part := &storev1.ExportResponse{Revision: revision}
	size, count := 0, int64(0)
	for e, err := range entries {
		if err != nil {
			return err
		}
		if err := allowed(ctx, e.Table); err != nil {
			return err
		}
		rec, err := record(e.Record)
		if err != nil {
			return err
		}
		entry := &storev1.Entry{Database: e.Database, Table: e.Table, Record: rec}
		n := proto.Size(entry)
		if len(part.Entries) == exportRecords || len(part.Entries) > 0 && size+n > exportBytes {
			if err := out.Send(part); err != nil {
				return err
			}
			part, size = &storev1.ExportResponse{}, 0
		}
		part.Entries = append(part.Entries, entry)
		size += n
		count++
	}
	if err := out.Send(part); err != nil {
		return err
	}
	return out.Send(&storev1.ExportResponse{Count: count, Complete: true})
}

// eachTable returns a function that authorises the caller for each table once.
func (s *storeAPI) eachTable(method, class string) func(ctx context.Context, table string) error {
	seen := map[string]bool{}
	return func(ctx context.Context, table string) error {
		if table == "" {
			table = tables.DefaultTable
		}
		if seen[table] {
			return nil
		}
		seen[table] = true
		return s.authorize(ctx, method, class, table)
	}
}

func (s *storeAPI) Import(in grpc.ClientStreamingServer[storev1.ImportRequest, storev1.ImportResponse]) error {
	ctx := in.Context()
	imported := s.tables.NewImport(callerOf(ctx).namespace)
	defer func() {
		// The call is over, and what it left has to go anyway. What cannot be
		// removed now expires.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownIn)
		defer cancel()
		_ = imported.Discard(ctx)
	}()
	allowed := s.eachTable(storev1.Store_Import_FullMethodName, auth.Write)
	for {
		req, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return invalid("the import ends after %d records without saying that it is complete: nothing was written", imported.Count())
		}
		if err != nil {
			return err
		}
		for _, e := range req.GetEntries() {
			if err := allowed(ctx, e.GetTable()); err != nil {
				return err
			}
			if err := addEntry(ctx, imported, e); err != nil {
				return fmt.Errorf("record %d, nothing was written: %w", imported.Count()+1, err)
			}
		}
		if !req.GetComplete() {
			continue
		}
		if n := imported.Count(); n != req.GetCount() {
			return invalid("the import has %d records and says that it has %d: nothing was written", n, req.GetCount())
		}
		written, expired, err := imported.Commit(ctx)
		if err != nil {
			return err
		}
		return in.SendAndClose(&storev1.ImportResponse{Written: written, Expired: expired})
	}
}

func addEntry(ctx context.Context, i *tables.Import, e *storev1.Entry) error {
	rec, err := recordOf(e.GetRecord())
	if err != nil {
		return err
	}
	if expires := e.GetRecord().GetExpires(); expires != nil {
		if err := expires.CheckValid(); err != nil {
			return invalid("%v", err)
		}
		rec.Expires = expires.AsTime()
		if time.Until(rec.Expires) > tables.MaxExpiry {
			return invalid("a record that expires at %s, which is too far away", rec.Expires.Format(time.RFC3339))
		}
	}
	return i.Add(ctx, tables.Entry{Database: e.GetDatabase(), Table: e.GetTable(), Record: rec})
}

// put returns the operation that sets a record.
func put(r *storev1.Record, expiry *durationpb.Duration, ifRevision *int64) (tables.Op, error) {
	rec, err := recordOf(r)
	if err != nil {
		return tables.Op{}, err
	}
	op := tables.Op{Kind: tables.Put, Record: rec, If: ifRevision}
	if expiry != nil {
		if err := expiry.CheckValid(); err != nil {
			return tables.Op{}, invalid("%v", err)
		}
		if op.Expiry = expiry.AsDuration(); op.Expiry < tables.MinExpiry {
			return tables.Op{}, invalid("an expiry of %s; the least is %s", op.Expiry, tables.MinExpiry)
		}
	}
	return op, nil
}

// recordOf returns the record that is to be written, without when it expires.
func recordOf(r *storev1.Record) (tables.Record, error) {
	rec := tables.Record{Key: string(r.GetKey()), Value: r.GetValue()}
	if len(r.GetMetadata().GetFields()) == 0 {
		return rec, nil
	}
	var err error
	if rec.Metadata, err = (proto.MarshalOptions{Deterministic: true}).Marshal(r.GetMetadata()); err != nil {
		return tables.Record{}, invalid("the metadata: %v", err)
	}
	return rec, nil
}

func record(r tables.Record) (*storev1.Record, error) {
	out := &storev1.Record{Key: []byte(r.Key), Value: r.Value, Revision: r.Revision, Expires: timestamp(r.Expires)}
	if len(r.Metadata) > 0 {
		out.Metadata = &structpb.Struct{}
		if err := proto.Unmarshal(r.Metadata, out.Metadata); err != nil {
			return nil, fmt.Errorf("the metadata of the record %q: %w", r.Key, err)
		}
	}
	return out, nil
}

// ofKey says which key an error is about. A long one is cut, since an error has to
// fit into the trailers of a call.
func ofKey(key []byte, err error) error {
	const most = 100
	if errors.Is(err, tables.ErrInvalid) {
		return err
	}
	if len(key) > most {
		return fmt.Errorf("%q…: %w", key[:most], err)
	}
	return fmt.Errorf("%q: %w", key, err)
}
