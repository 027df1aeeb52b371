package generator

import (
	_ "embed" // the template
	"text/template"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/descriptorpb"
)

//go:embed grpc.go.tmpl
var grpcTemplate string

// grpcFile is what the template of a _grpc.pb.go file takes.
type grpcFile struct {
	Source   string
	Package  protogen.GoPackageName
	Services []grpcService
}

type grpcService struct {
	Go         string // its name in Go
	Client     string // the name of the unexported client
	Name       string // with the proto package
	Comment    protogen.Comments
	Deprecated bool
	Methods    []grpcMethod
}

type grpcMethod struct {
	Go, Name       string
	Const, Handler string
	Client, Server string // the names of its stream types
	In, Out        string // Go types, qualified
	Comment        protogen.Comments
	Deprecated     bool
	ClientStreams  bool
	ServerStreams  bool
	Stream         int // its place among the streams of the service
}

// Unary reports whether one message goes each way.
func (m grpcMethod) Unary() bool { return !m.ClientStreams && !m.ServerStreams }

// Kind is the first word of the names of gRPC's stream types.
func (m grpcMethod) Kind() string {
	switch {
	case !m.ClientStreams:
		return "ServerStreaming"
	case !m.ServerStreams:
		return "ClientStreaming"
	}
	return "BidiStreaming"
}

// Types are the type arguments of gRPC's stream types.
func (m grpcMethod) Types() string {
	if !m.ClientStreams {
		return m.Out
	}
	return m.In + ", " + m.Out
}

// emitGRPC returns the client and server code of the services of a file. Its
// API is the one that grpc-go's own generator gives, so that code written for
// the one compiles with the other.
func emitGRPC(plugin *protogen.Plugin, f *protogen.File) ([]byte, error) {
	g := plugin.NewGeneratedFile(f.GeneratedFilenamePrefix+"_grpc.pb.go", f.GoImportPath)
	data := grpcFile{Source: f.Desc.Path(), Package: f.GoPackageName}

	// Whoever asks first gets the plain name of a package; the template relies
	// on these.
	g.QualifiedGoIdent(protogen.GoIdent{GoName: "ServiceDesc", GoImportPath: "google.golang.org/grpc"})
	for _, s := range f.Services {
		if len(s.Methods) > 0 {
			g.QualifiedGoIdent(protogen.GoIdent{GoName: "Context", GoImportPath: "context"})
			g.QualifiedGoIdent(protogen.GoIdent{GoName: "Code", GoImportPath: "google.golang.org/grpc/codes"})
			g.QualifiedGoIdent(protogen.GoIdent{GoName: "Error", GoImportPath: "google.golang.org/grpc/status"})
		}
	}
	data.Services = grpcServices(g, f)
	t, err := template.New("grpc").Parse(grpcTemplate)
	if err != nil {
		return nil, err
	}
	if err := t.Execute(g, data); err != nil {
		return nil, err
	}
	return g.Content()
}

// grpcServices returns what templates need to know of the services of a file.
func grpcServices(g *protogen.GeneratedFile, f *protogen.File) (services []grpcService) {
	for _, s := range f.Services {
		service := grpcService{
			Go:         s.GoName,
			Client:     unexported(s.GoName) + "Client",
			Name:       string(s.Desc.FullName()),
			Comment:    s.Comments.Leading,
			Deprecated: s.Desc.Options().(*descriptorpb.ServiceOptions).GetDeprecated(),
		}
		streams := 0
		for _, m := range s.Methods {
			method := grpcMethod{
				Go:            m.GoName,
				Name:          string(m.Desc.Name()),
				Const:         s.GoName + "_" + m.GoName + "_FullMethodName",
				Handler:       "_" + s.GoName + "_" + m.GoName + "_Handler",
				Client:        s.GoName + "_" + m.GoName + "Client",
				Server:        s.GoName + "_" + m.GoName + "Server",
				In:            g.QualifiedGoIdent(m.Input.GoIdent),
				Out:           g.QualifiedGoIdent(m.Output.GoIdent),
				Comment:       m.Comments.Leading,
				Deprecated:    m.Desc.Options().(*descriptorpb.MethodOptions).GetDeprecated(),
				ClientStreams: m.Desc.IsStreamingClient(),
				ServerStreams: m.Desc.IsStreamingServer(),
				Stream:        streams,
			}
			if !method.Unary() {
				streams++
			}
			service.Methods = append(service.Methods, method)
		}
		services = append(services, service)
	}
	return services
}
