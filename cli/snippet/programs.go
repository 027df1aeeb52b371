package snippet

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
)

// descriptor returns the method of the call in its schema.
func (c *Call) descriptor() (protoreflect.MethodDescriptor, error) {
	schema, err := c.Schema()
	if err != nil {
		return nil, err
	}
	for _, s := range schema.Services() {
		for i := range s.Methods().Len() {
			if m := s.Methods().Get(i); dynamic.Path(m) == c.Method.Path() {
				return m, nil
			}
		}
	}
	return nil, fmt.Errorf("the schema has no %s any more", c.Method.Path())
}

// python returns the call as a Python program, with the code that grpcio-tools
// generates for the schema.
func (c *Call) python() (string, error) {
	m, err := c.descriptor()
	if err != nil {
		return "", err
	}
	var imports []string
	module := func(fd protoreflect.FileDescriptor, suffix string) string {
		dir, name := path.Split(strings.TrimSuffix(fd.Path(), ".proto"))
		name = strings.NewReplacer("-", "_", ".", "_").Replace(name) + suffix
		line := "import " + name
		if dir != "" {
			line = "from " + strings.NewReplacer("-", "_", "/", ".").Replace(strings.Trim(dir, "/")) + " import " + name
		}
		if !slices.Contains(imports, line) {
			imports = append(imports, line)
		}
		return name
	}
	input := module(m.Input().ParentFile(), "_pb2") + "." + nestedName(m.Input(), ".")
	service, _ := m.Parent().(protoreflect.ServiceDescriptor)
	stub := module(m.ParentFile(), "_pb2_grpc") + "." + string(service.Name()) + "Stub"

	var b strings.Builder
	open := fmt.Sprintf("grpc.insecure_channel(%s%s)", pythonText(c.goTarget()), c.pythonChannel())
	if c.TLS {
		open = fmt.Sprintf("grpc.secure_channel(%s, grpc.ssl_channel_credentials(%s)%s)", pythonText(c.goTarget()), c.pythonTLS(), c.pythonChannel())
	}
	fmt.Fprintf(&b, "\nwith %s as channel:\n    stub = %s(channel)\n", open, stub)
	usesOS := false
	rest := ""
	if len(c.Headers) > 0 {
		b.WriteString("    metadata = [\n")
		for _, h := range c.Headers {
			text := pythonText
			if strings.HasSuffix(h.Name, "-bin") {
				text = func(s string) string { return "b" + pythonBytes(s) }
			}
			fmt.Fprintf(&b, "        (%s, %s),\n", pythonText(h.Name), joinParts(h.Value, " + ", text, func(name string) string {
				usesOS = true
				if strings.HasSuffix(h.Name, "-bin") {
					return "os.environb[" + "b" + pythonBytes(name) + "]"
				}
				return "os.environ[" + pythonText(name) + "]"
			}))
		}
		b.WriteString("    ]\n")
		rest = ", metadata=metadata"
	}
	if c.Timeout > 0 {
		rest += ", timeout=" + seconds(c.Timeout)
	}
	if c.Transport.WaitReady {
		rest += ", wait_for_ready=True"
	}
	var requests []string
	for _, text := range c.Messages {
		v, err := jsonValue(text)
		if err != nil {
			return "", err
		}
		requests = append(requests, fmt.Sprintf("json_format.ParseDict(%s, %s())", pythonValue(v), input))
	}
	if c.Stdin {
		requests = []string{input + "()"}
	}
	call := "stub." + string(m.Name())
	if isPythonKeyword(string(m.Name())) {
		call = "getattr(stub, " + pythonText(string(m.Name())) + ")"
	}
	argument := "request"
	if m.IsStreamingClient() {
		b.WriteString("    requests = [\n")
		for _, r := range requests {
			b.WriteString("        " + r + ",\n")
		}
		b.WriteString("    ]\n")
		argument = "iter(requests)"
	} else {
		b.WriteString("    request = " + requests[0] + "\n")
	}
	if m.IsStreamingServer() {
		fmt.Fprintf(&b, "    for response in %s(%s%s):\n        print(json_format.MessageToJson(response))\n", call, argument, rest)
	} else {
		fmt.Fprintf(&b, "    response = %s(%s%s)\n    print(json_format.MessageToJson(response))\n", call, argument, rest)
	}
	head := c.tokenNote("#")
	if c.TLS && c.Env.Insecure {
		head += "# The environment believes any certificate. Python's grpc does not: give it the server's as root_certificates.\n"
	}
	if usesOS {
		head += "import os\n\n"
	}
	head += "import grpc\nfrom google.protobuf import json_format\n\n" + strings.Join(imports, "\n") + "\n"
	return strings.TrimSpace(head + b.String()), nil
}

