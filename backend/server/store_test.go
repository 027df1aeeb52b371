package server_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/store"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// writeRecord writes the record "k" of a table of acme.
func writeRecord(t *testing.T, s *testServer, table, value string) int64 {
	t.Helper()
	rsp, err := storev1.NewStoreClient(s.conn).Write(as(t, s.admin, "acme"), &storev1.WriteRequest{
		Table: table, Record: &storev1.Record{Key: []byte("k"), Value: []byte(value)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rsp.GetRevision()
}

// Each request that is not good has a status of its own, and none is a fault of the
// server.
func TestStoreRefuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := storev1.NewStoreClient(s.conn)
	ctx := as(t, s.admin, "acme")
	revision := writeRecord(t, s, "", "v")
	record := &storev1.Record{Key: []byte("k")}
	other := revision + 1
	read := func(r *storev1.ReadRequest) error { _, err := api.Read(ctx, r); return err }
	write := func(r *storev1.WriteRequest) error { _, err := api.Write(ctx, r); return err }
	del := func(r *storev1.DeleteRequest) error { _, err := api.Delete(ctx, r); return err }
	batch := func(ops ...*storev1.Operation) error {
		_, err := api.Batch(ctx, &storev1.BatchRequest{Operations: ops})
		return err
	}
	watch := func(r *storev1.WatchRequest) error {
		stream, err := api.Watch(ctx, r)
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	many := make([]*storev1.Operation, 1001)
	for i := range many {
		many[i] = &storev1.Operation{Kind: &storev1.Operation_Delete{Delete: []byte{byte(i >> 8), byte(i)}}}
	}
	heavy := make([]*storev1.Operation, 9)
	for i := range heavy {
		heavy[i] = &storev1.Operation{Kind: &storev1.Operation_Put{Put: &storev1.Put{Record: &storev1.Record{Key: []byte{byte(i)}, Value: make([]byte, 1000000)}}}}
	}
	for _, tt := range []struct {
		name, want string
		err        error
	}{
		{"no such record", "NOT_FOUND", read(&storev1.ReadRequest{Key: []byte("none")})},
		{"an empty key", "INVALID", read(&storev1.ReadRequest{Key: []byte{}})},
		{"a key and a prefix", "INVALID", read(&storev1.ReadRequest{Key: []byte("k"), Prefix: []byte("k")})},
		{"a negative page", "INVALID", read(&storev1.ReadRequest{PageSize: -1})},
		{"an unknown token", "INVALID", read(&storev1.ReadRequest{PageToken: "zz"})},
		{"an unknown order", "INVALID", read(&storev1.ReadRequest{Order: 9})},
		{"a table of two dots", "INVALID", read(&storev1.ReadRequest{Table: ".."})},
		{"no record", "INVALID", write(&storev1.WriteRequest{})},
		{"a large value", "INVALID", write(&storev1.WriteRequest{Record: &storev1.Record{Key: []byte("k"), Value: make([]byte, 1000001)}})},
		{"a large key", "INVALID", write(&storev1.WriteRequest{Record: &storev1.Record{Key: make([]byte, 3073)}})},
		{"no expiry", "INVALID", write(&storev1.WriteRequest{Record: record, Expiry: durationpb.New(0)})},
		{"a negative expiry", "INVALID", write(&storev1.WriteRequest{Record: record, Expiry: durationpb.New(-1)})},
		{"a long expiry", "INVALID", write(&storev1.WriteRequest{Record: record, Expiry: &durationpb.Duration{Seconds: 315576000000}})},
		{"no duration", "INVALID", write(&storev1.WriteRequest{Record: record, Expiry: &durationpb.Duration{Seconds: 1, Nanos: -1}})},
		{"another revision", "CONFLICT", write(&storev1.WriteRequest{Record: record, IfRevision: &other})},
		{"a prefix by mistake", "INVALID", del(&storev1.DeleteRequest{Prefix: []byte("k")})},
		{"a key and a prefix to delete", "INVALID", del(&storev1.DeleteRequest{Key: []byte("k"), AllWithPrefix: true})},
		{"nothing to delete", "INVALID", del(&storev1.DeleteRequest{})},
		{"another revision to delete", "CONFLICT", del(&storev1.DeleteRequest{Key: []byte("k"), IfRevision: &other})},
		{"an operation of nothing", "INVALID", batch(&storev1.Operation{})},
		{"too many operations", "INVALID", batch(many...)},
		{"operations that are too large", "TOO_LARGE", batch(heavy...)},
		{"a negative watch", "INVALID", watch(&storev1.WatchRequest{FromRevision: -1})},
		{"a watch from what never was", "COMPACTED", watch(&storev1.WatchRequest{FromRevision: 1 << 40})},
		{"an empty batch", "OK", batch()},
	} {
		if got := reasonOf(tt.err); got != tt.want {
			t.Errorf("%s: %v (%v), want %v", tt.name, got, tt.err, tt.want)
		}
	}
	rsp, err := api.Read(ctx, &storev1.ReadRequest{})
	if err != nil || len(rsp.GetRecords()) != 1 || rsp.GetRecords()[0].GetRevision() != revision {
		t.Errorf("afterwards there is %v, %v, want what was there before", rsp, err)
	}
}

// An import that is not whole, or has what may not be written, changes nothing.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	api := storev1.NewStoreClient(s.conn)
	good := &storev1.Entry{Record: &storev1.Record{Key: []byte("k"), Value: make([]byte, 900000)}}
	entries := func(list ...*storev1.Entry) *storev1.ImportRequest {
		return &storev1.ImportRequest{Entries: append([]*storev1.Entry{good, good}, list...)}
	}
	for _, tt := range []struct {
		name, want string
		requests   []*storev1.ImportRequest
	}{
		{"nothing", "INVALID", nil},
		{"no end", "INVALID", []*storev1.ImportRequest{entries()}},
		{"another number", "INVALID", []*storev1.ImportRequest{entries(), {Count: 3, Complete: true}}},
		{"no record", "INVALID", []*storev1.ImportRequest{entries(&storev1.Entry{}), {Count: 3, Complete: true}}},
		{"no table", "INVALID", []*storev1.ImportRequest{entries(&storev1.Entry{Table: "..", Record: good.GetRecord()})}},
		{"no time", "INVALID", []*storev1.ImportRequest{entries(&storev1.Entry{
			Record: &storev1.Record{Key: []byte("k"), Expires: &timestamppb.Timestamp{Nanos: -1}},
		})}},
		{"the end of time", "INVALID", []*storev1.ImportRequest{entries(&storev1.Entry{
			Record: &storev1.Record{Key: []byte("k"), Expires: timestamppb.New(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))},
		})}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stream, err := api.Import(as(t, s.admin, "acme"))
			if err != nil {
				t.Fatal(err)
			}
			for _, req := range tt.requests {
				if stream.Send(req) != nil {
					break // the server has said why
				}
			}
			_, err = stream.CloseAndRecv()
			if got := reasonOf(err); got != tt.want {
				t.Errorf("%v (%v), want %v", got, err, tt.want)
			}
			rsp, err := api.Databases(as(t, s.admin, "acme"), &storev1.DatabasesRequest{})
			if err != nil || len(rsp.GetDatabases()) != 0 {
				t.Errorf("there is %v, %v", rsp, err)
			}
			for rec, err := range s.config.Store.Range(t.Context(), store.Prefix("acme/store/")) {
				t.Errorf("%q is left, %v", rec.Key, err)
			}
		})
	}
}

