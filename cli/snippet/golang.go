package snippet

import (
	"fmt"
	goformat "go/format"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/gofeaturespb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/internal/protofiles"
)

// golang returns the call as a Go program, with the code that protoc-gen-go and
// protoc-gen-go-grpc generate for the schema.
func (c *Call) golang() (string, error) {
	schema, err := c.Schema()
	if err != nil {
		return "", err
	}
	p, err := newGoProgram(schema)
	if err != nil {
		return "", err
	}
	service, method := p.method(c.Method.Path())
	if method == nil {
		return "", fmt.Errorf("the schema has no %s any more", c.Method.Path())
	}
	return p.write(c, service, method)
}

// goProgram is a Go program that is being written: which names generated code has,
// and what it imports.
type goProgram struct {
	plugin   *protogen.Plugin
	messages map[protoreflect.FullName]*protogen.Message
	enums    map[protoreflect.FullName]*protogen.Enum
	opaque   map[string]bool // files whose messages have no fields to set
	packages map[protogen.GoImportPath]string
	imports  map[string]string // path to name
	types    *dynamicpb.Types
	failed   error // what no literal can say
}

// newGoProgram returns a program that knows the Go names of a schema.
func newGoProgram(s *dynamic.Schema) (*goProgram, error) {
	var all []protoreflect.FileDescriptor
	s.Files().RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		all = append(all, fd)
		return true
	})
	files, err := protofiles.WithImports(all...)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		setGoPackage(f)
	}
	plugin, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{ProtoFile: files})
	if err != nil {
		return nil, err
	}
	p := &goProgram{
		plugin:   plugin,
		messages: map[protoreflect.FullName]*protogen.Message{},
		enums:    map[protoreflect.FullName]*protogen.Enum{},
		opaque:   map[string]bool{},
		packages: map[protogen.GoImportPath]string{},
		imports:  map[string]string{},
		types:    dynamicpb.NewTypes(s.Files()),
	}
	for _, f := range plugin.Files {
		p.opaque[f.Desc.Path()] = f.APILevel == gofeaturespb.GoFeatures_API_OPAQUE
		p.packages[f.GoImportPath] = string(f.GoPackageName)
		p.collect(f.Messages, f.Enums)
	}
	return p, nil
}

// setGoPackage gives a file that does not say where its Go code is a place that a
// reader sees is to be filled in.
func setGoPackage(f *descriptorpb.FileDescriptorProto) {
	pkg := f.GetOptions().GetGoPackage()
	if pkg != "" && !strings.HasPrefix(pkg, ".") && strings.Contains(pkg, "/") {
		return
	}
	if f.Options == nil {
		f.Options = &descriptorpb.FileOptions{}
	}
	dir, name, named := strings.Cut(pkg, ";")
	if dir = strings.Trim(dir, "./"); dir == "" {
		dir = path.Dir(f.GetName())
	}
	pkg = path.Join("example.com/project/gen", dir)
	if !named {
		name = strings.ReplaceAll(f.GetPackage(), ".", "")
	}
	if name != "" {
		pkg += ";" + name
	}
	f.Options.GoPackage = &pkg
}

func (p *goProgram) collect(messages []*protogen.Message, enums []*protogen.Enum) {
	for _, m := range messages {
		p.messages[m.Desc.FullName()] = m
		p.collect(m.Messages, m.Enums)
	}
	for _, e := range enums {
		p.enums[e.Desc.FullName()] = e
	}
}

// method returns the method with a gRPC path, nil when there is none.
func (p *goProgram) method(path string) (*protogen.Service, *protogen.Method) {
	for _, f := range p.plugin.Files {
		for _, s := range f.Services {
			for _, m := range s.Methods {
				if dynamic.Path(m.Desc) == path {
					return s, m
				}
			}
		}
	}
	return nil, nil
}

// use imports a package and returns its name in the program.
func (p *goProgram) use(importPath string) string {
	if name, ok := p.imports[importPath]; ok {
		return name
	}
	base := path.Base(importPath)
	if name, ok := p.packages[protogen.GoImportPath(importPath)]; ok {
		base = name
	}
	name := base
	taken := append(slices.Collect(mapValues(p.imports)), "conn", "client", "ctx", "cancel", "err", "stream", "requests", "request", "response", "main", "config", "roots", "pair")
	for i := 2; slices.Contains(taken, name); i++ {
		name = base + strconv.Itoa(i)
	}
	p.imports[importPath] = name
	return name
}

