package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/front/unary"
	"github.com/micro/micro/v3/dynamic/wire"
)

// observer tells on standard error how a call goes: what -v is for. It watches those
// calls whose context says so, one after the other.
type observer struct {
	w io.Writer

	mu                sync.Mutex // of all below, and of w while a call is under way
	dialed, connected time.Time  // when the first call was made, and had a connection
	begin, first      time.Time
	out, in           payloads
	unknown           []wire.UnknownField
}

// payloads counts the messages that went one way.
type payloads struct {
	messages     int
	bytes, wired int // of the messages, and of what they were compressed to
	compressed   bool
}

type observedKey struct{}

// observed makes a call one that the observer watches.
func observed(ctx context.Context) context.Context {
	return context.WithValue(ctx, observedKey{}, true)
}

// TagRPC is told of each call.
func (o *observer) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dialed.IsZero() {
		o.dialed = time.Now()
	}
	return ctx
}

// TagConn is told of each connection.
func (o *observer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn is told what happens to a connection.
func (o *observer) HandleConn(_ context.Context, s stats.ConnStats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := s.(*stats.ConnBegin); ok && o.connected.IsZero() {
		o.connected = time.Now()
	}
}

// HandleRPC is told what happens in a call, by several goroutines.
func (o *observer) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if ctx.Value(observedKey{}) == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch s := s.(type) {
	case *stats.Begin:
		o.begin, o.first = s.BeginTime, time.Time{}
		o.out, o.in, o.unknown = payloads{}, payloads{}, nil
	case *stats.OutHeader:
		how := ""
		if s.Compression != "" {
			how = ", " + s.Compression
		}
		fmt.Fprintf(o.w, "request %s to %s%s\n", front.Line(s.FullMethod), s.RemoteAddr, how)
		o.metadata("metadata", s.Header)
	case *stats.OutPayload:
		o.out.add(s.Length, s.CompressedLength)
	case *stats.InHeader:
		if o.first.IsZero() {
			o.first = time.Now()
		}
	case *stats.InPayload:
		o.in.add(s.Length, s.CompressedLength)
	}
}

func (p *payloads) add(length, compressed int) {
	p.messages++
	p.bytes += length
	p.wired += compressed
	p.compressed = p.compressed || compressed != length
}

func (p payloads) String() string {
	s := fmt.Sprintf("%d messages", p.messages)
	if p.messages == 1 {
		s = "1 message"
	}
	s += fmt.Sprintf(" of %d bytes", p.bytes)
	if p.compressed {
		s += fmt.Sprintf(" (%d compressed)", p.wired)
	}
	return s
}

// note tells of fields that an answer has and its schema has not, each once.
func (o *observer) note(m wire.Message, data []byte) {
	found := m.UnknownFields(data)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range found {
		same := func(u wire.UnknownField) bool { return u.Message == f.Message && u.Number == f.Number }
		if len(o.unknown) == maxNoted || slices.ContainsFunc(o.unknown, same) {
			continue
		}
		o.unknown = append(o.unknown, f)
		at := ""
		if f.Path != "" {
			at = " at " + front.Line(f.Path)
		}
		fmt.Fprintf(o.w, "unknown field %d of %s%s: the schema does not have it, and only -o raw prints it\n", f.Number, f.Message, at)
	}
}

// maxNoted bounds how many unknown fields are told of.
const maxNoted = 100

// metadata writes metadata in a stable order.
func (o *observer) metadata(what string, md metadata.MD) {
	for _, k := range slices.Sorted(maps.Keys(md)) {
		for _, v := range md[k] {
			switch {
			case front.IsSecret(k):
				v = masked(v)
			case strings.HasSuffix(k, "-bin"):
				v = base64.StdEncoding.EncodeToString([]byte(v))
			}
			fmt.Fprintf(o.w, "%s %s: %s\n", what, front.Line(k), front.Line(v))
		}
	}
}

// header tells what came before the answers.
func (o *observer) header(md metadata.MD) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.metadata("header", md)
}

// end tells what came after the answers, and what the call took.
func (o *observer) end(trailer metadata.MD, st *status.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.metadata("trailer", trailer)
	fmt.Fprintf(o.w, "status %d %s\n", st.Code(), unary.CodeName(int(st.Code())))
	fmt.Fprintf(o.w, "sent %s, received %s\n", o.out, o.in)
	fmt.Fprintf(o.w, "time: connected in %s, first byte after %s, total %s\n", since(o.dialed, o.connected), since(o.begin, o.first), since(o.begin, time.Now()))
}

// retry tells that a call is made again.
func (o *observer) retry(reason string, delay time.Duration, try, of int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.w, "retry %d of %d in %s: %s\n", try, of, delay.Round(time.Millisecond), front.Line(reason))
}

// since returns how long something took, "never" when it did not happen.
func since(begin, end time.Time) string {
	if end.IsZero() {
		return "never"
	}
	return end.Sub(begin).Round(10 * time.Microsecond).String()
}

// masked hides a secret, but not of what kind it is.
func masked(v string) string {
	if scheme, _, ok := strings.Cut(v, " "); ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Basic")) {
		return scheme + " ***"
	}
	return "***"
}
