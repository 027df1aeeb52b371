package server_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/micro/micro/v3/backend/store"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// sendBlob sends requests of one upload and returns the answer.
func sendBlob(t *testing.T, s *testServer, token string, requests ...*storev1.WriteBlobRequest) (*storev1.Blob, error) {
	t.Helper()
	stream, err := storev1.NewBlobsClient(s.conn).Write(as(t, token, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range requests {
		if stream.Send(req) != nil {
			break // the server has said why
		}
	}
	rsp, err := stream.CloseAndRecv()
	return rsp.GetBlob(), err
}

func readBlob(t *testing.T, s *testServer, token string, req *storev1.ReadBlobRequest) (string, error) {
	t.Helper()
	stream, err := storev1.NewBlobsClient(s.conn).Read(as(t, token, "acme"), req)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for complete := false; ; {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) && complete {
			return all.String(), nil
		}
		if err != nil {
			return all.String(), err
		}
		all.Write(rsp.GetData())
		complete = rsp.GetComplete()
	}
}

// Each request that is not good has a status of its own, and leaves nothing.
func TestBlobsRefuse(t *testing.T) {
	t.Parallel()
	s := start(t)
	whole := func(r *storev1.WriteBlobRequest) *storev1.WriteBlobRequest {
		r.Complete, r.Size = true, int64(len(r.GetData()))
		return r
	}
	blob, err := sendBlob(t, s, s.admin, whole(&storev1.WriteBlobRequest{Name: "x", Data: []byte("there")}))
	if err != nil {
		t.Fatal(err)
	}
	zero, other := int64(0), blob.GetRevision()+1
	negative := int64(-1)
	long, megabytes := strings.Repeat("x", 64<<10), make([]byte, 3<<20)
	for _, tt := range []struct {
		name, want string
		requests   []*storev1.WriteBlobRequest
	}{
		{"nothing", "INVALID", nil},
		{"no name", "INVALID", []*storev1.WriteBlobRequest{whole(&storev1.WriteBlobRequest{})}},
		{"a long name", "INVALID", []*storev1.WriteBlobRequest{whole(&storev1.WriteBlobRequest{Name: long})}},
		{"a name with NUL", "INVALID", []*storev1.WriteBlobRequest{whole(&storev1.WriteBlobRequest{Name: "a\x00"})}},
		{"a long type", "INVALID", []*storev1.WriteBlobRequest{whole(&storev1.WriteBlobRequest{Name: "x", ContentType: long})}},
		{"much metadata", "INVALID", []*storev1.WriteBlobRequest{whole(&storev1.WriteBlobRequest{Name: "x", Metadata: map[string]string{"k": long}})}},
		{"no end", "INVALID", []*storev1.WriteBlobRequest{{Name: "x", Data: megabytes}, {Data: megabytes}}},
		{"another size", "INVALID", []*storev1.WriteBlobRequest{{Name: "x", Data: megabytes}, {Complete: true, Size: 7}}},
		{"no size", "INVALID", []*storev1.WriteBlobRequest{{Name: "x", Data: megabytes, Complete: true}}},
		{"another digest", "INVALID", []*storev1.WriteBlobRequest{{Name: "x", Complete: true, Sha256: make([]byte, 32)}}},
		{"no digest", "INVALID", []*storev1.WriteBlobRequest{{Name: "x", Complete: true, Sha256: []byte{1}}}},
		{"a large message", "INVALID", []*storev1.WriteBlobRequest{whole(&storev1.WriteBlobRequest{Name: "x", Data: make([]byte, 4<<20+1)})}},
		{"a negative revision", "INVALID", []*storev1.WriteBlobRequest{whole(&storev1.WriteBlobRequest{Name: "x", IfRevision: &negative})}},
		{"one that must not be there", "CONFLICT", []*storev1.WriteBlobRequest{whole(&storev1.WriteBlobRequest{Name: "x", IfRevision: &zero})}},
		{"another revision", "CONFLICT", []*storev1.WriteBlobRequest{{Name: "x", Data: megabytes, IfRevision: &other}, {Complete: true, Size: 3 << 20}}},
	} {
		if _, err := sendBlob(t, s, s.admin, tt.requests...); reasonOf(err) != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	for _, tt := range []struct {
		want string
		req  *storev1.ReadBlobRequest
	}{
		{"NOT_FOUND", &storev1.ReadBlobRequest{Name: "none"}},
		{"INVALID", &storev1.ReadBlobRequest{}},
		{"INVALID", &storev1.ReadBlobRequest{Name: "x", Offset: -1}},
		{"INVALID", &storev1.ReadBlobRequest{Name: "x", Length: -1}},
		{"INVALID", &storev1.ReadBlobRequest{Name: "x", Offset: 6}},
	} {
		if _, err := readBlob(t, s, s.admin, tt.req); reasonOf(err) != tt.want {
			t.Errorf("read %v: %v, want %v", tt.req, err, tt.want)
		}
	}
	api, ctx := storev1.NewBlobsClient(s.conn), as(t, s.admin, "acme")
	_, size := api.List(ctx, &storev1.ListBlobsRequest{PageSize: -1})
	_, token := api.List(ctx, &storev1.ListBlobsRequest{PageToken: "zz"})
	_, none := api.Stat(ctx, &storev1.StatBlobRequest{Name: "none"})
	_, conflict := api.Delete(ctx, &storev1.DeleteBlobRequest{Name: "x", IfRevision: &other})
	for _, tt := range []struct {
		want string
		err  error
	}{{"INVALID", size}, {"INVALID", token}, {"NOT_FOUND", none}, {"CONFLICT", conflict}} {
		if reasonOf(tt.err) != tt.want {
			t.Errorf("%v, want %v", tt.err, tt.want)
		}
	}
	if got, err := readBlob(t, s, s.admin, &storev1.ReadBlobRequest{Name: "x"}); got != "there" || err != nil {
		t.Errorf("afterwards it is %q, %v", got, err)
	}
	awaitBlobParts(t, s, 1)
}

// awaitBlobParts waits until acme has so many parts of blobs, and nothing is loose.
func awaitBlobParts(t *testing.T, s *testServer, want int) {
	t.Helper()
	count := func(prefix string) (n int) {
		for rec, err := range s.config.Store.Range(t.Context(), store.Prefix(prefix)) {
			if err != nil {
				t.Fatal(rec.Key, err)
			}
			n++
		}
		return n
	}
	for _, err := range s.config.Store.Watch(as(t, "", ""), "", 0) { // each change may be the last
		if err != nil {
			t.Fatalf("there are not %d parts, or some are loose: %v", want, err)
		}
		if count("acme/blob/part/") == want && count("$system/blob/loose/") == 0 {
			return
		}
	}
}

func TestBlobsRules(t *testing.T) {
	t.Parallel()
	s := start(t)
	member, stranger := s.account(t, "bob"), s.stranger(t)
	_, service := s.instance(t, "billing")
	req := func(name string) *storev1.WriteBlobRequest {
		return &storev1.WriteBlobRequest{Name: name, Complete: true}
	}
	for _, name := range []string{"open", "closed", "public"} {
		if _, err := sendBlob(t, s, service, req(name)); err != nil {
			t.Errorf("a service writes: %v", err)
		}
	}
	s.rule(t, &authv1.Rule{Id: "closed", Resource: "blob:closed:*", Access: authv1.Access_ACCESS_DENIED, Priority: 10})
	s.rule(t, &authv1.Rule{Id: "public", Resource: "blob:public:read", Access: authv1.Access_ACCESS_GRANTED})
	for _, tt := range []struct{ who, token, name, read, write string }{
		{"a member", member, "open", "OK", "DENIED"},
		{"a member", member, "closed", "DENIED", "DENIED"},
		{"an administrator", s.admin, "open", "OK", "OK"},
		{"an administrator", s.admin, "closed", "DENIED", "DENIED"},
		{"a stranger", stranger, "open", "NOT_LOGGED_IN", "NOT_LOGGED_IN"},
		{"a stranger", stranger, "none", "NOT_LOGGED_IN", "NOT_LOGGED_IN"},
		{"a stranger", stranger, "public", "OK", "NOT_LOGGED_IN"},
		{"nobody", "", "public", "OK", "NOT_LOGGED_IN"},
	} {
		if _, err := readBlob(t, s, tt.token, &storev1.ReadBlobRequest{Name: tt.name}); reasonOf(err) != tt.read {
			t.Errorf("%s reads %s: %v, want %s", tt.who, tt.name, err, tt.read)
		}
		if _, err := sendBlob(t, s, tt.token, req(tt.name)); reasonOf(err) != tt.write {
			t.Errorf("%s writes %s: %v, want %s", tt.who, tt.name, err, tt.write)
		}
	}
}

// An upload ends when its caller may not make it any more, and leaves nothing.
func TestBlobUploadRevoked(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i, tt := range []struct {
		want   string
		revoke func(account string) error
	}{
		{"OK", func(string) error { return nil }},
		{"SESSION_REVOKED", func(account string) error { return s.auth.DeleteAccount(t.Context(), "acme", account) }},
		{"DENIED", func(string) error {
			s.rule(t, &authv1.Rule{Id: "closed", Resource: "blob:*:write", Access: authv1.Access_ACCESS_DENIED, Priority: 10})
			return nil
		}},
	} {
		account, name := fmt.Sprintf("bob%d", i), fmt.Sprintf("x%d", i)
		token := s.account(t, account, "service")
		stream, err := storev1.NewBlobsClient(s.conn).Write(as(t, token, "acme"))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&storev1.WriteBlobRequest{Name: name, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if err := tt.revoke(account); err != nil {
			t.Fatal(err)
		}
		if tt.want == "OK" {
			_ = stream.Send(&storev1.WriteBlobRequest{Complete: true, Size: 1}) // the answer says more
		} else {
			for stream.Send(&storev1.WriteBlobRequest{Data: []byte("x")}) == nil { // until it is told
			}
		}
		if err := stream.RecvMsg(&storev1.WriteBlobResponse{}); reasonOf(err) != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
		if _, err := readBlob(t, s, s.admin, &storev1.ReadBlobRequest{Name: name}); (err == nil) != (tt.want == "OK") {
			t.Errorf("after an upload that should end with %s, there is the blob, or %v", tt.want, err)
		}
	}
}

// A server that stops ends uploads, and a namespace that is deleted takes them along.
func TestBlobUploadEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	upload := func() storev1.Blobs_WriteClient {
		stream, err := storev1.NewBlobsClient(s.conn).Write(as(t, s.admin, "acme"))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&storev1.WriteBlobRequest{Name: "x", Data: make([]byte, 2<<20)}); err != nil {
			t.Fatal(err)
		}
		// It has come when there are parts of it.
		for c, err := range s.config.Store.Watch(as(t, "", ""), "acme/blob/part/", 0) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Kind == store.KindPut {
				break
			}
		}
		return stream
	}
	deleted := upload()
	_, err := authv1.NewNamespacesClient(s.conn).Delete(as(t, s.admin, "acme"), &authv1.DeleteNamespaceRequest{Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	_ = deleted.Send(&storev1.WriteBlobRequest{Complete: true, Size: 2 << 20}) // the answer says more
	// Which of the two is told depends on what is seen first.
	if _, err := deleted.CloseAndRecv(); reasonOf(err) != "SESSION_REVOKED" && reasonOf(err) != "UPLOAD_GONE" {
		t.Errorf("the upload of a namespace that was deleted: %v, want SESSION_REVOKED or UPLOAD_GONE", err)
	}
	awaitBlobParts(t, s, 0)
	session, err := s.auth.Signup(t.Context(), "acme", "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	s.admin = session.Access
	stopped := upload()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := stopped.CloseAndRecv(); reasonOf(err) != "SHUTTING_DOWN" {
		t.Errorf("the upload to a server that stops: %v, want SHUTTING_DOWN", err)
	}
}
