package snippet

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
	"github.com/micro/micro/v3/generator"
)

// fixture returns the schema of testdata/fixture.
func fixture(t *testing.T) *dynamic.Schema {
	t.Helper()
	const dir = "../../testdata/fixture/proto"
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".proto") {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := dynamic.CompileProto(t.Context(), names, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := dynamic.ParseSchema(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// aCall returns a call of a method with messages in JSON.
func aCall(t *testing.T, s *dynamic.Schema, path string, messages ...string) *Call {
	t.Helper()
	m, ok := table(t, s).Method(path)
	if !ok {
		t.Fatalf("no method %s", path)
	}
	c := &Call{
		In: front.Invocation{Service: "fixture", Words: []string{request.Endpoint(m)}}, Method: m,
		Env: envs.Env{Name: "local", Address: "127.0.0.1:8081"}, Address: "127.0.0.1:8081", Gateway: "http://127.0.0.1:8080",
		Schema: func() (*dynamic.Schema, error) { return s, nil },
	}
	for _, text := range messages {
		b, err := m.Input().AppendWire(nil, []byte(text), wire.DecodeOptions{})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		c.Messages, c.Wire = append(c.Messages, []byte(text)), append(c.Wire, b)
	}
	return c
}

func session(c *Call) {
	c.LoggedIn = true
	c.Headers = []front.TypedHeader{
		{Name: "micro-namespace", Value: []front.Part{{Text: "micro"}}},
		{Name: "micro-service", Value: []front.Part{{Text: "fixture"}}},
		{Name: "authorization", Value: []front.Part{{Text: "Bearer "}, {Variable: "MICRO_TOKEN"}}},
		{Name: "x-plain", Value: []front.Part{{Text: "a 'b' \"c\" $d `e` \\f !g"}, {Variable: "SECRET"}}},
		{Name: "x-some-bin", Value: []front.Part{{Text: "\x00\xff"}}},
		{Name: "x-empty"},
	}
	c.Timeout = 1500 * time.Millisecond
}

// nasty are values that a shell could take for something else.
var nasty = []string{ //nolint:gochecknoglobals // never changed
	"", "a", "a b", "'", `"`, "''", `a'b"c`, "$HOME", "${HOME}", "$(false)", "`false`", `\`, `\\`, `\'`, "a\nb", "\n", "\t", "*", "?", "[a]", "~", "~root",
	"#", "a#b", ";", "&", "|", "<", ">", "(", ")", "{a,b}", "!", "!!", "-n", "--", "=", "a=b", "é日本😀", "%s", "^", "\x01",
}

// run runs a line in sh where the programs are functions that print their arguments,
// and returns them.
func runLine(t *testing.T, line string) []string {
	t.Helper()
	script := `micro() { [ "$*" = "user token" ] && { echo TOKEN; return; }; show "$@"; }
grpcurl() { show "$@"; }
curl() { show "$@"; }
show() { for a in "$@"; do printf '%s\0' "$a"; done; }
` + line + "\n"
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env = append(os.Environ(), "SECRET=s e'c\"r$e`t", "GATEWAY=http://gateway")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestShellQuoting(t *testing.T) {
	t.Parallel()
	s := fixture(t)
	c := aCall(t, s, "/fixture.v1.Everything/Echo", "{}")
	want := []string{"fixture", "Everything.Echo"}
	for i, v := range nasty {
		c.Args = append(c.Args, fmt.Sprintf("--f%d=%s", i, v), v)
	}
	want = append(want, c.Args...)
	if diff := cmp.Diff(want, runLine(t, c.micro())); diff != "" {
		t.Errorf("micro (-want +got):\n%s\n%s", diff, c.micro())
	}
	c = aCall(t, s, "/fixture.v1.Everything/Echo", "{}")
	for _, v := range nasty {
		text := quoteJSON(v)
		c.Messages = [][]byte{[]byte(`{"string":` + text + `}`)}
		line, err := c.grpcurl()
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"-plaintext", "-d", `{"string":` + text + `}`, "127.0.0.1:8081", "fixture.v1.Everything/Echo"}
		if diff := cmp.Diff(want, runLine(t, line)); diff != "" {
			t.Errorf("grpcurl (-want +got):\n%s\n%s", diff, line)
		}
	}
}

func TestShellHeaders(t *testing.T) {
	t.Parallel()
	c := aCall(t, fixture(t), "/fixture.v1.Everything/Echo", `{"string":"x"}`)
	session(c)
	c.Gateway = ""
	headers := []string{
		"-H", "micro-namespace: micro", "-H", "micro-service: fixture", "-H", "authorization: Bearer TOKEN",
		"-H", "x-plain: a 'b' \"c\" $d `e` \\f !gs e'c\"r$e`t", "-H", "x-some-bin: AP8=", "-H", "x-empty: ",
	}
	line, err := c.grpcurl()
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat([]string{"-plaintext"}, headers, []string{"-max-time", "1.5", "-d", `{"string":"x"}`, "127.0.0.1:8081", "fixture.v1.Everything/Echo"})
	if diff := cmp.Diff(want, runLine(t, line)); diff != "" {
		t.Errorf("grpcurl (-want +got):\n%s\n%s", diff, line)
	}
	if line, err = c.curl(); err != nil {
		t.Fatal(err)
	}
	headers[1], headers[5] = "Micro-Namespace: micro", "Authorization: Bearer TOKEN"
	headers = slices.Delete(headers, 2, 4)
	want = slices.Concat([]string{"-sS"}, headers, []string{
		"-m", "1.5", "-H", "Content-Type: application/json", "--data-raw", `{"string":"x"}`, "http://gateway/fixture/Everything/Echo",
	})
	if diff := cmp.Diff(want, runLine(t, line)); diff != "" {
		t.Errorf("curl (-want +got):\n%s\n%s", diff, line)
	}
}

func TestAsCurlOfPlainServer(t *testing.T) {
	t.Parallel()
	c := aCall(t, fixture(t), "/fixture.v1.Everything/Echo", `{}`)
	c.Plain = true
	_, err := c.curl()
	if err == nil || !strings.Contains(err.Error(), "no HTTP API") {
		t.Errorf("got %v", err)
	}
}

// everyOption says all that can be said of a connection.
func everyOption() front.Transport {
	return front.Transport{
		Retries: 7, MaxSize: 1 << 20, Gzip: true, WaitReady: true, Authority: "api.example",
		Via: "proxy:3128", ViaUser: url.UserPassword("me", "it's"),
	}
}

// What is said of the connection is in the call, or a comment says that it is not.
func TestTransport(t *testing.T) {
	t.Parallel()
	s := fixture(t)
	for language, want := range map[string][]string{
		"grpcurl": {"# without --retries, --gzip, --wait-ready, --via, which grpcurl cannot say\n", " -authority api.example ", " -max-msg-sz 1048576 "},
		"curl": {
			"# without --gzip, --wait-ready, which curl cannot say\n", " --retry 7 ", ` -p -x http://me:it%27s@proxy:3128 `, ` -H 'Host: api.example' `,
		},
		"go": {
			`grpc.WithAuthority("api.example")`, "grpc.WithMaxCallAttempts(8)", `"maxAttempts": 8`, "grpc.UseCompressor(gzip.Name)", "grpc.MaxCallRecvMsgSize(1048576)",
			"grpc.WaitForReady(true)", `os.Setenv("HTTPS_PROXY", "http://me:it%27s@proxy:3128")`,
		},
		"python": {
			`("grpc.default_authority", "api.example"), ("grpc.ssl_target_name_override", "api.example")`, `\"maxAttempts\": 8`,
			`("grpc.max_receive_message_length", 1048576)`, `("grpc.http_proxy", "http://me:it%27s@proxy:3128")`, "compression=grpc.Compression.Gzip", "wait_for_ready=True",
		},
		"ts": {
			"// without --retries, --wait-ready, --authority, --via, which Connect cannot say\n", "sendCompression: compressionGzip",
			"readMaxBytes: 1048576, writeMaxBytes: 1048576", `import { createGrpcTransport, compressionGzip } from "@connectrpc/connect-node";`,
		},
	} {
		c := aCall(t, s, "/fixture.v1.Everything/Echo", `{}`)
		c.TLS, c.Transport = true, everyOption()
		text, err := c.As(language)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s has no %q:\n%s", language, part, text)
			}
		}
		c.Transport = front.Transport{}
		if text, err = c.As(language); err != nil || strings.Contains(text, "without") {
			t.Errorf("%s of an ordinary call, %v:\n%s", language, err, text)
		}
	}
}

// calls returns calls of all kinds, with everything that messages can have in them.
func calls(t *testing.T, s *dynamic.Schema) map[string]*Call {
	t.Helper()
	tab := table(t, s)
	m, _ := tab.Message("fixture.v1.Message")
	all := map[string]*Call{
		"nothing":      aCall(t, s, "/fixture.v1.Everything/Echo", `{}`),
		"all":          aCall(t, s, "/fixture.v1.Everything/Echo", string(NewTemplate(tab, m).AppendJSON(nil))),
		"serverstream": aCall(t, s, "/fixture.v1.Everything/Count", `{"count":3,"delay":"1.5s"}`),
		"clientstream": aCall(t, s, "/fixture.v1.Everything/Collect", `{"string":"a"}`, `{"bool":true}`),
		"bidi":         aCall(t, s, "/fixture.v1.Everything/Chat", `{"phone":"1"}`, `{"home":{"city":"x"}}`),
		"empty":        aCall(t, s, "/fixture.v1.Everything/Headers", `{}`),
		"lower":        aCall(t, s, "/fixture.v1.Everything/getUser", `{"id":"1"}`),
		"proto2":       aCall(t, s, "/fixture.v1.Legacy/Echo", `{"id":"1","count":0,"level":"HIGH","item":[{"name":"n"}],"packed":[1,2]}`),
		"editions":     aCall(t, s, "/fixture.v1.Modern/Echo", `{"explicit":"","needed":1,"expanded":[1],"delimited":{"needed":0}}`),
		"edges": aCall(t, s, "/fixture.v1.Everything/Echo", `{"double":"NaN","float":"-Infinity","int64":"-9223372036854775808","uint64":"18446744073709551615",`+
			`"string":"a\"b\\c\u0000\n${X}`+"`"+`","bytes":"AP+A","color":7,"colors":["COLOR_RED",9],"nickname":"","score":0,"labels":{"a":"","":"b"},"switches":{"true":"COLOR_RED"},`+
			`"value":null,"struct":{"a":[null,1.5,{"b":true}]},"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"3s"}}`),
		"float": aCall(t, s, "/fixture.v1.Everything/Echo", `{"double":-0.0,"float":1e30}`),
	}
	session(all["all"])
	stdin := aCall(t, s, "/fixture.v1.Everything/Chat")
	stdin.Stdin = true
	all["stdin"] = stdin
	tls := aCall(t, s, "/fixture.v1.Everything/Echo", `{}`)
	tls.TLS = true
	all["tls"] = tls
	insecure := aCall(t, s, "/fixture.v1.Everything/Echo", `{}`)
	insecure.TLS, insecure.Env.Insecure = true, true
	all["insecure"] = insecure
	mutual := aCall(t, s, "/fixture.v1.Everything/Echo", `{}`)
	mutual.TLS, mutual.Env.CA, mutual.Env.Cert, mutual.Env.Key = true, "ca.pem", "cert.pem", "key.pem"
	session(mutual)
	all["mutual"] = mutual
	connection := aCall(t, s, "/fixture.v1.Everything/Echo", `{}`)
	connection.TLS, connection.Transport = true, everyOption()
	all["connection"] = connection
	return all
}

// The Go programs compile against the code that is generated for the schema.
func TestGoProgramsCompile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, text []byte) {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		write(name, bytes.Replace(b, []byte("module github.com/micro/micro/v3"), []byte("module example.com/m"), 1))
	}
	for _, name := range []string{"fixture.proto", "legacy.proto", "modern.proto"} {
		b, err := os.ReadFile("../../testdata/fixture/proto/fixture/v1/" + name)
		if err != nil {
			t.Fatal(err)
		}
		// What is imported for its messages in details alone is not there.
		b = bytes.Replace(b, []byte(`import "google/rpc/error_details.proto";`), nil, 1)
		b = bytes.Replace(b, []byte("package fixture.v1;"), []byte("package fixture.v1;\noption go_package = \"example.com/m/proto/fixture/v1;fixturev1\";"), 1)
		write("proto/fixture/v1/"+name, b)
	}
	if _, err := generator.Gen(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	raw, err := generator.Describe(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := dynamic.ParseSchema(raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range calls(t, s) {
		text, err := c.golang()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		write(name+"/main.go", []byte(text+"\n"))
		if strings.Contains(text, "example.com/project") {
			t.Errorf("%s does not import the generated code:\n%s", name, text)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "vet", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}

// The other programs are well-formed.
func TestProgramsParse(t *testing.T) {
	t.Parallel()
	s := fixture(t)
	for language, check := range map[string][]string{
		"python": {"python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"},
		"ts":     {"node", "--check"},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(check[0]); err != nil {
				t.Skip(err)
			}
			for name, c := range calls(t, s) {
				text, err := c.As(language)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				file := filepath.Join(t.TempDir(), "program.mjs")
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.CommandContext(t.Context(), check[0], append(slices.Clone(check[1:]), file)...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s\n%s", name, err, out, text)
				}
			}
		})
	}
}
