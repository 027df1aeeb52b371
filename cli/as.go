package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/snippet"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
)

// showAs prints a call in one language, or in all of them.
func (a *App) showAs(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, q question, m wire.Method, r *front.Request, from front.Inputs) error {
	c, err := a.shownCall(ctx, conn, in, entry, q, m, r, from)
	if err != nil {
		return err
	}
	if r.Show == front.ShowAs {
		text, err := c.As(r.As)
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
		text, err := c.As(l)
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

func (a *App) shownCall(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, q question, m wire.Method, r *front.Request, from front.Inputs) (*snippet.Call, error) {
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
	c := &snippet.Call{
		In: in, Method: m, Args: r.TypedArgs(), Env: e, Address: address, TLS: useTLS,
		Plain: entry.Origin != nil && entry.Origin.Plain, LoggedIn: err == nil && token != "", Timeout: r.Timeout, Transport: r.Transport, Stdin: r.Stdin,
		Sources: r.Sources,
		Schema:  func() (*dynamic.Schema, error) { return a.descriptors(ctx, conn, entry, q) },
	}
	c.Globals = a.typedGlobals()
	c.Gateway = a.gateway(e)
	own := false
	for _, h := range r.TypedHeaders() {
		own = own || h.Name == "authorization"
	}
	if !c.Plain {
		c.Headers = append(c.Headers, front.TypedHeader{Name: front.KeyNamespace, Value: []front.Part{{Text: ns}}})
	}
	if entry.Origin == nil {
		c.Headers = append(c.Headers, front.TypedHeader{Name: front.KeyService, Value: []front.Part{{Text: in.Service}}})
	}
	if c.LoggedIn = c.LoggedIn && !own && !c.Plain; c.LoggedIn {
		c.Headers = append(c.Headers, front.TypedHeader{Name: "authorization", Value: []front.Part{{Text: "Bearer "}, {Variable: envs.EnvToken}}})
	}
	c.Headers = append(c.Headers, r.TypedHeaders()...)
	if r.Stdin {
		return c, nil
	}
	if c.Wire, err = a.encode(in, m, r); err != nil {
		return nil, err
	}
	for text, err := range a.canonical(in, m, r, from) {
		if err != nil {
			return nil, err
		}
		c.Messages = append(c.Messages, text)
	}
	return c, nil
}

// typedGlobals returns the flags that say where the command acts, as they are typed
// before it.
func (a *App) typedGlobals() []string {
	var flags []string
	if a.env != "" {
		flags = append(flags, "--env="+a.env)
	}
	if a.namespace != "" {
		flags = append(flags, "--namespace="+a.namespace)
	}
	return flags
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
