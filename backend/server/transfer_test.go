package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/archive"
	"github.com/micro/micro/v3/backend/store"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	namespacev1 "github.com/micro/micro/v3/proto/micro/namespace/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

func exportNamespace(t *testing.T, s *testServer, token, ns string) ([]byte, *namespacev1.Summary, error) {
	t.Helper()
	stream, err := namespacev1.NewTransferClient(s.conn).Export(as(t, token, ns), &namespacev1.ExportRequest{Secrets: true})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for {
		rsp, err := stream.Recv()
		if err != nil {
			return nil, nil, err
		}
		b.Write(rsp.GetData())
		if rsp.GetComplete() {
			return b.Bytes(), rsp.GetSummary(), nil
		}
	}
}

func importNamespace(t *testing.T, s *testServer, token, ns string, b []byte, complete bool) (*namespacev1.Summary, error) {
	t.Helper()
	stream, err := namespacev1.NewTransferClient(s.conn).Import(as(t, token, ns))
	if err != nil {
		t.Fatal(err)
	}
	for piece := range slices.Chunk(b, 100<<10) {
		if stream.Send(&namespacev1.ImportRequest{Data: piece}) != nil {
			break // the answer says why
		}
	}
	if complete {
		_ = stream.Send(&namespacev1.ImportRequest{Complete: true}) // see above
	}
	rsp, err := stream.CloseAndRecv()
	return rsp.GetSummary(), err
}

