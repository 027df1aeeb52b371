package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/backend/proxy"
)

func now() time.Time { return time.Now() }

// serve makes the call and answers the request. An error that it returns was not
// answered yet.
func (c *call) serve(w http.ResponseWriter, r *http.Request) error {
	if c.method.ClientStreaming() || c.method.ServerStreaming() {
		return c.serveStream(w, r)
	}
	text, err := c.body(w, r)
	if err != nil {
		return err
	}
	message, err := c.encode(text)
	if err != nil {
		return err
	}
	answer, header, _, err := c.route.Unary(r.Context(), message, nil)
	copyHeader(w, header)
	if err != nil {
		return err
	}
	return c.write(w, answer)
}

// encode turns the JSON of a request into a message.
func (c *call) encode(text []byte) ([]byte, error) {
	message, err := c.schema.Encode(c.method.Input(), text)
	if err != nil {
		return nil, badRequest(err.Error())
	}
	return message, nil
}

// decode turns an answer into JSON.
func (c *call) decode(answer []byte) ([]byte, error) {
	out, err := c.schema.Decode(c.method.Output(), answer)
	if err != nil {
		return nil, &failure{status: http.StatusBadGateway, detail: "the answer of the service does not fit its schema: " + err.Error()}
	}
	return out, nil
}

// copyHeader passes on what a service says in headers: those that begin with x-.
func copyHeader(w http.ResponseWriter, md metadata.MD) {
	for k, values := range md {
		if strings.HasPrefix(k, "x-") && !strings.HasSuffix(k, "-bin") {
			for _, v := range values {
				w.Header().Add(k, v)
			}
		}
	}
}

// serveStream makes a call with several requests or answers. Requests are the JSON
// values of the body, one after the other; answers are a line of JSON each, or
// events for a client that asks for text/event-stream.
func (c *call) serveStream(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer c.route.Follow(ctx, cancel)()
	var first []byte
	if !c.method.ClientStreaming() {
		text, err := c.body(w, r)
		if err != nil {
			return err
		}
		if first, err = c.encode(text); err != nil {
			return err
		}
	}
	s, err := c.route.Open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.method.ClientStreaming() {
		// Answers may come while requests are still being read. Where that is not
		// possible the requests are read first.
		_ = http.NewResponseController(w).EnableFullDuplex()
		go func() {
			if err := c.sendAll(s, r.Body); err != nil {
				cancel(err)
			}
		}()
	} else if err := s.Send(first); err == nil {
		_ = s.CloseSend() // never fails
	}
	if !c.method.ServerStreaming() {
		return c.only(ctx, w, s)
	}
	return c.answers(ctx, w, r, s)
}

// sendAll sends the JSON values of a body.
func (c *call) sendAll(s *proxy.Stream, body io.Reader) error {
	in := &limited{r: body}
	dec := json.NewDecoder(in)
	for {
		var value json.RawMessage
		in.left = maxBody
		err := dec.Decode(&value)
		switch {
		case errors.Is(err, io.EOF):
			return s.CloseSend()
		case errors.Is(err, errTooLarge), len(value) > maxBody:
			return &failure{status: http.StatusRequestEntityTooLarge, detail: "a value of the body is larger than 4 MiB"}
		case err != nil:
			return badRequest("the body is not a sequence of JSON values: " + err.Error())
		}
		message, err := c.encode(value)
		if err != nil {
			return err
		}
		if err := s.Send(message); err != nil {
			return nil //nolint:nilerr // the answer says why
		}
	}
}

var errTooLarge = errors.New("too large")

// limited is a reader that gives out left bytes and then errTooLarge.
type limited struct {
	r    io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, errTooLarge
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// only writes the only answer, when the call has ended.
func (c *call) only(ctx context.Context, w http.ResponseWriter, s *proxy.Stream) error {
	answer, err := s.RecvOnly(nil)
	header, _ := s.Header() // its error came with the answer
	copyHeader(w, header)
	if err != nil {
		return blame(ctx, err)
	}
	return c.write(w, answer)
}

// write answers a call that has one answer.
func (c *call) write(w http.ResponseWriter, answer []byte) error {
	out, err := c.decode(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(out, '\n')) // the client is gone
	return nil
}

// blame returns what is wrong with the request, or what was taken away from its sender,
// where that has ended the call, and otherwise how the call has ended.
func blame(ctx context.Context, err error) error {
	if f, ok := errors.AsType[*failure](context.Cause(ctx)); ok {
		return f
	}
	return cmp.Or(proxy.Taken(ctx), err)
}

// answers writes the answers as they come.
func (c *call) answers(ctx context.Context, w http.ResponseWriter, r *http.Request, s *proxy.Stream) error {
	out := &stream{w: w, events: strings.Contains(r.Header.Get("Accept"), "text/event-stream")}
	for {
		answer, err := s.Recv(nil)
		if errors.Is(err, io.EOF) {
			out.begin()
			return nil
		}
		if err == nil {
			answer, err = c.decode(answer)
		}
		if err != nil {
			err = blame(ctx, err)
			if !out.begun {
				return err
			}
			out.fail(c.config.failure(err))
			return nil
		}
		if !out.begun {
			header, _ := s.Header() // its error comes with Recv
			copyHeader(w, header)
		}
		if err := out.write(answer); err != nil {
			return nil //nolint:nilerr // the client is gone
		}
	}
}

// stream writes several answers to one response.
type stream struct {
	w      http.ResponseWriter
	events bool // text/event-stream, else lines of JSON
	begun  bool
}

func (s *stream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	kind := "application/x-ndjson"
	if s.events {
		kind = "text/event-stream"
		s.w.Header().Set("Cache-Control", "no-cache")
	}
	s.w.Header().Set("Content-Type", kind)
}

func (s *stream) write(answer []byte) error {
	s.begin()
	if s.events {
		answer = append([]byte("data: "), answer...)
		answer = append(answer, '\n')
	}
	if _, err := s.w.Write(append(answer, '\n')); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

// fail ends a stream that has begun with an error: its status was sent already.
func (s *stream) fail(f *failure) {
	body := append([]byte(`{"error":`), f.json()...)
	body = append(body, '}')
	if s.events {
		body = append([]byte("event: error\ndata: "), body...)
		body = append(body, '\n')
	}
	_, _ = s.w.Write(append(body, '\n')) // the client is gone
}