func mapValues(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// name returns the name of something generated in the program.
func (p *goProgram) name(id protogen.GoIdent) string {
	return p.use(string(id.GoImportPath)) + "." + id.GoName
}

// write writes the program.
func (p *goProgram) write(c *Call, service *protogen.Service, method *protogen.Method) (string, error) {
	for _, std := range []string{"context", "fmt", "log", "google.golang.org/grpc", "google.golang.org/protobuf/encoding/protojson"} {
		p.use(std)
	}
	generated := service.Methods[0].Parent.Desc.ParentFile().Path()
	client := "New" + service.GoName + "Client"
	for _, f := range p.plugin.Files {
		if f.Desc.Path() == generated {
			client = p.use(string(f.GoImportPath)) + "." + client
		}
	}
	var b strings.Builder
	b.WriteString("func main() {\n")
	creds := p.credentials(&b, c)
	options := p.dialOptions(&b, c)
	fmt.Fprintf(&b, "conn, err := grpc.NewClient(%s, grpc.WithTransportCredentials(%s)%s)\n", strconv.Quote(c.goTarget()), creds, options)
	b.WriteString("if err != nil {\nlog.Fatal(err)\n}\ndefer conn.Close()\n\nctx := context.Background()\n")
	if c.Timeout > 0 {
		fmt.Fprintf(&b, "ctx, cancel := context.WithTimeout(ctx, %d*%s.Millisecond)\ndefer cancel()\n", max(c.Timeout.Milliseconds(), 1), p.use("time"))
	}
	p.headers(&b, c)
	fmt.Fprintf(&b, "client := %s(conn)\n", client)
	requests, err := p.requests(c, method)
	if err != nil {
		return "", err
	}
	p.exchange(&b, c, method, requests)
	b.WriteString("}\n")
	var out strings.Builder
	if note := c.tokenNote("//"); note != "" {
		out.WriteString(note + "\n")
	}
	out.WriteString("package main\n\nimport (\n")
	for _, std := range []bool{true, false} {
		var lines []string
		for path, name := range p.imports {
			_, generated := p.packages[protogen.GoImportPath(path)]
			if std == (generated || strings.Contains(strings.Split(path, "/")[0], ".")) {
				continue
			}
			line := strconv.Quote(path)
			if base := path[strings.LastIndexByte(path, '/')+1:]; base != name {
				line = name + " " + line
			}
			lines = append(lines, line)
		}
		slices.SortFunc(lines, func(a, b string) int {
			return strings.Compare(a[strings.IndexByte(a, '"'):], b[strings.IndexByte(b, '"'):])
		})
		out.WriteString(strings.Join(lines, "\n") + "\n\n")
	}
	out.WriteString(")\n\n" + b.String())
	formatted, err := goformat.Source([]byte(out.String()))
	if err != nil {
		return "", fmt.Errorf("the program cannot be formatted: %w", err)
	}
	return strings.TrimSpace(string(formatted)), nil
}

func (c *Call) goTarget() string {
	if strings.HasPrefix(c.Env.Address, "unix:") {
		return c.Env.Address
	}
	return c.Address
}

// credentials returns what the connection is secured with, after it has written what
// that needs.
func (p *goProgram) credentials(b *strings.Builder, c *Call) string {
	const creds = "google.golang.org/grpc/credentials"
	e := c.Env
	switch {
	case !c.TLS:
		return p.use(creds+"/insecure") + ".NewCredentials()"
	case e.CA == "" && e.Cert == "" && !e.Insecure:
		return p.use(creds) + ".NewTLS(nil)"
	}
	const check = "if err != nil {\nlog.Fatal(err)\n}\n"
	fmt.Fprintf(b, "config := &%s.Config{InsecureSkipVerify: %t}\n", p.use("crypto/tls"), e.Insecure)
	if e.CA != "" {
		fmt.Fprintf(b, "roots, err := %s.ReadFile(%s)\n%s", p.use("os"), strconv.Quote(e.CA), check)
		fmt.Fprintf(b, "config.RootCAs = %s.NewCertPool()\nconfig.RootCAs.AppendCertsFromPEM(roots)\n", p.use("crypto/x509"))
	}
	if e.Cert != "" {
		fmt.Fprintf(b, "pair, err := tls.LoadX509KeyPair(%s, %s)\n%s", strconv.Quote(e.Cert), strconv.Quote(e.Key), check)
		b.WriteString("config.Certificates = []tls.Certificate{pair}\n")
	}
	return p.use(creds) + ".NewTLS(config)"
}

func (p *goProgram) headers(b *strings.Builder, c *Call) {
	if len(c.Headers) == 0 {
		return
	}
	fmt.Fprintf(b, "ctx = %s.AppendToOutgoingContext(ctx,\n", p.use("google.golang.org/grpc/metadata"))
	for _, h := range c.Headers {
		fmt.Fprintf(b, "%s, %s,\n", strconv.Quote(h.Name), joinParts(h.Value, " + ", strconv.Quote, func(name string) string {
			return p.use("os") + ".Getenv(" + strconv.Quote(name) + ")"
		}))
	}
	b.WriteString(")\n")
}

// joinParts writes a value of a header in a language.
func joinParts(parts []front.Part, plus string, text, variable func(string) string) string {
	var out []string
	for _, p := range parts {
		if p.Variable != "" {
			out = append(out, variable(p.Variable))
		} else {
			out = append(out, text(p.Text))
		}
	}
	if len(out) == 0 {
		return text("")
	}
	return strings.Join(out, plus)
}

// requests returns the messages of the call as expressions.
func (p *goProgram) requests(c *Call, method *protogen.Method) ([]string, error) {
	if c.Stdin {
		return []string{"&" + p.name(method.Input.GoIdent) + "{}"}, nil
	}
	var out []string
	for _, raw := range c.Wire {
		m := dynamicpb.NewMessage(method.Input.Desc)
		if err := (proto.UnmarshalOptions{AllowPartial: true, Resolver: p.types}).Unmarshal(raw, m); err != nil {
			return nil, err
		}
		out = append(out, p.message(m))
		if p.failed != nil {
			return nil, p.failed
		}
	}
	return out, nil
}

// exchange writes the call itself.
func (p *goProgram) exchange(b *strings.Builder, c *Call, m *protogen.Method, requests []string) {
	const check = "if err != nil {\nlog.Fatal(err)\n}\n"
	const printed = "fmt.Println(protojson.Format(response))\n"
	receive := func() {
		fmt.Fprintf(b, "for {\nresponse, err := stream.Recv()\nif %s.Is(err, %s.EOF) {\nbreak\n}\n%s%s}\n", p.use("errors"), p.use("io"), check, printed)
	}
	if !m.Desc.IsStreamingClient() {
		if !m.Desc.IsStreamingServer() {
			fmt.Fprintf(b, "response, err := client.%s(ctx, %s)\n%s%s", m.GoName, requests[0], check, printed)
			return
		}
		fmt.Fprintf(b, "stream, err := client.%s(ctx, %s)\n%s", m.GoName, requests[0], check)
		receive()
		return
	}
	fmt.Fprintf(b, "stream, err := client.%s(ctx)\n%s", m.GoName, check)
	note := ""
	if c.Stdin {
		note = " // as many as there are"
	}
	fmt.Fprintf(b, "requests := []*%s{%s\n", p.name(m.Input.GoIdent), note)
	for _, r := range requests {
		b.WriteString(r + ",\n")
	}
	b.WriteString("}\nfor _, request := range requests {\nif err := stream.Send(request); err != nil {\nlog.Fatal(err)\n}\n}\n")
	if m.Desc.IsStreamingServer() {
		b.WriteString("if err := stream.CloseSend(); err != nil {\nlog.Fatal(err)\n}\n")
		receive()
		return
	}
	b.WriteString("response, err := stream.CloseAndRecv()\n" + check + printed)
}

// message returns a message as a composite literal.
func (p *goProgram) message(m protoreflect.Message) string {
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if fd.IsExtension() {
			p.failed = fmt.Errorf("the request has the extension %s, and there is no literal of Go for that", fd.FullName())
		}
		return true
	})
	g := p.messages[m.Descriptor().FullName()]
	name := p.name(g.GoIdent)
	if p.opaque[g.Desc.ParentFile().Path()] {
		return p.builder(m, name)
	}
	var b strings.Builder
	b.WriteString("&" + name + "{")
	n := 0
	for _, f := range g.Fields {
		if !m.Has(f.Desc) {
			continue
		}
		if n++; n == 1 {
			b.WriteByte('\n')
		}
		v := p.field(f, m.Get(f.Desc))
		if f.Oneof != nil && !f.Oneof.Desc.IsSynthetic() {
			fmt.Fprintf(&b, "%s: &%s{%s: %s},\n", f.Oneof.GoName, p.name(f.GoIdent), f.GoName, v)
			continue
		}
		fmt.Fprintf(&b, "%s: %s,\n", f.GoName, v)
	}
	b.WriteByte('}')
	return b.String()
}