// fill gives a namespace something of everything that is moved.
func fill(t *testing.T, s *testServer, token, ns string) {
	t.Helper()
	ctx := as(t, token, ns)
	for i, database := range []string{"", "archive"} {
		for j := range 3 {
			_, err := storev1.NewStoreClient(s.conn).Write(ctx, &storev1.WriteRequest{
				Database: database, Table: fmt.Sprintf("t%d", j),
				Record: &storev1.Record{Key: []byte{byte(i), 0, 0xff}, Value: bytes.Repeat([]byte{byte(j)}, 900_000)},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := configv1.NewConfigClient(s.conn).Set(ctx, &configv1.SetRequest{Json: `{"a": {"b.c": [1]}, "key": {"$secret": "s"}}`}); err != nil {
		t.Fatal(err)
	}
	_, err := authv1.NewRulesClient(s.conn).Create(ctx, &authv1.CreateRuleRequest{
		Rule: &authv1.Rule{Id: "own", Resource: "service:x:*", Access: authv1.Access_ACCESS_GRANTED},
	})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := storev1.NewBlobsClient(s.conn).Write(ctx)
	if err == nil {
		err = stream.Send(&storev1.WriteBlobRequest{Name: "a/b", ContentType: "x", Data: make([]byte, 1_500_000), Complete: true, Size: 1_500_000})
	}
	if err == nil {
		_, err = stream.CloseAndRecv()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An export into an empty namespace makes the same export there.
func TestTransfer(t *testing.T) {
	t.Parallel()
	s := start(t)
	stranger := s.stranger(t)
	fill(t, s, s.admin, "acme")
	out, summary, err := exportNamespace(t, s, s.admin, "acme")
	if err != nil {
		t.Fatal(err)
	}
	got, err := importNamespace(t, s, stranger, "globex", out, true)
	if err != nil {
		t.Fatal(err)
	}
	if got.GetRecords() != 6 || got.GetBlobs() != 1 || got.GetBlobBytes() != 1_500_000 || got.GetValues() != 2 || got.GetRules() != summary.GetRules() {
		t.Errorf("imported %v of %v", got, summary)
	}
	again, _, err := exportNamespace(t, s, stranger, "globex")
	if err != nil {
		t.Fatal(err)
	}
	first, second := filesOf(t, out), filesOf(t, again)
	delete(first, "namespace.json")
	delete(second, "namespace.json")
	if !maps.Equal(first, second) {
		t.Errorf("files of the first (-) and the second export (+):\n%s", cmp.Diff(slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second))))
	}
	noneLeft(t, s)
}

func filesOf(t *testing.T, b []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	_, err := archive.Read(t.Context(), bytes.NewReader(b), "namespace", 1, func(name string, _ int64, r io.Reader) error {
		content, err := io.ReadAll(r)
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// noneLeft checks that no import has left anything beside what it wrote.
func noneLeft(t *testing.T, s *testServer) {
	t.Helper()
	for _, prefix := range []string{"globex/store/import/", "globex/blob/upload/"} {
		for rec, err := range s.config.Store.Range(t.Context(), store.Prefix(prefix)) {
			t.Errorf("%q is left, %v", rec.Key, err)
		}
	}
}

// An archive that is not good changes nothing, and neither does one that is not for the
// caller.
func TestTransferRefuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	stranger := s.stranger(t)
	archived := func(kind string, version int, files ...[2]string) []byte {
		var b bytes.Buffer
		w, err := archive.NewWriter(&b, archive.Header{Kind: kind, Version: version})
		for _, f := range files {
			if err == nil {
				err = w.Add(t.Context(), f[0], int64(len(f[1])), bytes.NewReader([]byte(f[1])))
			}
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	of := func(files ...[2]string) []byte {
		good := [][2]string{{"namespace.json", `{"namespace": "x"}`}, {"records/0.ndjson", `{"table": "t", "key": "YQ==", "value": ""}`}}
		return archived("namespace", 1, append(good, files...)...)
	}
	fill(t, s, s.admin, "acme")
	whole, _, err := exportNamespace(t, s, s.admin, "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, want string
		archive    []byte
		broken     bool // it does not say that it is complete
	}{
		{"nothing", "INVALID", nil, false},
		{"no end", "INVALID", whole, true},
		{"cut off", "INVALID", whole[:len(whole)-1], false},
		{"something else", "INVALID", bytes.Repeat([]byte("milk, eggs\n"), 1000), false},
		{"a backup", "INVALID", archived("backup", 1), false},
		{"a newer one", "INVALID", archived("namespace", 2), false},
		{"of no namespace", "INVALID", archived("namespace", 1), false},
		{"a strange file", "INVALID", of([2]string{"accounts.json", "[]"}), false},
		{"rules that are none", "INVALID", of([2]string{"rules.json", "{}"}), false},
		{"a configuration that is none", "INVALID", of([2]string{"config.json", "{"}), false},
		{"a record that is none", "INVALID", of([2]string{"records/1.ndjson", "[]"}), false},
		{"a table of two dots", "INVALID", of([2]string{"records/1.ndjson", `{"table": "..", "key": "YQ=="}`}), false},
		{"a record without a key", "INVALID", of([2]string{"records/1.ndjson", `{"table": "t"}`}), false},
		{"metadata that are none", "INVALID", of([2]string{"records/1.ndjson", `{"table": "t", "key": "YQ==", "metadata": "AAAA"}`}), false},
		{"the end of time", "INVALID", of([2]string{"records/1.ndjson", `{"table": "t", "key": "YQ==", "expires": "9999-01-01T00:00:00Z"}`}), false},
		{"a blob without content", "INVALID", of([2]string{"blobs/0.json", `{"name": "x"}`}), false},
		{"a blob of another size", "INVALID", of([2]string{"blobs/0.json", `{"name": "x", "size": 2}`}, [2]string{"blobs/0", "x"}), false},
		{"a blob without a name", "INVALID", of([2]string{"blobs/0.json", `{"size": 1}`}, [2]string{"blobs/0", "x"}), false},
	} {
		if _, err := importNamespace(t, s, stranger, "globex", tt.archive, !tt.broken); reasonOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		rsp, err := storev1.NewStoreClient(s.conn).Databases(as(t, stranger, "globex"), &storev1.DatabasesRequest{})
		list, listErr := storev1.NewBlobsClient(s.conn).List(as(t, stranger, "globex"), &storev1.ListBlobsRequest{})
		if err := errors.Join(err, listErr); err != nil || len(rsp.GetDatabases())+len(list.GetBlobs()) > 0 {
			t.Errorf("%s: there is %v and %v, %v", tt.name, rsp, list, err)
		}
		noneLeft(t, s)
	}
	// Each thing needs its right, to be exported and to be imported.
	for resource, want := range map[string]string{
		"store:t1:*": "DENIED", "blob:a/b:*": "DENIED", "config:*:*": "DENIED", "config:*:Config.Secrets": "DENIED", "auth:*:*": "DENIED", "events:*:*": "OK",
	} {
		rules := authv1.NewRulesClient(s.conn)
		for ns, token := range map[string]string{"acme": s.admin, "globex": stranger} {
			_, err := rules.Create(as(t, token, ns), &authv1.CreateRuleRequest{
				Rule: &authv1.Rule{Id: "denied", Resource: resource, Access: authv1.Access_ACCESS_DENIED, Priority: 9},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := exportNamespace(t, s, s.admin, "acme"); reasonOf(err) != want {
			t.Errorf("export without %s: %v, want %s", resource, err, want)
		}
		if resource == "config:*:Config.Secrets" {
			want = "OK" // to set them is another right
		}
		if _, err := importNamespace(t, s, stranger, "globex", whole, true); reasonOf(err) != want {
			t.Errorf("import without %s: %v, want %s", resource, err, want)
		}
		for ns, token := range map[string]string{"acme": s.admin, "globex": stranger} {
			if err := s.auth.DeleteRule(t.Context(), ns, "denied"); err != nil {
				t.Fatal(err)
			}
			// The server hears of it a moment later.
			ctx := as(t, token, ns)
			for denied := true; denied; {
				list, err := rules.List(ctx, &authv1.ListRulesRequest{})
				if err != nil && reasonOf(err) != "DENIED" {
					t.Fatal(err)
				}
				denied = err != nil || slices.ContainsFunc(list.GetRules(), func(r *authv1.Rule) bool { return r.GetId() == "denied" })
			}
		}
	}
	for _, token := range []string{s.account(t, "bob"), stranger, ""} {
		if _, _, err := exportNamespace(t, s, token, "acme"); reasonOf(err) == "OK" {
			t.Error("somebody exports who may not")
		}
	}
}
