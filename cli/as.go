package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
)

// shownCall is a call as it is written in other languages.
type shownCall struct {
	in       front.Invocation
	method   wire.Method
	args     []string // as they were typed
	globals  []string // flags of micro that say where
	env      envs.Env
	address  string // host:port
	tls      bool
	gateway  string // the address of the HTTP API; empty when it is not known
	plain    bool   // the server knows nothing of micro
	headers  []front.TypedHeader
	loggedIn bool
	timeout  time.Duration
	messages [][]byte // JSON
	wire     [][]byte // the same
	sources  front.Sources
	stdin    bool // the messages come from standard input
	schema   func() (*dynamic.Schema, error)
}

// showAs prints a call in one language, or in all of them.
func (a *App) showAs(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, q question, m wire.Method, r *front.Request, from front.Inputs) error {
	c, err := a.shownCall(ctx, conn, in, entry, q, m, r, from)
	if err != nil {
		return err
	}
	if r.Show == front.ShowAs {
		text, err := c.as(r.As)
		if err != nil {
			return err
		}
		if a.Terminal.Out {
			text = front.Lines(text) // elsewhere it may be run, and has to be exact
		}
		fmt.Fprintln(a.Out, text)
		return nil
	}
	titles := map[string]string{
		"micro": "micro", "grpcurl": "grpcurl", "curl": "curl, through the gateway",
		"go": "Go, with generated code", "python": "Python, with generated code", "ts": "TypeScript, with Connect and generated code",
	}
	for i, l := range front.Languages() {
		text, err := c.as(l)
		if err != nil {
			text = "not possible: " + err.Error()
		}
		if i > 0 {
			fmt.Fprintln(a.Out)
		}
		fmt.Fprintf(a.Out, "%s:\n\n%s\n", titles[l], front.Lines(indentLines(text)))
	}
	return nil
}

func indentLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = "  " + l
		}
	}
	return strings.Join(lines, "\n")
}

func (a *App) shownCall(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, q question, m wire.Method, r *front.Request, from front.Inputs) (*shownCall, error) {
	e, err := a.Env()
	if err != nil {
		return nil, err
	}
	address, useTLS, err := envs.ParseAddress(e.Address)
	if err != nil {
		return nil, err
	}
	ns, err := a.Namespace()
	if err != nil {
		return nil, err
	}
	token, err := a.Token(ctx)
	c := &shownCall{
		in: in, method: m, args: r.TypedArgs(), env: e, address: address, tls: useTLS,
		plain: entry.Origin != nil && entry.Origin.Plain, loggedIn: err == nil && token != "", timeout: r.Timeout, stdin: r.Stdin,
		sources: q.early.Sources,
		schema:  func() (*dynamic.Schema, error) { return a.descriptors(ctx, conn, entry, q) },
	}
	if a.env != "" {
		c.globals = append(c.globals, "--env="+a.env)
	}
	if a.namespace != "" {
		c.globals = append(c.globals, "--namespace="+a.namespace)
	}
	c.gateway = a.gateway(e)
	own := false
	for _, h := range r.TypedHeaders() {
		own = own || h.Name == "authorization"
	}
	if !c.plain {
		c.headers = append(c.headers, front.TypedHeader{Name: front.KeyNamespace, Value: []front.Part{{Text: ns}}})
	}
	if entry.Origin == nil {
		c.headers = append(c.headers, front.TypedHeader{Name: front.KeyService, Value: []front.Part{{Text: in.Service}}})
	}
	if c.loggedIn = c.loggedIn && !own && !c.plain; c.loggedIn {
		c.headers = append(c.headers, front.TypedHeader{Name: "authorization", Value: []front.Part{{Text: "Bearer "}, {Variable: envs.EnvToken}}})
	}
	c.headers = append(c.headers, r.TypedHeaders()...)
	if r.Stdin {
		return c, nil
	}
	if c.wire, err = encode(in, m, r); err != nil {
		return nil, err
	}
	for text, err := range a.canonical(in, m, r, from) {
		if err != nil {
			return nil, err
		}
		c.messages = append(c.messages, text)
	}
	return c, nil
}

// gateway returns the address of the HTTP API of an environment as far as it is
// known: that of the server on this machine.
func (a *App) gateway(e envs.Env) string {
	dirs, err := a.Dirs()
	if err != nil {
		return ""
	}
	var running struct {
		Gateway string `json:"gateway"`
		Proxy   string `json:"proxy"`
	}
	b, err := os.ReadFile(filepath.Join(dirs.Data, "server", "server.json"))
	if err != nil || json.Unmarshal(b, &running) != nil || running.Proxy != e.Address {
		return ""
	}
	if host, port, err := net.SplitHostPort(running.Gateway); err == nil && host != "" && port != "" {
		return "http://" + running.Gateway
	}
	return ""
}

// as returns the call in a language.
func (c *shownCall) as(language string) (string, error) {
	switch language {
	case "micro":
		return c.micro(), nil
	case "grpcurl":
		return c.grpcurl()
	case "curl":
		return c.curl()
	case "go":
		return c.golang()
	case "python":
		return c.python()
	default:
		return c.typescript()
	}
}

// micro returns the call as it was typed.
func (c *shownCall) micro() string {
	words := append([]string{"micro"}, c.globals...)
	if front.IsCommand(c.in.Service) {
		words = append(words, "call")
	}
	words = append(append(append(words, c.in.Service), c.in.Words...), c.args...)
	for i := range words {
		words[i] = shellQuote(words[i])
	}
	return strings.Join(words, " ")
}