// builder returns a message whose code has no fields to set, by way of its builder.
func (p *goProgram) builder(m protoreflect.Message, name string) string {
	var b strings.Builder
	b.WriteString(name + "_builder{\n")
	for _, f := range p.messages[m.Descriptor().FullName()].Fields {
		if !m.Has(f.Desc) {
			continue
		}
		v := p.field(f, m.Get(f.Desc))
		if f.Oneof != nil && !f.Oneof.Desc.IsSynthetic() && f.Message == nil {
			v = p.pointer(f, m.Get(f.Desc))
		}
		fmt.Fprintf(&b, "%s: %s,\n", f.GoName, v)
	}
	b.WriteString("}.Build()")
	return b.String()
}

// field returns the value of a field.
func (p *goProgram) field(f *protogen.Field, v protoreflect.Value) string {
	switch {
	case f.Desc.IsMap():
		key, value := f.Message.Fields[0], f.Message.Fields[1]
		var lines []string
		v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
			lines = append(lines, p.scalar(key, k.Value())+": "+p.single(value, e)+",\n")
			return true
		})
		slices.Sort(lines)
		return "map[" + p.typeOf(key) + "]" + p.typeOf(value) + "{\n" + strings.Join(lines, "") + "}"
	case f.Desc.IsList():
		var b strings.Builder
		b.WriteString("[]" + p.typeOf(f) + "{")
		for i := range v.List().Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(p.single(f, v.List().Get(i)))
		}
		b.WriteByte('}')
		return b.String()
	case f.Desc.HasPresence() && f.Message == nil && (f.Oneof == nil || f.Oneof.Desc.IsSynthetic()):
		return p.pointer(f, v)
	default:
		return p.single(f, v)
	}
}

