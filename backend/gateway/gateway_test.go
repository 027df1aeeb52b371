package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/backend/auth"
	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/gateway"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/dynamic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// name is what the service of these tests is called: its gRPC service is
// grpc.testing.TestService.
const name = "test-service"

// rig is a gateway with what is behind it.
type rig struct {
	url      string
	client   *http.Client
	auth     *auth.Auth
	registry *registry.Registry
	schema   string // the digest of what the service speaks
}

// start runs a gateway in front of an empty registry.
func start(t *testing.T) *rig {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	st, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.Open(t.Context(), auth.Config{Store: st, MasterKey: make([]byte, auth.MasterKeySize)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Initialize(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	reg := registry.New(st)
	p := proxy.New(proxy.Config{
		Auth:     a,
		Registry: reg,
		Logger:   slog.New(slog.DiscardHandler),
		Deployed: func(_ context.Context, _, service string) bool { return service == "sleeping" },
	})
	h := httptest.NewServer(gateway.New(gateway.Config{
		Proxy: p,
		Schema: func(ctx context.Context, ns, digest string) (*dynamic.Schema, error) {
			files, err := reg.Schema(ctx, ns, digest)
			if err != nil {
				return nil, err
			}
			return dynamic.ParseSchema(files)
		},
		Status:  statusOf,
		Version: "v1.2.3",
		Logger:  slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(func() {
		h.Close()
		if err := errors.Join(p.Close(), reg.Close(), a.Close(), st.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	r := &rig{url: h.URL, client: h.Client(), auth: a, registry: reg}
	if r.schema, err = reg.PutSchema(t.Context(), auth.DefaultNamespace, schemaOf(t, testpb.File_grpc_testing_test_proto)); err != nil {
		t.Fatal(err)
	}
	return r
}

// statusOf is as the server's own table, as far as these tests need it.
func statusOf(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	for target, code := range map[error]codes.Code{
		auth.ErrAnonymous:      codes.Unauthenticated,
		auth.ErrCredentials:    codes.Unauthenticated,
		auth.ErrDenied:         codes.PermissionDenied,
		proxy.ErrNoService:     codes.NotFound,
		proxy.ErrNoInstance:    codes.Unavailable,
		proxy.ErrSchemaChanged: codes.FailedPrecondition,
	} {
		if errors.Is(err, target) {
			return status.Error(code, err.Error())
		}
	}
	return status.Error(codes.Internal, "internal: "+err.Error())
}

// schemaOf returns the schema of a file with all that it imports.
func schemaOf(t *testing.T, file protoreflect.FileDescriptor) []byte {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(fd protoreflect.FileDescriptor) {
		if seen[fd.Path()] {
			return
		}
		seen[fd.Path()] = true
		for i := range fd.Imports().Len() {
			add(fd.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(fd))
	}
	add(file)
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// register makes an address callable as a service.
func (r *rig) register(t *testing.T, service, address, schema string) {
	t.Helper()
	_, err := r.registry.Register(t.Context(), auth.DefaultNamespace, registry.Instance{
		ID:       service + "-1",
		Service:  service,
		Address:  address,
		Schema:   schema,
		Provides: []string{"grpc.testing.TestService"},
	}, registry.MaxLease)
	if err != nil {
		t.Fatal(err)
	}
}

// startWith runs a gateway with one instance of the service.
func startWith(t *testing.T, impl testpb.TestServiceServer) *rig {
	t.Helper()
	r := start(t)
	g := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	testpb.RegisterTestServiceServer(g, impl)
	r.register(t, name, serve(t, g), r.schema)
	return r
}

func serve(t *testing.T, g *grpc.Server) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

// do makes a request; header is names and values in turn.
func (r *rig) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	rsp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v after %q", method, path, err, text)
	}
	return answer{rsp, string(text)}
}

// service answers with what it got.
type service struct {
	testpb.UnimplementedTestServiceServer

	mu   sync.Mutex
	last metadata.MD // of the last call
}

func (s *service) see(ctx context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = md
}

func (s *service) seen() metadata.MD {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *service) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	s.see(ctx)
	return &testpb.Empty{}, nil
}

func (s *service) UnaryCall(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	s.see(ctx)
	if err := grpc.SetHeader(ctx, metadata.Pairs("x-answer", "one", "x-answer", "two", "x-raw-bin", "\x00", "secret", "no", "set-cookie", "a=b")); err != nil {
		return nil, err
	}
	if st := req.GetResponseStatus(); st != nil {
		return nil, status.Error(codes.Code(st.GetCode()), st.GetMessage())
	}
	rsp := &testpb.SimpleResponse{Payload: req.GetPayload()}
	if req.GetFillUsername() {
		rsp.Username = "alice"
	}
	return rsp, nil
}

func (s *service) StreamingOutputCall(req *testpb.StreamingOutputCallRequest, out testpb.TestService_StreamingOutputCallServer) error {
	s.see(out.Context())
	if err := out.SetHeader(metadata.Pairs("x-answer", "stream")); err != nil {
		return err
	}
	for _, p := range req.GetResponseParameters() {
		if err := out.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	if st := req.GetResponseStatus(); st != nil {
		return status.Error(codes.Code(st.GetCode()), st.GetMessage())
	}
	return nil
}

func (s *service) StreamingInputCall(in testpb.TestService_StreamingInputCallServer) error {
	var size int32
	for {
		req, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return in.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: size})
		}
		if err != nil {
			return err
		}
		size += int32(len(req.GetPayload().GetBody()))
		if len(req.GetPayload().GetBody()) == 0 {
			return status.Error(codes.InvalidArgument, "an empty payload")
		}
	}
}

func (s *service) FullDuplexCall(both testpb.TestService_FullDuplexCallServer) error {
	for {
		req, err := both.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if st := req.GetResponseStatus(); st != nil {
			return status.Error(codes.Code(st.GetCode()), st.GetMessage())
		}
		if err := both.Send(&testpb.StreamingOutputCallResponse{Payload: req.GetPayload()}); err != nil {
			return err
		}
	}
}

// rawCodec passes bytes through.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }

// startRaw runs a gateway with an instance that answers every call with the given
// bytes.
func startRaw(t *testing.T, answers ...string) *rig {
	t.Helper()
	r := start(t)
	g := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		for _, a := range answers {
			b := []byte(a)
			if err := s.SendMsg(&b); err != nil {
				return err
			}
		}
		return nil
	}))
	r.register(t, name, serve(t, g), r.schema)
	return r
}
