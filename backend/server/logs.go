package server

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/runtime"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// linesAtOnce bounds a message of log lines.
const linesAtOnce = 256

func (r *runtimeAPI) Logs(req *runtimev1.LogsRequest, out grpc.ServerStreamingServer[runtimev1.LogsResponse]) error {
	ctx := out.Context()
	c := callerOf(ctx)
	if req.GetTail() < 0 {
		return invalid("the last %d lines", req.GetTail())
	}
	if _, err := r.deployer.Service(ctx, c.namespace, req.GetName()); err != nil {
		return r.about(ctx, req.GetName(), err)
	}
	q := runtime.LogQuery{
		Namespace: c.namespace,
		Service:   req.GetName(),
		Instance:  req.GetInstance(),
		Tail:      int(req.GetTail()),
		Follow:    req.GetFollow(),
	}
	if req.GetSince() != nil {
		q.Since = req.GetSince().AsTime()
	}
	batch := &runtimev1.LogsResponse{}
	flush := func() error {
		if len(batch.GetLines()) == 0 {
			return nil
		}
		err := out.Send(batch)
		batch = &runtimev1.LogsResponse{}
		return err
	}
	for l, err := range r.runtime.Logs(ctx, q) {
		if err != nil {
			return err
		}
		batch.Lines = append(batch.Lines, logLine(l))
		// Lines that are waited for are sent as they come.
		if q.Follow || len(batch.GetLines()) == linesAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func logLine(l runtime.Line) *runtimev1.LogLine {
	text := l.Text
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return &runtimev1.LogLine{
		Time:     timestamppb.New(l.Time),
		Instance: l.Instance,
		Release:  l.Release,
		Stream:   logStream(l.Stream),
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