// pointer returns the value of a field that can be absent.
func (p *goProgram) pointer(f *protogen.Field, v protoreflect.Value) string {
	scalar := p.scalar(f, v)
	switch f.Desc.Kind() {
	case protoreflect.BytesKind:
		return scalar
	case protoreflect.EnumKind:
		return scalar + ".Enum()"
	default:
		typ := p.typeOf(f)
		return p.use("google.golang.org/protobuf/proto") + "." + strings.ToUpper(typ[:1]) + typ[1:] + "(" + scalar + ")"
	}
}

func (p *goProgram) single(f *protogen.Field, v protoreflect.Value) string {
	if f.Message != nil {
		return p.message(v.Message())
	}
	return p.scalar(f, v)
}

// typeOf returns the type of a value of a field.
func (p *goProgram) typeOf(f *protogen.Field) string {
	switch k := f.Desc.Kind(); k {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return "*" + p.name(f.Message.GoIdent)
	case protoreflect.EnumKind:
		return p.name(f.Enum.GoIdent)
	case protoreflect.BytesKind:
		return "[]byte"
	case protoreflect.FloatKind:
		return "float32"
	case protoreflect.DoubleKind:
		return "float64"
	case protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return "int32"
	case protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return "int64"
	case protoreflect.Fixed32Kind:
		return "uint32"
	case protoreflect.Fixed64Kind:
		return "uint64"
	default:
		return k.String()
	}
}

func (p *goProgram) scalar(f *protogen.Field, v protoreflect.Value) string {
	switch f.Desc.Kind() {
	case protoreflect.StringKind:
		return strconv.Quote(v.String())
	case protoreflect.BytesKind:
		return "[]byte(" + strconv.Quote(string(v.Bytes())) + ")"
	case protoreflect.EnumKind:
		e := p.enums[f.Enum.Desc.FullName()]
		for _, known := range e.Values {
			if known.Desc.Number() == v.Enum() {
				return p.name(known.GoIdent)
			}
		}
		return fmt.Sprintf("%s(%d)", p.name(e.GoIdent), v.Enum())
	case protoreflect.FloatKind:
		return p.float(v.Float(), 32)
	case protoreflect.DoubleKind:
		return p.float(v.Float(), 64)
	default:
		return v.String()
	}
}

// float returns a number, also one that no literal has.
func (p *goProgram) float(v float64, bits int) string {
	var text string
	switch {
	case math.IsNaN(v):
		text = p.use("math") + ".NaN()"
	case math.IsInf(v, 1):
		text = p.use("math") + ".Inf(1)"
	case math.IsInf(v, -1):
		text = p.use("math") + ".Inf(-1)"
	case v == 0 && math.Signbit(v):
		text = p.use("math") + ".Copysign(0, -1)"
	default:
		return strconv.FormatFloat(v, 'g', -1, bits)
	}
	if bits == 32 {
		return "float32(" + text + ")"
	}
	return text
}

// tokenNote says where the token of a program comes from.
func (c *Call) tokenNote(sign string) string {
	if !c.LoggedIn {
		return ""
	}
	return fmt.Sprintf("%s %s is what %s prints.\n", sign, envs.EnvToken, strings.Trim(c.tokenCommand(), "$()"))
}
