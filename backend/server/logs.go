package server

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/logs"
	"github.com/micro/micro/v3/backend/runtime"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// linesAtOnce and bytesAtOnce bound a message of log lines; one line may have more
// than that many bytes.
const (
	linesAtOnce = 256
	bytesAtOnce = 256 << 10
)

func (r *runtimeAPI) Logs(req *runtimev1.LogsRequest, out grpc.ServerStreamingServer[runtimev1.LogsResponse]) error {
	ctx, cancel := context.WithCancel(out.Context())
	defer cancel()
	c := callerOf(ctx)
	q, err := logQuery(c.namespace, req)
	if err != nil {
		return err
	}
	if _, err := r.deployer.Service(ctx, c.namespace, req.GetName()); err != nil {
		return r.about(ctx, req.GetName(), err)
	}
	if q.Follow {
		if err := out.SendHeader(nil); err != nil {
			return err
		}
	}
	p, err := pageOf(c.namespace, req, &q)
	if err != nil {
		return err
	}
	lines, failed := make(chan logs.Line, linesAtOnce), make(chan error, 1)
	go func() {
		defer close(lines)
		failed <- pour(ctx, logs.Read(ctx, r.runtime, q), lines, p)
	}()
	if err := sendLines(lines, req.GetName(), out.Send); err != nil {
		return err
	}
	if err := <-failed; err != nil {
		return err
	}
	if token := p.next(); token != "" && !q.Follow {
		return out.Send(&runtimev1.LogsResponse{NextPageToken: token})
	}
	return nil
}

// logQuery checks what is asked for.
func logQuery(namespace string, req *runtimev1.LogsRequest) (logs.Query, error) {
	q := logs.Query{
		LogQuery: runtime.LogQuery{
			Namespace: namespace,
			Service:   req.GetName(),
			Instance:  req.GetInstance(),
			Tail:      int(req.GetTail()),
			Follow:    req.GetFollow(),
		},
		Level:    logs.Level(req.GetLevel()),
		Release:  req.GetRelease(),
		Previous: req.GetPrevious(),
	}
	if req.GetSince() != nil {
		q.Since = req.GetSince().AsTime()
	}
	if req.GetUntil() != nil {
		q.Until = req.GetUntil().AsTime()
	}
	for _, s := range req.GetStreams() {
		stream, ok := streamFrom(s)
		if !ok {
			return q, invalid("there is no stream %d", s)
		}
		q.Streams = append(q.Streams, stream)
	}
	switch {
	case q.Tail < 0:
		return q, invalid("the last %d lines", q.Tail)
	case q.Tail > logs.MaxTail:
		return q, invalid("the last %d lines are more than %d; 0 stands for all", q.Tail, logs.MaxTail)
	case runtimev1.LogLevel_name[int32(req.GetLevel())] == "":
		return q, invalid("there is no level %d", req.GetLevel())
	case q.Follow && q.Previous:
		return q, invalid("a run that has ended cannot be followed")
	case q.Follow && !q.Until.IsZero():
		return q, invalid("what is followed has no end")
	}
	if req.GetPattern() != "" {
		var err error
		if q.Match, err = logs.Pattern(req.GetPattern()); err != nil {
			return q, invalid("%v", err)
		}
	}
	return q, nil
}

// pour puts lines into a channel until there are no more or ctx ends.
func pour(ctx context.Context, from func(func(logs.Line, error) bool), to chan<- logs.Line, p *page) error {
	for l, err := range from {
		if errors.Is(err, logs.ErrQuery) {
			return invalid("%v", err)
		}
		if err != nil {
			return err
		}
		p.add(l.Time)
		select {
		case to <- l:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// sendLines sends lines until there are no more: what there is at a time together, so
// that lines that are waited for are sent as they come.
func sendLines(lines <-chan logs.Line, service string, send func(*runtimev1.LogsResponse) error) error {
	for l := range lines {
		rsp, size := &runtimev1.LogsResponse{}, 0
		for more := true; more; {
			rsp.Lines = append(rsp.Lines, logLine(service, l))
			if size += len(l.Text); len(rsp.GetLines()) == linesAtOnce || size >= bytesAtOnce {
				break
			}
			select {
			case l, more = <-lines:
			default:
				more = false
			}
		}
		if err := send(rsp); err != nil {
			return err
		}
	}
	return nil
}

func logLine(service string, l logs.Line) *runtimev1.LogLine {
	text := l.Text
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return &runtimev1.LogLine{
		Time:     timestamppb.New(l.Time),
		Service:  service,
		Instance: l.Instance,
		Release:  l.Release,
		Stream:   logStream(l.Stream),
		Level:    runtimev1.LogLevel(l.Level),
		Text:     text,
	}
}

func logStream(s runtime.Stream) runtimev1.LogStream {
	switch s {
	case runtime.Stdout:
		return runtimev1.LogStream_LOG_STREAM_STDOUT
	case runtime.Stderr:
		return runtimev1.LogStream_LOG_STREAM_STDERR
	case runtime.System:
		return runtimev1.LogStream_LOG_STREAM_SYSTEM
	default:
		return runtimev1.LogStream_LOG_STREAM_UNSPECIFIED
	}
}

func streamFrom(s runtimev1.LogStream) (runtime.Stream, bool) {
	switch s {
	case runtimev1.LogStream_LOG_STREAM_STDOUT:
		return runtime.Stdout, true
	case runtimev1.LogStream_LOG_STREAM_STDERR:
		return runtime.Stderr, true
	case runtimev1.LogStream_LOG_STREAM_SYSTEM:
		return runtime.System, true
	default:
		return 0, false
	}
}
