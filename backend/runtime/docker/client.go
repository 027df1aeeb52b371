package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client speaks the API of the Docker Engine, as Docker and Podman both have it, over a
// socket. It knows nothing of instances. Its methods end when their context does, and
// return an *[apiError] when the engine refuses.
type client struct {
	http *http.Client
	dial func(ctx context.Context) (net.Conn, error)
	base string // of URLs
}

// apiVersion is of Docker 20.10 and Podman 4.
const apiVersion = "/v1.41"

// newClient returns a client of an engine at unix:///path or tcp://host:port.
func newClient(address string) (*client, error) {
	network, place, ok := strings.Cut(address, "://")
	if !ok || place == "" || network != "unix" && network != "tcp" {
		return nil, fmt.Errorf("engine %q: want unix:///PATH or tcp://HOST:PORT", address)
	}
	c := &client{base: "http://engine" + apiVersion}
	c.dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, place)
	}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		MaxIdleConns:    8,
		IdleConnTimeout: time.Minute,
	}}
	return c, nil
}

// apiError is a refusal of the engine.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

// isNotFound reports whether the engine has no such thing.
func isNotFound(err error) bool {
	refusal, ok := errors.AsType[*apiError](err)
	return ok && refusal.status == http.StatusNotFound
}

// isRefusal reports whether the engine answered.
func isRefusal(err error) bool {
	_, ok := errors.AsType[*apiError](err)
	return ok
}

// maxAnswer bounds what is read of an answer that is no stream.
const maxAnswer = 16 << 20

// call sends body as JSON, unless it is a reader or nil, and reads the answer into
// answer, unless that is nil.
func (c *client) call(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	rsp, err := c.open(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(rsp.Body, maxAnswer))
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the engine's answer to %s %s: %w", method, path, err)
	}
	return nil
}

// open is call for an answer that the caller reads and closes.
func (c *client) open(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var content io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case io.Reader:
		content, kind = b, "application/x-tar"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return nil, err
	}
	if content != nil {
		req.Header.Set("Content-Type", kind)
	}
	rsp, err := c.http.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	if rsp.StatusCode < http.StatusBadRequest {
		return rsp, nil
	}
	defer rsp.Body.Close()
	return nil, refusalOf(rsp)
}

// endTime is how long an engine may take for what nobody waits for any more.
const endTime = 5 * time.Second

// outlast returns a context that ends some time after ctx: what an engine was asked for
// it makes, and only who hears of it can take it away.
func outlast(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(endTime, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// withoutURL strips the made-up address of the engine from an error.
func withoutURL(err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		return at.Err
	}
	return err
}

func refusalOf(rsp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(rsp.Body, 64<<10)) // as much as there is
	var says struct{ Message string }
	if json.Unmarshal(text, &says) != nil || says.Message == "" {
		says.Message = strings.TrimSpace(string(text))
	}
	if says.Message == "" {
		says.Message = rsp.Status
	}
	return &apiError{rsp.StatusCode, says.Message}
}