func (c *shownCall) grpcurl() (string, error) {
	words := []string{"grpcurl"}
	add := func(flag, value string) { words = append(words, flag, shellQuote(value)) }
	target := c.address
	if path, ok := strings.CutPrefix(c.env.Address, "unix:"); ok {
		target = path
		words = append(words, "-unix")
	}
	switch {
	case !c.tls:
		words = append(words, "-plaintext")
	case c.env.Insecure:
		words = append(words, "-insecure")
	}
	if c.tls && c.env.CA != "" {
		add("-cacert", c.env.CA)
	}
	if c.tls && c.env.Cert != "" {
		add("-cert", c.env.Cert)
		add("-key", c.env.Key)
	}
	for _, dir := range c.sources.Imports {
		add("-import-path", dir)
	}
	for _, name := range c.sources.Protos {
		add("-proto", name)
	}
	for _, name := range c.sources.Protosets {
		add("-protoset", name)
	}
	for _, h := range c.headers {
		words = append(words, "-H", c.shellHeader(h, h.Name))
	}
	if c.timeout > 0 {
		add("-max-time", seconds(c.timeout))
	}
	switch {
	case c.stdin:
		words = append(words, "-d", "@")
	default:
		add("-d", c.lines(" "))
	}
	words = append(words, shellQuote(target), shellQuote(strings.TrimPrefix(c.method.Path(), "/")))
	return strings.Join(words, " "), nil
}

func (c *shownCall) curl() (string, error) {
	if c.plain {
		return "", &Error{
			Message: fmt.Sprintf("the server of environment %q has no HTTP API that curl could call: it is no server of micro", c.env.Name),
			Hint:    "use --as grpcurl",
			Exit:    ExitUsage,
		}
	}
	words := []string{"curl", "-sS"}
	if c.method.ClientStreaming() || c.method.ServerStreaming() {
		words = append(words, "-N")
	}
	for _, h := range c.headers {
		if h.Name == front.KeyService {
			continue // it is in the path
		}
		name := h.Name
		switch name {
		case front.KeyNamespace:
			name = "Micro-Namespace"
		case "authorization":
			name = "Authorization"
		}
		words = append(words, "-H", c.shellHeader(h, name))
	}
	if c.timeout > 0 {
		words = append(words, "-m", seconds(c.timeout))
	}
	words = append(words, "-H", "'Content-Type: application/json'")
	if c.stdin {
		words = append(words, "-T", "-", "-X", "POST") // sends as it reads
	} else {
		words = append(words, "--data-raw", shellQuote(c.lines("\n")))
	}
	path := "/" + c.in.Service + "/" + c.endpointPath()
	if c.gateway == "" {
		note := "# GATEWAY is the address of the server's HTTP API, such as https://api.example.com\n"
		return note + strings.Join(append(words, `"$GATEWAY"`+shellQuote(path)), " "), nil
	}
	return strings.Join(append(words, shellQuote(c.gateway+path)), " "), nil
}

// endpointPath returns the words of a path that mean the method.
func (c *shownCall) endpointPath() string {
	s := c.method.Service()
	return request.ShortName(s.Name()) + "/" + c.method.Name()
}

// lines returns the messages, one after the other.
func (c *shownCall) lines(between string) string {
	var parts []string
	for _, m := range c.messages {
		parts = append(parts, string(m))
	}
	return strings.Join(parts, between)
}

// shellHeader returns a header as one word of a shell. The token is asked for when
// the line is run.
func (c *shownCall) shellHeader(h front.TypedHeader, name string) string {
	binary := strings.HasSuffix(h.Name, "-bin")
	parts := []front.Part{{Text: name + ": "}}
	for _, p := range h.Value {
		if p.Variable == "" && binary {
			p.Text = base64.StdEncoding.EncodeToString([]byte(p.Text))
		}
		parts = append(parts, p)
	}
	var word, text strings.Builder // in one pair of quotes, and each part in its own
	plain := true
	for _, p := range parts {
		var run string
		switch {
		case p.Variable == "":
			plain = plain && !strings.ContainsAny(p.Text, "$`\\\"!")
			word.WriteString(p.Text)
			text.WriteString(quoted(p.Text))
			continue
		case p.Variable == envs.EnvToken && c.loggedIn && h.Name == "authorization":
			run = c.tokenCommand()
		case binary:
			run = fmt.Sprintf(`$(printf %%s "${%s}" | base64)`, p.Variable)
		default:
			run = "${" + p.Variable + "}"
		}
		word.WriteString(run)
		text.WriteString(`"` + run + `"`)
	}
	if plain {
		return `"` + word.String() + `"`
	}
	return text.String()
}

// tokenCommand is what a shell runs for the token of the session.
func (c *shownCall) tokenCommand() string {
	words := []string{"micro"}
	for _, g := range c.globals {
		words = append(words, shellQuote(g))
	}
	return "$(" + strings.Join(append(words, "user", "token"), " ") + ")"
}

// shellQuote returns a word of a shell that means s.
func shellQuote(s string) string {
	safe := s != ""
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-_./:=,@%+", c) < 0 {
			safe = false
		}
	}
	if safe {
		return s
	}
	return quoted(s)
}

// quoted returns a word of a shell that means s, in quotes.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