// pythonTLS returns the arguments of the credentials.
func (c *Call) pythonTLS() string {
	var args []string
	add := func(name, file string) {
		if file != "" {
			args = append(args, fmt.Sprintf("%s=open(%s, \"rb\").read()", name, pythonText(file)))
		}
	}
	add("root_certificates", c.Env.CA)
	add("private_key", c.Env.Key)
	add("certificate_chain", c.Env.Cert)
	return strings.Join(args, ", ")
}

// nestedName returns the name of a message within its file.
func nestedName(m protoreflect.MessageDescriptor, between string) string {
	name := string(m.Name())
	if outer, ok := m.Parent().(protoreflect.MessageDescriptor); ok {
		return nestedName(outer, between) + between + name
	}
	return name
}

func isPythonKeyword(s string) bool {
	switch s {
	case "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
		"except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
		"return", "try", "while", "with", "yield":
		return true
	default:
		return false
	}
}

// pythonText returns a string of Python. Those of JSON are, but for characters
// beyond the first 65,536, which JSON may write as two.
func pythonText(s string) string { return encodeText(s) }

// pythonBytes returns what stands behind the b of bytes of Python.
func pythonBytes(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// encodeText returns a JSON string with its characters as they are.
func encodeText(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can always be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// pair is an entry of a JSON object, whose order is kept.
type pair struct {
	key   string
	value any
}

// jsonValue reads JSON: objects become []pair, numbers json.Number.
func jsonValue(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return nextJSON(dec)
}

func nextJSON(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	open, ok := tok.(json.Delim)
	if !ok {
		return tok, nil
	}
	pairs, list := []pair{}, []any{}
	for dec.More() {
		var key string
		if open == '{' {
			k, err := dec.Token()
			if err != nil {
				return nil, err
			}
			key, _ = k.(string) // the decoder takes nothing else
		}
		v, err := nextJSON(dec)
		if err != nil {
			return nil, err
		}
		pairs, list = append(pairs, pair{key, v}), append(list, v)
	}
	_, err = dec.Token() // the end of it
	if open == '{' {
		return pairs, err
	}
	return list, err
}

func pythonValue(v any) string {
	switch v := v.(type) {
	case []pair:
		var parts []string
		for _, p := range v {
			parts = append(parts, pythonText(p.key)+": "+pythonValue(p.value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, pythonValue(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return pythonText(v)
	case json.Number:
		return v.String()
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	default:
		return "None"
	}
}

// typescript returns the call as a TypeScript program, with Connect and the code
// that protoc-gen-es generates for the schema.
func (c *Call) typescript() (string, error) {
	m, err := c.descriptor()
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(c.Env.Address, "unix:") {
		return "", &front.Error{Message: "Connect does not call a server at a unix socket", Exit: front.ExitUsage}
	}
	imports := map[string][]string{}
	var order []string
	use := func(fd protoreflect.FileDescriptor, name string) string {
		from := "./gen/" + strings.TrimSuffix(fd.Path(), ".proto") + "_pb.js"
		if strings.HasPrefix(fd.Path(), "google/protobuf/") {
			from = "@bufbuild/protobuf/wkt"
		}
		if imports[from] == nil {
			order = append(order, from)
		}
		if !slices.Contains(imports[from], name) {
			imports[from] = append(imports[from], name)
		}
		return name
	}
	service := use(m.ParentFile(), string(m.Parent().Name()))
	input := use(m.Input().ParentFile(), nestedName(m.Input(), "_")+"Schema")
	output := use(m.Output().ParentFile(), nestedName(m.Output(), "_")+"Schema")
	var b strings.Builder
	for _, from := range order {
		fmt.Fprintf(&b, "import { %s } from %s;\n", strings.Join(imports[from], ", "), encodeText(from))
	}
	scheme, node, connectNode := "http", "", "createGrpcTransport"
	if c.Transport.Gzip {
		connectNode += ", compressionGzip"
	}
	if c.TLS {
		scheme = "https"
		node = c.typescriptTLS()
	}
	fmt.Fprintf(&b, "\nconst transport = createGrpcTransport({ baseUrl: %s%s%s });\nconst client = createClient(%s, transport);\n",
		encodeText(scheme+"://"+c.Address), node, c.typescriptTransport(), service)
	c.typescriptCall(&b, m, input, output)
	head := c.tokenNote("//") + c.leftOut("//", "Connect", "gzip", "max-size")
	if strings.Contains(node, "readFileSync") {
		head += "import { readFileSync } from \"node:fs\";\n"
	}
	head += `import { fromJson, toJson } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { ` + connectNode + ` } from "@connectrpc/connect-node";
`
	return strings.TrimSpace(head + b.String()), nil
}

// typescriptTLS returns the options of the transport that have to do with TLS.
func (c *Call) typescriptTLS() string {
	var options []string
	add := func(name, file string) {
		if file != "" {
			options = append(options, name+": readFileSync("+encodeText(file)+")")
		}
	}
	add("ca", c.Env.CA)
	add("cert", c.Env.Cert)
	add("key", c.Env.Key)
	if c.Env.Insecure {
		options = append(options, "rejectUnauthorized: false")
	}
	if len(options) == 0 {
		return ""
	}
	return ", nodeOptions: { " + strings.Join(options, ", ") + " }"
}

func (c *Call) typescriptCall(b *strings.Builder, m protoreflect.MethodDescriptor, input, output string) {
	var options []string
	if len(c.Headers) > 0 {
		b.WriteString("const headers = new Headers();\n")
		for _, h := range c.Headers {
			text := encodeText
			if strings.HasSuffix(h.Name, "-bin") {
				text = func(s string) string { return encodeText(base64.RawStdEncoding.EncodeToString([]byte(s))) }
			}
			fmt.Fprintf(b, "headers.append(%s, %s);\n", encodeText(h.Name), joinParts(h.Value, " + ", text, func(name string) string {
				return "process.env." + name
			}))
		}
		options = append(options, "headers")
	}
	if c.Timeout > 0 {
		options = append(options, "timeoutMs: "+strconv.FormatInt(max(c.Timeout.Milliseconds(), 1), 10))
	}
	rest := ""
	if len(options) > 0 {
		rest = ", { " + strings.Join(options, ", ") + " }"
	}
	var requests []string
	for _, text := range c.Messages {
		requests = append(requests, fmt.Sprintf("fromJson(%s, %s)", input, text))
	}
	if c.Stdin {
		requests = []string{fmt.Sprintf("fromJson(%s, {})", input)}
	}
	argument := "request"
	if m.IsStreamingClient() {
		b.WriteString("async function* requests() {\n")
		for _, r := range requests {
			b.WriteString("  yield " + r + ";\n")
		}
		b.WriteString("}\n")
		argument = "requests()"
	} else {
		b.WriteString("const request = " + requests[0] + ";\n")
	}
	call := "client." + typescriptName(string(m.Name()))
	if m.IsStreamingServer() {
		fmt.Fprintf(b, "for await (const response of %s(%s%s)) {\n  console.log(JSON.stringify(toJson(%s, response)));\n}\n", call, argument, rest, output)
		return
	}
	fmt.Fprintf(b, "const response = await %s(%s%s);\nconsole.log(JSON.stringify(toJson(%s, response)));\n", call, argument, rest, output)
}

// typescriptName returns the name that a method has in generated code.
func typescriptName(method string) string {
	parts := strings.Split(method, "_")
	for i, p := range parts {
		if p != "" {
			r := []rune(p)
			if i == 0 {
				r[0] = unicode.ToLower(r[0])
			} else {
				r[0] = unicode.ToUpper(r[0])
			}
			parts[i] = string(r)
		}
	}
	return strings.Join(parts, "")
}
