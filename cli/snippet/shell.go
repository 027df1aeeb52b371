package snippet

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/envs"
)

// micro returns the call as it was typed.
func (c *Call) micro() string {
	words := append([]string{"micro"}, c.Globals...)
	if front.IsCommand(c.In.Service) {
		words = append(words, "call")
	}
	words = append(append(append(words, c.In.Service), c.In.Words...), c.Args...)
	for i := range words {
		words[i] = Quote(words[i])
	}
	return strings.Join(words, " ")
}

func (c *Call) grpcurl() (string, error) {
	words := []string{"grpcurl"}
	add := func(flag, value string) { words = append(words, flag, Quote(value)) }
	target := c.Address
	if path, ok := strings.CutPrefix(c.Env.Address, "unix:"); ok {
		target = path
		words = append(words, "-unix")
	}
	switch {
	case !c.TLS:
		words = append(words, "-plaintext")
	case c.Env.Insecure:
		words = append(words, "-insecure")
	}
	if c.TLS && c.Env.CA != "" {
		add("-cacert", c.Env.CA)
	}
	if c.TLS && c.Env.Cert != "" {
		add("-cert", c.Env.Cert)
		add("-key", c.Env.Key)
	}
	for _, dir := range c.Sources.Imports {
		add("-import-path", dir)
	}
	for _, name := range c.Sources.Protos {
		add("-proto", name)
	}
	for _, name := range c.Sources.Protosets {
		add("-protoset", name)
	}
	files := ""
	if c.Sources.Repository != "" { // grpcurl reads files only
		file, err := c.serviceFile()
		if err != nil {
			return "", err
		}
		const dir = "grpcurl-protos"
		files = strings.Join([]string{"micro describe", Quote(c.Method.Service().Name()), "--schema", Quote(c.Sources.Repository), "--files", dir, ">/dev/null && "}, " ")
		add("-import-path", dir)
		add("-proto", file)
	}
	for _, h := range c.Headers {
		words = append(words, "-H", c.shellHeader(h, h.Name))
	}
	if c.Timeout > 0 {
		add("-max-time", seconds(c.Timeout))
	}
	if c.Transport.Authority != "" {
		add("-authority", c.Transport.Authority)
	}
	if c.Transport.MaxSize > 0 {
		add("-max-msg-sz", strconv.Itoa(c.Transport.MaxSize))
	}
	switch {
	case c.Stdin:
		words = append(words, "-d", "@")
	default:
		add("-d", c.lines(" "))
	}
	words = append(words, Quote(target), Quote(strings.TrimPrefix(c.Method.Path(), "/")))
	return c.leftOut("#", "grpcurl", "authority", "max-size") + files + strings.Join(words, " "), nil
}

// serviceFile returns the path of the .proto file that the service of the method is in.
func (c *Call) serviceFile() (string, error) {
	schema, err := c.Schema()
	if err != nil {
		return "", err
	}
	for _, s := range schema.Services() {
		if string(s.FullName()) == c.Method.Service().Name() {
			return s.ParentFile().Path(), nil
		}
	}
	return "", fmt.Errorf("the schema has no service %s", c.Method.Service().Name())
}

func (c *Call) curl() (string, error) {
	if c.Plain {
		return "", &front.Error{
			Message: fmt.Sprintf("the server of environment %q has no HTTP API that curl could call: it is no server of micro", c.Env.Name),
			Hint:    "use --as grpcurl",
			Exit:    front.ExitUsage,
		}
	}
	words := []string{"curl", "-sS"}
	if c.Method.ClientStreaming() || c.Method.ServerStreaming() {
		words = append(words, "-N")
	}
	for _, h := range c.Headers {
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
	if c.Timeout > 0 {
		words = append(words, "-m", seconds(c.Timeout))
	}
	if c.Transport.Retries > 0 {
		words = append(words, "--retry", strconv.Itoa(c.Transport.Retries))
	}
	if c.Transport.Via != "" {
		words = append(words, "-p", "-x", Quote(c.proxy()))
	}
	if c.Transport.Authority != "" {
		words = append(words, "-H", Quote("Host: "+c.Transport.Authority))
	}
	words = append(words, "-H", "'Content-Type: application/json'")
	if c.Stdin {
		words = append(words, "-T", "-", "-X", "POST") // sends as it reads
	} else {
		words = append(words, "--data-raw", Quote(c.lines("\n")))
	}
	// What HTTP has no limit for needs none to be lifted.
	note := c.leftOut("#", "curl", "authority", "via", "retries", "max-size")
	path := "/" + c.In.Service + "/" + c.endpointPath()
	if c.Gateway == "" {
		note += "# GATEWAY is the address of the server's HTTP API, such as https://api.example.com\n"
		return note + strings.Join(append(words, `"$GATEWAY"`+Quote(path)), " "), nil
	}
	return note + strings.Join(append(words, Quote(c.Gateway+path)), " "), nil
}

// endpointPath returns the words of a path that mean the method.
func (c *Call) endpointPath() string {
	s := c.Method.Service()
	return request.ShortName(s.Name()) + "/" + c.Method.Name()
}

// lines returns the messages, one after the other.
func (c *Call) lines(between string) string {
	var parts []string
	for _, m := range c.Messages {
		parts = append(parts, string(m))
	}
	return strings.Join(parts, between)
}

// shellHeader returns a header as one word of a shell. The token is asked for when
// the line is run.
func (c *Call) shellHeader(h front.TypedHeader, name string) string {
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
			text.WriteString(QuoteShell(p.Text))
			continue
		case p.Variable == envs.EnvToken && c.LoggedIn && h.Name == "authorization":
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
func (c *Call) tokenCommand() string {
	words := []string{"micro"}
	for _, g := range c.Globals {
		words = append(words, Quote(g))
	}
	return "$(" + strings.Join(append(words, "user", "token"), " ") + ")"
}

// Quote returns a word of a shell that means s.
func Quote(s string) string {
	safe := s != ""
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-_./:=,@%+", c) < 0 {
			safe = false
		}
	}
	if safe {
		return s
	}
	return QuoteShell(s)
}

// QuoteShell returns a word of a shell that means s, in quotes.
func QuoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
