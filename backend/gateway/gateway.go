// Package gateway is the HTTP API in front of the proxy: it turns a request for
// /SERVICE/METHOD with a query or a JSON body into a gRPC call, and the answer into
// JSON. It knows services by their schemas alone; nothing is generated for it.
//
//	GET  /helloworld?name=Alice
//	POST /helloworld/call  {"name": "Alice"}
//
// It decides nothing: who may call what is the proxy's to say.
package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/trace"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// maxBody bounds the body of a request, and the others what is still read of one that
// is larger.
const (
	maxBody    = 4 << 20
	drainBytes = 16 << 20
	drainFor   = 5 * time.Second
)

// Header is the header that names the namespace to call in.
const Header = "Micro-Namespace"

// Config is what [New] needs.
type Config struct {
	Proxy *proxy.Proxy
	// Keys answers GET /.well-known/jwks.json, with what access tokens can be verified.
	Keys http.Handler
	// Schema returns a schema by its digest.
	Schema func(ctx context.Context, namespace, digest string) (*dynamic.Schema, error)
	// Status turns an error of the proxy into a gRPC status.
	Status func(error) error
	// Admit lets a call in, which leaves by what is returned; nil: all come in.
	Admit   func(r *http.Request) (leave func(), err error)
	Version string
	Logger  *slog.Logger
}

type gateway struct{ config Config }

// New returns the handler of the gateway's port.
func New(c Config) http.Handler { return &gateway{c} }

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// Any page may read what anybody may: there are no cookies here, so a page has
	// no rights but those of the token that it sends itself.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	case http.MethodOptions:
		h.Set("Allow", allowed)
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, "+Header)
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", allowed)
		writeError(w, &failure{status: http.StatusMethodNotAllowed, detail: "the method " + r.Method + " is not for this API: " + allowed})
		return
	}
	switch r.URL.Path {
	case "/":
		g.root(w, r)
	case "/.well-known/jwks.json":
		if g.config.Keys == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD, OPTIONS")
			writeError(w, &failure{status: http.StatusMethodNotAllowed, detail: "the keys can only be read"})
			return
		}
		g.config.Keys.ServeHTTP(w, r)
	case "/favicon.ico":
		w.WriteHeader(http.StatusNoContent)
	default:
		g.call(w, r)
	}
}

const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