// A table that is closed by a rule is closed on every way.
func TestStoreRules(t *testing.T) {
	t.Parallel()
	s := start(t)
	writeRecord(t, s, "open", "v")
	writeRecord(t, s, "closed", "secret")
	writeRecord(t, s, "", "v")
	for _, table := range []string{"closed", "default"} {
		s.rule(t, &authv1.Rule{Id: table, Resource: "store:" + table + ":*", Access: authv1.Access_ACCESS_DENIED, Priority: 10})
	}
	api := storev1.NewStoreClient(s.conn)
	ctx := as(t, s.admin, "acme")
	for _, at := range []struct{ database, table string }{{"", "closed"}, {"acme", "closed"}, {"else", "closed"}, {"", ""}, {"", "default"}} {
		_, err := api.Read(ctx, &storev1.ReadRequest{Database: at.database, Table: at.table})
		if got := reasonOf(err); got != "DENIED" {
			t.Errorf("read %v: %v", at, err)
		}
		stream, err := api.Import(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&storev1.ImportRequest{
			Entries: []*storev1.Entry{{Database: at.database, Table: at.table, Record: &storev1.Record{Key: []byte("k")}}}, Count: 1, Complete: true,
		}) // the answer says more
		if _, err := stream.CloseAndRecv(); reasonOf(err) != "DENIED" {
			t.Errorf("import %v: %v", at, err)
		}
	}
	exported := func(req *storev1.ExportRequest) (seen string, err error) {
		stream, err := api.Export(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for {
			rsp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return seen, nil
			}
			if err != nil {
				return seen, err
			}
			seen += rsp.String()
		}
	}
	for _, req := range []*storev1.ExportRequest{{}, {Database: "acme"}, {Table: "closed"}} {
		if seen, err := exported(req); reasonOf(err) != "DENIED" || strings.Contains(seen, "secret") {
			t.Errorf("export %v: %v, %v", req, seen, err)
		}
	}
	// Who may read one table may export it, and nothing else.
	s.rule(t, &authv1.Rule{Id: "none", Resource: "store:*:*", Access: authv1.Access_ACCESS_DENIED, Priority: 20})
	s.rule(t, &authv1.Rule{Id: "one", Resource: "store:open:read", Access: authv1.Access_ACCESS_GRANTED, Priority: 30})
	if seen, err := exported(&storev1.ExportRequest{}); reasonOf(err) != "DENIED" || seen != "" {
		t.Errorf("export all with the right to one table: %v, %v", seen, err)
	}
	if seen, err := exported(&storev1.ExportRequest{Table: "open"}); err != nil || !strings.Contains(seen, "complete:true") {
		t.Errorf("export what is open: %v, %v", seen, err)
	}
}

// A server that stops ends the watches of its store.
func TestStoreWatchEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	stream, err := storev1.NewStoreClient(s.conn).Watch(as(t, s.admin, "acme"), &storev1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if rsp, err := stream.Recv(); err != nil || rsp.GetChange() != storev1.Change_CHANGE_SYNCED {
		t.Fatalf("%v, %v", rsp, err)
	}
	begun := time.Now()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the server took %v to stop", took)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the watch ended with %v, want %v", err, codes.Unavailable)
	}
}
