package snippet

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// What a call says of its connection is carried as far as a language has a word for it.
// What it has none for is named in a comment: nobody should take the one call for the
// other.

// leftOut returns a comment that names the options of the call that are not among those
// that a language can say.
func (c *Call) leftOut(sign, language string, can ...string) string {
	t := c.Transport
	var names []string
	for _, o := range []struct {
		name  string
		given bool
	}{
		{"retries", t.Retries > 0},
		{"max-size", t.MaxSize > 0},
		{"gzip", t.Gzip},
		{"wait-ready", t.WaitReady},
		{"authority", t.Authority != ""},
		{"via", t.Via != ""},
	} {
		if o.given && !slices.Contains(can, o.name) {
			names = append(names, "--"+o.name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%s without %s, which %s cannot say\n", sign, strings.Join(names, ", "), language)
}

// proxy returns the address of the proxy as a URL.
func (c *Call) proxy() string {
	return (&url.URL{Scheme: "http", User: c.Transport.ViaUser, Host: c.Transport.Via}).String()
}

// serviceConfig returns how gRPC's libraries are told to try again, in JSON. They make
// five attempts at the most, unless they are told otherwise besides.
func (c *Call) serviceConfig() string {
	return `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": ` + strconv.Itoa(c.Transport.Retries+1) +
		`, "initialBackoff": "0.2s", "maxBackoff": "10s", "backoffMultiplier": 1.6, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
}

// dialOptions returns the options of grpc.NewClient that stand behind the credentials.
func (p *goProgram) dialOptions(b *strings.Builder, c *Call) string {
	const grpc = "google.golang.org/grpc"
	t := c.Transport
	var options, call []string
	if t.Authority != "" {
		options = append(options, "grpc.WithAuthority("+strconv.Quote(t.Authority)+")")
	}
	if t.Retries > 0 {
		options = append(options, "grpc.WithMaxCallAttempts("+strconv.Itoa(t.Retries+1)+")", "grpc.WithDefaultServiceConfig(`"+c.serviceConfig()+"`)")
	}
	if t.Gzip {
		call = append(call, "grpc.UseCompressor("+p.use(grpc+"/encoding/gzip")+".Name)")
	}
	if t.MaxSize > 0 {
		size := strconv.Itoa(t.MaxSize)
		call = append(call, "grpc.MaxCallRecvMsgSize("+size+")", "grpc.MaxCallSendMsgSize("+size+")")
	}
	if t.WaitReady {
		call = append(call, "grpc.WaitForReady(true)")
	}
	if len(call) > 0 {
		options = append(options, "grpc.WithDefaultCallOptions("+strings.Join(call, ", ")+")")
	}
	if t.Via != "" { // grpc.NewClient looks there, but for addresses of this machine
		fmt.Fprintf(b, "if err := %s.Setenv(\"HTTPS_PROXY\", %s); err != nil {\nlog.Fatal(err)\n}\n", p.use("os"), strconv.Quote(c.proxy()))
	}
	if len(options) == 0 {
		return ""
	}
	return ",\n" + strings.Join(options, ",\n") + ",\n"
}

// pythonChannel returns the arguments of a channel that stand behind its address and
// credentials.
func (c *Call) pythonChannel() string {
	t := c.Transport
	var options []string
	add := func(name, value string) { options = append(options, "("+pythonText(name)+", "+value+")") }
	if t.Authority != "" {
		add("grpc.default_authority", pythonText(t.Authority))
		if c.TLS {
			add("grpc.ssl_target_name_override", pythonText(t.Authority))
		}
	}
	if t.Retries > 0 {
		add("grpc.service_config", pythonText(c.serviceConfig()))
	}
	if t.MaxSize > 0 {
		add("grpc.max_receive_message_length", strconv.Itoa(t.MaxSize))
		add("grpc.max_send_message_length", strconv.Itoa(t.MaxSize))
	}
	if t.Via != "" {
		add("grpc.http_proxy", pythonText(c.proxy()))
	}
	rest := ""
	if len(options) > 0 {
		rest = ", options=[" + strings.Join(options, ", ") + "]"
	}
	if t.Gzip {
		rest += ", compression=grpc.Compression.Gzip"
	}
	return rest
}

// typescriptTransport returns the options of the transport that have to do with sizes
// and compression.
func (c *Call) typescriptTransport() string {
	rest := ""
	if c.Transport.Gzip {
		rest += ", sendCompression: compressionGzip"
	}
	if size := strconv.Itoa(c.Transport.MaxSize); c.Transport.MaxSize > 0 {
		rest += ", readMaxBytes: " + size + ", writeMaxBytes: " + size
	}
	return rest
}