func (g *gateway) root(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		writeError(w, &failure{status: http.StatusMethodNotAllowed, detail: "there is nothing to call at /; a path is /SERVICE/METHOD"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"version":"`+g.config.Version+`"}`+"\n") // the client is gone
}

func (g *gateway) call(w http.ResponseWriter, r *http.Request) {
	if g.config.Admit != nil {
		leave, err := g.config.Admit(r)
		if err != nil {
			g.fail(w, r, err)
			return
		}
		defer leave()
	}
	c, err := g.resolve(r)
	if err == nil {
		err = c.serve(w, r)
	}
	if err != nil {
		g.fail(w, r, err)
	}
}

// fail answers with an error, unless the client has gone.
func (g *gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	f := g.config.failure(err)
	if f.status == http.StatusRequestEntityTooLarge {
		drain(w, r)
	}
	writeError(w, f)
}

// drain reads on in a body that is too large, within bounds: a client that gets its
// answer while it still sends may see a broken connection in its place.
func drain(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainFor)) // where it cannot be set, the size is the bound
	_, _ = io.CopyN(io.Discard, r.Body, drainBytes)                             // what is left when it ends is the client's loss
}

// failure returns an error as the client sees it.
func (c *Config) failure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	return fromStatus(c.Status(err))
}

// call is a request whose method is known.
type call struct {
	route  *proxy.Route
	schema *dynamic.Schema
	method wire.Method
	config *Config
}

// resolve admits a request, and finds the method that its path means.
func (g *gateway) resolve(r *http.Request) (*call, error) {
	t, err := parsePath(r.URL.Path)
	if err != nil {
		return nil, &failure{status: http.StatusNotFound, detail: err.Error()}
	}
	token, err := bearer(r)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	route, err := g.config.Proxy.Admit(ctx, proxy.Call{
		Token:     token,
		Namespace: r.Header.Get(Header),
		Service:   t.service,
		Endpoint:  t.endpoint(),
		Metadata:  forwarded(r),
	})
	if err != nil {
		return nil, err
	}
	digest := route.Schema()
	if digest == "" {
		return nil, &failure{status: http.StatusNotImplemented, detail: "the service " + t.service + " does not tell what it speaks: it has no gRPC reflection"}
	}
	schema, err := g.config.Schema(ctx, route.Namespace, digest)
	if err != nil {
		return nil, err
	}
	table, err := schema.Table()
	if err != nil {
		return nil, err
	}
	m, err := request.Resolve(table, t.service, t.words)
	if err != nil {
		return nil, &failure{status: http.StatusNotFound, detail: err.Error()}
	}
	if err := route.To(ctx, m.Path(), digest); err != nil {
		return nil, err
	}
	trace.Name(ctx, r.Method+" "+route.Path)
	return &call{route: route, schema: schema, method: m, config: &g.config}, nil
}

// bearer returns the token of the Authorization header; empty when there is none.
func bearer(r *http.Request) (string, error) {
	v := r.Header.Get("Authorization")
	if v == "" {
		return "", nil
	}
	scheme, token, _ := strings.Cut(v, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", &failure{status: http.StatusUnauthorized, detail: "the Authorization header has not the form \"Bearer TOKEN\""}
	}
	return token, nil
}

// forwarded returns the headers that a service gets as metadata: all but those
// that belong to this hop, and those that gRPC cannot carry.
func forwarded(r *http.Request) metadata.MD {
	md := metadata.MD{}
	for name, values := range r.Header {
		key := strings.ToLower(name)
		switch {
		case strings.HasPrefix(key, "accept"), strings.HasPrefix(key, "content-"), strings.HasPrefix(key, "sec-"),
			strings.HasPrefix(key, "if-"), strings.HasPrefix(key, "proxy-"), strings.HasSuffix(key, "-bin"), strings.HasPrefix(key, "x-forwarded-"),
			key == "keep-alive", key == "trailer", key == "upgrade", key == "te", key == "expect", key == "range", key == "origin", key == "dnt":
			continue
		}
		if strings.ContainsFunc(key, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
		}) {
			continue
		}
		for _, v := range values {
			if !strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c > '~' }) {
				md.Append(key, v)
			}
		}
	}
	md.Set("x-forwarded-host", r.Host)
	return md
}

// body returns the JSON of the only request of a call: the body, and from the query
// the fields that the body does not have.
func (c *call) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	in := request.NewBody()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		text, err := readBody(w, r)
		if err != nil {
			return nil, err
		}
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		trimmed := strings.TrimSpace(string(text))
		switch {
		case trimmed == "":
		// curl says that everything is a form.
		case kind == "application/x-www-form-urlencoded" && !strings.HasPrefix(trimmed, "{"):
			form, err := url.ParseQuery(trimmed)
			if err != nil {
				return nil, badRequest("the form: " + err.Error())
			}
			if err := c.setAll(in, form); err != nil {
				return nil, err
			}
		case kind == "multipart/form-data":
			return nil, &failure{status: http.StatusUnsupportedMediaType, detail: "multipart forms are not taken; send JSON"}
		default:
			if in, err = request.ParseBody(text); err != nil {
				return nil, badRequest("the body " + err.Error())
			}
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query: " + err.Error())
	}
	if err := c.setAll(in, query); err != nil {
		return nil, err
	}
	return in.JSON(), nil
}

// setAll sets the fields that a query or a form names, but for those that are there
// already. a[b] means a.b.
func (c *call) setAll(in *request.Body, values url.Values) error {
	fieldPath := strings.NewReplacer("[", ".", "]", "").Replace
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(values)), func(k string) bool {
		return in.Has(c.method.Input(), fieldPath(k))
	})
	for _, k := range keys {
		path := fieldPath(k)
		for _, v := range values[k] {
			if err := in.Set(c.method.Input(), path, v, request.Values{Now: now}); err != nil {
				return badRequest("the parameter " + k + ": " + err.Error())
			}
		}
	}
	return nil
}

// readBody reads the whole body of a request.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &failure{status: http.StatusRequestEntityTooLarge, detail: "the body is larger than 4 MiB"}
	}
	if err != nil {
		return nil, badRequest("the body: " + err.Error())
	}
	return text, nil
}
