package dynamic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcreflection "google.golang.org/grpc/reflection"
	reflectv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/descriptorpb"
)

// serve returns a connection to a server of its own for the test.
func serve(t *testing.T, register func(*grpc.Server)) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer()
	register(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///test",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn
}

// shop is a server of the shop's schema and of health, as it tells its services.
type shop struct{ *Schema }

func (s shop) GetServiceInfo() map[string]grpc.ServiceInfo {
	out := map[string]grpc.ServiceInfo{"grpc.reflection.v1.ServerReflection": {}}
	for _, svc := range s.Services() {
		out[string(svc.FullName())] = grpc.ServiceInfo{}
	}
	return out
}

func TestReflect(t *testing.T) {
	t.Parallel()
	schema, err := ParseSchema(orderSchema(t))
	if err != nil {
		t.Fatal(err)
	}
	o := grpcreflection.ServerOptions{Services: shop{schema}, DescriptorResolver: schema.Files()}
	servers := map[string]func(*grpc.Server){
		"v1": func(s *grpc.Server) {
			reflectv1.RegisterServerReflectionServer(s, grpcreflection.NewServerV1(o))
		},
		"v1alpha": func(s *grpc.Server) {
			reflectv1alpha.RegisterServerReflectionServer(s, grpcreflection.NewServer(o))
		},
		"behind a proxy that wants to know who calls v1": func(s *grpc.Server) {
			reflectv1.RegisterServerReflectionServer(s, &liar{answer: func(*reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) {
				return nil, status.Error(codes.Unauthenticated, "who are you?")
			}})
			reflectv1alpha.RegisterServerReflectionServer(s, grpcreflection.NewServer(o))
		},
	}
	var first []byte
	for name, register := range servers {
		raw, err := Reflect(t.Context(), serve(t, register))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if first == nil {
			first = raw
		}
		if !bytes.Equal(raw, first) {
			t.Errorf("%s: got other bytes for the same schema", name)
		}
		got, err := ParseSchema(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := got.Files().FindDescriptorByName("shop.v1.Orders"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReflectNone tells that a server has no reflection from that it failed.
func TestReflectNone(t *testing.T) {
	t.Parallel()
	none := serve(t, func(s *grpc.Server) { healthv1.RegisterHealthServer(s, health.NewServer()) })
	if _, err := Reflect(t.Context(), none); !errors.Is(err, ErrNoReflection) {
		t.Errorf("none: got %v, want ErrNoReflection", err)
	}
	denied := serve(t, func(s *grpc.Server) {
		reflectv1.RegisterServerReflectionServer(s, &liar{answer: func(*reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) {
			return nil, status.Error(codes.Unauthenticated, "who are you?")
		}})
	})
	if _, err := Reflect(t.Context(), denied); status.Code(err) != codes.Unauthenticated {
		t.Errorf("not for everybody: got %v, want Unauthenticated", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Reflect(ctx, none); status.Code(err) != codes.Canceled {
		t.Errorf("canceled: got %v, want Canceled", err)
	}
}

// liar is a server whose reflection answers anything.
type liar struct {
	reflectv1.UnimplementedServerReflectionServer
	answer func(*reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error)
}

func (l *liar) ServerReflectionInfo(s reflectv1.ServerReflection_ServerReflectionInfoServer) error {
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rsp, err := l.answer(req)
		if rsp == nil {
			return err
		}
		if err := s.Send(rsp); err != nil {
			return err
		}
	}
}

// listing answers that there are such services.
func listing(names ...string) *reflectv1.ServerReflectionResponse {
	list := &reflectv1.ListServiceResponse{}
	for _, n := range names {
		list.Service = append(list.Service, &reflectv1.ServiceResponse{Name: n})
	}
	return &reflectv1.ServerReflectionResponse{MessageResponse: &reflectv1.ServerReflectionResponse_ListServicesResponse{ListServicesResponse: list}}
}

// sending answers with files.
func sending(files ...[]byte) *reflectv1.ServerReflectionResponse {
	return &reflectv1.ServerReflectionResponse{MessageResponse: &reflectv1.ServerReflectionResponse_FileDescriptorResponse{
		FileDescriptorResponse: &reflectv1.FileDescriptorResponse{FileDescriptorProto: files},
	}}
}

// TestReflectLiars asks servers that send what nobody asked for, too much of it, or
// nothing. Each time it ends, and says what is wrong.
func TestReflectLiars(t *testing.T) {
	t.Parallel()
	type answer = func(*reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error)
	serviceFile := func(name string, deps ...string) []byte {
		return marshal(t, file(name, func(f *descriptorpb.FileDescriptorProto) {
			f.Service = []*descriptorpb.ServiceDescriptorProto{{Name: new("S")}}
			f.Dependency = deps
		}))
	}
	// after answers with the service p.S, and then as it says.
	after := func(next answer) answer {
		return func(req *reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) {
			if _, ok := req.GetMessageRequest().(*reflectv1.ServerReflectionRequest_ListServices); ok {
				return listing("p.S"), nil
			}
			return next(req)
		}
	}
	always := func(rsp *reflectv1.ServerReflectionResponse) answer {
		return func(*reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) { return rsp, nil }
	}
	n := 0
	for _, test := range []struct {
		name   string
		answer answer
		want   string
		code   codes.Code // when it is not ErrSchema
	}{
		{"something else than services", always(sending()), "asked for its services, the server sent something else", 0},
		{"no end of services", always(listing(make([]string, maxFiles+1)...)), "10001 services", 0},
		{"an empty answer", after(always(&reflectv1.ServerReflectionResponse{})), `asked for the service "p.S"`, 0},
		{"another file", after(always(sending(marshal(t, file("a.proto", nil))))), `asked for the service "p.S"`, 0},
		{"what is no file", after(always(sending([]byte("<html>")))), "proto", 0},
		{"no end of messages", after(always(sending(repeated(5<<20, 4)))), "more than 2000000 parts", 0},
		{"an import that it does not send", after(always(sending(serviceFile("s.proto", "a.proto")))), `asked for "a.proto"`, 0},
		{"an import of each file, for ever", after(func(req *reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) {
			n++
			name := "s.proto"
			if req.GetFileByFilename() != "" {
				name = req.GetFileByFilename()
			}
			return sending(serviceFile(name, fmt.Sprintf("%d.proto", n))), nil
		}), "more than 10000 files", 0},
		{"too much at once", after(always(sending(make([]byte, MaxSchema)))), "larger than max", codes.ResourceExhausted},
		{"an end in the middle", after(func(*reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) { return nil, nil }), "ended the conversation in the middle", 0},
		{"an error for a service", after(always(&reflectv1.ServerReflectionResponse{MessageResponse: &reflectv1.ServerReflectionResponse_ErrorResponse{
			ErrorResponse: &reflectv1.ErrorResponse{ErrorCode: int32(codes.NotFound), ErrorMessage: "no such symbol"},
		}})), "service p.S: ", codes.NotFound},
		{"an error of the stream", after(func(*reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) {
			return nil, status.Error(codes.Internal, "sorry")
		}), "sorry", codes.Internal},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := serve(t, func(s *grpc.Server) { reflectv1.RegisterServerReflectionServer(s, &liar{answer: test.answer}) })
			raw, err := Reflect(t.Context(), conn)
			if err == nil {
				t.Fatalf("got %d bytes, want an error", len(raw))
			}
			if !strings.Contains(err.Error(), test.want) || errors.Is(err, ErrSchema) != (test.code == 0) || test.code != 0 && status.Code(err) != test.code {
				t.Errorf("got %v, want %q, %v", err, test.want, test.code)
			}
		})
	}
}

// TestReflectStalled gives up on a server that says nothing when its caller does.
func TestReflectStalled(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	gone := make(chan struct{})
	conn := serve(t, func(s *grpc.Server) {
		reflectv1.RegisterServerReflectionServer(s, &liar{answer: func(*reflectv1.ServerReflectionRequest) (*reflectv1.ServerReflectionResponse, error) {
			asked <- struct{}{}
			<-gone
			return nil, nil
		}})
	})
	t.Cleanup(func() { close(gone) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := Reflect(ctx, conn); status.Code(err) != codes.Canceled {
		t.Errorf("got %v, want Canceled", err)
	}
}

// TestCollector takes a file again and again, as some servers send it, but not
// without end.
func TestCollector(t *testing.T) {
	t.Parallel()
	big := marshal(t, file("a.proto", func(f *descriptorpb.FileDescriptorProto) {
		f.Options = &descriptorpb.FileOptions{JavaPackage: new(strings.Repeat("x", MaxSchema/2))}
	}))
	c := newCollector()
	var err error
	n := 0
	for ; err == nil; n++ {
		err = c.add([][]byte{big})
	}
	if got, want := n, maxReceived/len(big)+1; got != want || !errors.Is(err, ErrSchema) {
		t.Errorf("got %v after %d times, want ErrSchema after %d", err, got, want)
	}
	if len(c.files) != 1 {
		t.Errorf("got %d files, want 1", len(c.files))
	}
}
