package cli

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// echoSchema returns the schema of a service that sends messages back, whose only
// field has such a name.
func echoSchema(t *testing.T, field string) []byte {
	t.Helper()
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{"echo.proto": `
		syntax = "proto3";
		package echo.v1;
		message M { string ` + field + ` = 1; int64 times = 2; bool flag = 3; }
		service Echo {
			rpc Call(M) returns (M);
			rpc Watch(M) returns (stream M);
			rpc Last(stream M) returns (M);
			rpc Chat(stream M) returns (stream M);
			rpc Fail(M) returns (M);
			rpc Garbage(M) returns (M);
		}`})}}
	files, err := c.Compile(t.Context(), "echo.proto")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(files[0])}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// echoServer is a server where echo runs.
type echoServer struct {
	registryv1.UnimplementedRegistryServer

	mu     sync.Mutex
	schema []byte
	digest string // what it says that the schema has
	asked  int    // for the schema
}

func (s *echoServer) speak(schema []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schema, s.digest = schema, dynamic.Digest(schema)
}

func (s *echoServer) GetSchema(_ context.Context, req *registryv1.GetSchemaRequest) (*registryv1.GetSchemaResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.GetService() != "echo" {
		return nil, status.Error(codes.NotFound, "no such service")
	}
	s.asked++
	return &registryv1.GetSchemaResponse{Files: s.schema, Digest: s.digest}, nil
}

func (s *echoServer) List(context.Context, *registryv1.ListRequest) (*registryv1.ListResponse, error) {
	return &registryv1.ListResponse{Services: []*registryv1.Service{{Name: "echo"}}}, nil
}

// handle is all methods of echo.
func (s *echoServer) handle(_ any, stream grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	s.mu.Lock()
	digest := s.digest
	s.mu.Unlock()
	if got := md.Get(front.KeySchema); len(got) != 1 || got[0] != digest {
		stream.SetTrailer(metadata.Pairs(front.KeyRefused, "1"))
		st, err := status.New(codes.FailedPrecondition, "it speaks something else").WithDetails(&errdetails.ErrorInfo{Domain: "micro", Reason: "SCHEMA_CHANGED"})
		if err != nil {
			return err
		}
		return st.Err()
	}
	method, _ := grpc.MethodFromServerStream(stream)
	method = method[strings.LastIndexByte(method, '/')+1:]
	if err := stream.SetHeader(metadata.Pairs("x-echo", strings.Join(md.Get("x-say"), ","))); err != nil {
		return err
	}
	if method == "Fail" {
		return status.Error(codes.AlreadyExists, "no\x1b[2J")
	}
	var last *emptypb.Empty
	for {
		m := &emptypb.Empty{} // all its fields are unknown, and stay
		if err := stream.RecvMsg(m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		last = m
		switch method {
		case "Chat":
			if err := stream.SendMsg(m); err != nil {
				return err
			}
		case "Watch":
			for range 3 {
				if err := stream.SendMsg(m); err != nil {
					return err
				}
			}
		}
	}
	switch method {
	case "Garbage":
		last.ProtoReflect().SetUnknown([]byte{0x0a, 0x02, 0xff, 0xff}) // a string that is none
		fallthrough
	case "Call", "Last":
		return stream.SendMsg(last)
	default:
		return nil
	}
}

// connectEcho gives an app a server where echo runs.
func connectEcho(t *testing.T, app *App, srv *echoServer) {
	t.Helper()
	connectWith(t, app, func(s *grpc.Server) { registryv1.RegisterRegistryServer(s, srv) }, grpc.UnknownServiceHandler(srv.handle))
}

func TestCall(t *testing.T) {
	t.Parallel()
	schema := echoSchema(t, "name")
	for _, test := range []struct {
		name, args, stdin string
		exit              int
		stdout, stderr    string
	}{
		{"flags", "echo --name=x --times 3 --flag", "", ExitOK, `{"name": "x", "times": "3", "flag": true}` + "\n", ""},
		{"nothing", "echo", "", ExitOK, "{}\n", ""},
		{"a body", `echo {"name":"x","times":1} --times=2`, "", ExitOK, `{"name": "x", "times": "2"}` + "\n", ""},
		{"standard input", "echo - --no-flag", `{"name":"x"}`, ExitOK, `{"name": "x"}` + "\n", ""},
		{"in JSON", "echo --name=a\x7f -o json", "", ExitOK, "{\"name\":\"a\x7f\"}\n", ""},
		{"for people", "echo --name=a\x7f", "", ExitOK, `{"name": "a\u007f"}` + "\n", ""},
		{"in YAML", "echo --name=a\x7f -o yaml", "", ExitOK, "name: \"a\\x7F\"\n", ""},
		{"answers", "echo watch --name=x", "", ExitOK, strings.Repeat(`{"name":"x"}`+"\n", 3), ""},
		{"answers in YAML", "echo watch --name=x -o yaml", "", ExitOK, "name: x\n---\nname: x\n---\nname: x\n", ""},
		{"requests", "echo last", `{"name":"a"} {"name":"b"}`, ExitOK, `{"name": "b"}` + "\n", ""},
		{"requests and answers", "echo chat", "{\"name\":\"a\"}\n{\"name\":\"b\"}\n", ExitOK, `{"name":"a"}` + "\n" + `{"name":"b"}` + "\n", ""},
		{"a request of flags", "echo chat --name=c", "", ExitOK, `{"name":"c"}` + "\n", ""},
		{"metadata", "echo --name=x -v -H x-say:hi", "", ExitOK, `{"name": "x"}` + "\n", "header content-type: application/grpc+proto\nheader x-echo: hi\n"},
		{"a request that is no JSON", "echo last", `{"name":"a"} {`, ExitUsage, "", "micro: message 2 of standard input is not JSON: it ends in the middle\n"},
		{"a request that is none", "echo chat", `{"nam":"a"}`, ExitUsage, "", "micro: message 1 of standard input: "},
		{"an error", "echo fail", "", ExitError, "", "micro: no\\x1b[2J\n"},
		{"an error in JSON", "echo fail -o json", "", ExitError, "", `{`},
		{"an answer that is none", "echo garbage", "", ExitError, "", "micro: the answer does not fit the schema: "},
		{"a flag that there is not", "echo --naem=x", "", ExitUsage, "", "micro: --naem: M has no field \"naem\"; did you mean --name?\nhint: micro echo --help\n"},
		{"a value that is none", "echo watch --times=x", "", ExitUsage, "", "micro: --times: \"x\" is no whole number (int64)\nhint: micro echo watch --help\n"},
		{"an endpoint that there is not", "echo wacth", "", ExitNotFound, "", "micro: service echo has no endpoint \"wacth\"; it has Echo.Watch, "},
		{"a service that there is not", "ehco", "", ExitNotFound, "", "micro: \"ehco\" is neither a command nor a service that runs in namespace \"micro\"; did you mean echo?\nhint: micro echo --help\n"},
		{"a command that there is not", "stauts", "", ExitNotFound, "", "micro: \"stauts\" is neither a command nor a service that runs in namespace \"micro\"; did you mean status?\n"},
		{"in full", "call echo echo.v1.Echo/Call --name=x", "", ExitOK, `{"name": "x"}` + "\n", ""},
		{"help", "echo --help", "", ExitOK, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			srv := &echoServer{}
			srv.speak(schema)
			app, stdout, stderr := testApp(t)
			app.In = strings.NewReader(test.stdin)
			connectEcho(t, app, srv)
			if exit := Main(t.Context(), app, strings.Fields(test.args)); exit != test.exit {
				t.Errorf("got exit code %d, want %d", exit, test.exit)
			}
			if test.name != "help" && stdout.String() != test.stdout {
				t.Errorf("stdout:\ngot  %q\nwant %q", stdout, test.stdout)
			}
			if !strings.HasPrefix(stderr.String(), test.stderr) || test.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr:\ngot  %q\nwant %q…", stderr, test.stderr)
			}
		})
	}
}

