package generator

import (
	_ "embed" // the template
	"strings"
	"text/template"

	"google.golang.org/protobuf/compiler/protogen"

	"github.com/micro/micro/v3/internal/sdk"
)

//go:embed micro.go.tmpl
var microTemplate string

// microService is what a .pb.micro.go file says of a service besides.
type microService struct {
	grpcService
	Short        string // the name without the proto package
	Micro        string // the name of the client's interface
	MicroClient  string // the name of the unexported client
	MicroHandler string // of what stands between the server and a handler
	MicroStream  string // what the names of unexported streams begin with
	Methods      []microMethod
}

type microMethod struct {
	grpcMethod
	MicroClient, MicroServer string // the names of its stream types
}

// emitMicro returns the client and server code of the services of a file, with the API
// that the generator of Micro 3 gave it: code written for the one compiles with the
// other. The servers are registered with package service/server, and the clients call by
// package service/client.
func emitMicro(plugin *protogen.Plugin, f *protogen.File) ([]byte, error) {
	g := plugin.NewGeneratedFile(f.GeneratedFilenamePrefix+".pb.micro.go", f.GoImportPath)
	// Whoever asks first gets the plain name of a package; the template relies on these.
	for _, name := range []string{"api.Endpoint", "client.Client", "server.Server"} {
		pkg, ident, _ := strings.Cut(name, ".")
		g.QualifiedGoIdent(protogen.GoIdent{GoName: ident, GoImportPath: protogen.GoImportPath(sdk.Path + "/service/" + pkg)})
	}
	for _, s := range f.Services {
		if len(s.Methods) > 0 {
			g.QualifiedGoIdent(protogen.GoIdent{GoName: "Context", GoImportPath: "context"})
		}
	}
	data := struct {
		Source   string
		Package  protogen.GoPackageName
		Services []microService
	}{f.Desc.Path(), f.GoPackageName, nil}
	for i, s := range grpcServices(g, f) {
		micro := microService{grpcService: s, Short: string(f.Services[i].Desc.Name())}
		micro.Micro = s.Go + "Service"
		if strings.HasSuffix(micro.Micro, "ServiceService") {
			micro.Micro = s.Go
		}
		micro.MicroClient = unexported(micro.Micro)
		micro.MicroHandler = unexported(s.Go) + "Handler"
		micro.MicroStream = unexported(s.Go) + "Stream"
		for _, m := range s.Methods {
			micro.Methods = append(micro.Methods, microMethod{m, s.Go + "_" + m.Go + "Service", s.Go + "_" + m.Go + "Stream"})
		}
		data.Services = append(data.Services, micro)
	}
	t, err := template.New("micro").Parse(microTemplate)
	if err != nil {
		return nil, err
	}
	if err := t.Execute(g, data); err != nil {
		return nil, err
	}
	return g.Content()
}

func unexported(name string) string { return strings.ToLower(name[:1]) + name[1:] }