// TestCallStale calls a service that speaks something else than it did: with what it
// speaks now, and with all that standard input has.
func TestCallStale(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, args, stdin, want string }{
		{"a body", "echo -", `{"title":"x"}`, `{"title": "x"}` + "\n"},
		{"a body that both understand", "echo -", `{"times":5}`, `{"times": "5"}` + "\n"},
		{"a flag that is new", "echo --title=x", "", `{"title": "x"}` + "\n"},
		{"a flag that both have", "echo --flag", "", `{"flag": true}` + "\n"},
		{"requests", "echo chat", `{"times":1}{"times":2}{"times":3}`, `{"times":"1"}` + "\n" + `{"times":"2"}` + "\n" + `{"times":"3"}` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			srv := &echoServer{}
			srv.speak(echoSchema(t, "name"))
			app, stdout, stderr := testApp(t)
			connectEcho(t, app, srv)
			root := newRoot(app)
			if err := execute(t.Context(), app, root, []string{"echo", "--name=x"}); err != nil {
				t.Fatal(err)
			}
			stdout.Reset()
			srv.speak(echoSchema(t, "title"))
			app.In = strings.NewReader(test.stdin)
			if err := execute(t.Context(), app, root, strings.Fields(test.args)); err != nil {
				t.Fatalf("%v %s", err, stderr)
			}
			if d := cmp.Diff(test.want, stdout.String()); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if srv.asked != 2 {
				t.Errorf("asked %d times for the schema, want 2", srv.asked)
			}
		})
	}
}

// TestCallLiars refuses schemas that are not what the server says, or nothing.
func TestCallLiars(t *testing.T) {
	t.Parallel()
	good := echoSchema(t, "name")
	for _, test := range []struct {
		name   string
		schema []byte
		digest string
		want   string
	}{
		{"another digest", good, "sha256:0\x1b[2J", `micro: the schema of echo: the server says that it has the digest "sha256:0\x1b[2J", and it has ` + dynamic.Digest(good)},
		{"no schema", []byte("<html>"), "", "micro: the schema of echo: unusable schema: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, _, stderr := testApp(t)
			connectEcho(t, app, &echoServer{schema: test.schema, digest: test.digest})
			if exit := Main(t.Context(), app, []string{"echo"}); exit != ExitError {
				t.Errorf("got exit code %d, want %d", exit, ExitError)
			}
			if !strings.HasPrefix(stderr.String(), test.want) {
				t.Errorf("got  %q\nwant %q…", stderr, test.want)
			}
		})
	}
}

// TestCallManyRequests sends and prints at the same time, however much it is.
func TestCallManyRequests(t *testing.T) {
	t.Parallel()
	const n = 3000
	var in, want strings.Builder
	for i := range n {
		in.WriteString(`{"times":` + strconv.Itoa(i+1) + "}\n")
		want.WriteString(`{"times":"` + strconv.Itoa(i+1) + "\"}\n")
	}
	srv := &echoServer{}
	srv.speak(echoSchema(t, "name"))
	app, stdout, stderr := testApp(t)
	app.In = strings.NewReader(in.String())
	connectEcho(t, app, srv)
	if exit := Main(t.Context(), app, []string{"echo", "chat"}); exit != ExitOK {
		t.Errorf("got exit code %d: %s", exit, stderr)
	}
	if stdout.String() != want.String() {
		t.Errorf("got %d bytes, want %d, or others", stdout.Len(), want.Len())
	}
}
