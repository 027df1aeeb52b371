package server

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/logs"
	"github.com/micro/micro/v3/backend/runtime"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// written is what a runtime has of one service.
type written []runtime.Line

func (w written) Logs(_ context.Context, q runtime.LogQuery) iter.Seq2[runtime.Line, error] {
	return func(yield func(runtime.Line, error) bool) {
		from := 0
		if q.Tail > 0 {
			from = max(0, len(w)-q.Tail)
		}
		for _, l := range w[from:] {
			if !l.Time.Before(q.Since) && !yield(l, nil) {
				return
			}
		}
	}
}

// pagesOf reads all pages of a request, the newest first, and returns their lines in the
// order of the log.
func pagesOf(t *testing.T, from written, req *runtimev1.LogsRequest) (lines []string, pages int) {
	t.Helper()
	req = proto.CloneOf(req)
	for {
		q, err := logQuery("acme", req)
		if err != nil {
			t.Fatal(err)
		}
		p, err := pageOf("acme", req, &q)
		if err != nil {
			t.Fatal(err)
		}
		var page []string
		for l, err := range logs.Read(t.Context(), from, q) {
			if err != nil {
				t.Fatal(err)
			}
			p.add(l.Time)
			page = append(page, l.Text)
		}
		if len(page) > int(req.GetTail()) {
			t.Fatalf("a page of %d lines has %d", req.GetTail(), len(page))
		}
		lines, pages = slices.Concat(page, lines), pages+1
		if req.PageToken = p.next(); req.GetPageToken() == "" {
			return lines, pages
		}
		// What is written meanwhile is on no page of the past.
		last := from[len(from)-1].Time
		from = append(slices.Clone(from), runtime.Line{Time: last.Add(time.Second), Stream: runtime.Stdout, Text: "later"})
	}
}

// TestPages pages backward through lines of which many have one time, as those that are
// read at once have: each is there once.
func TestPages(t *testing.T) {
	t.Parallel()
	var all written
	begin := time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)
	for i, same := range []int{1, 3, 1, 40, 2, 2, 7, 1, 1, 30, 1} {
		for j := range same {
			l := runtime.Line{Time: begin.Add(time.Duration(i) * time.Second), Stream: runtime.Stdout, Text: fmt.Sprintf("line %d.%d", i, j)}
			if j%3 == 2 {
				l.Stream = runtime.Stderr
			}
			all = append(all, l)
		}
	}
	for name, req := range map[string]*runtimev1.LogsRequest{
		"all":        {Name: "a"},
		"one stream": {Name: "a", Streams: []runtimev1.LogStream{runtimev1.LogStream_LOG_STREAM_STDERR}},
		"pattern":    {Name: "a", Pattern: `\.[0-5]$`},
		"times":      {Name: "a", Since: timestamppb.New(begin.Add(time.Second)), Until: timestamppb.New(begin.Add(8 * time.Second))},
	} {
		q, err := logQuery("acme", req)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for l, err := range logs.Read(t.Context(), all, q) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, l.Text)
		}
		for n := 1; n <= len(all)+1; n++ {
			req.Tail = int32(n)
			got, pages := pagesOf(t, all, req)
			if !slices.Equal(got, want) {
				t.Fatalf("%s, %d at a time: got %q, want %q", name, n, got, want)
			}
			if least := (len(want) + n - 1) / n; pages < least || pages > least+1 {
				t.Errorf("%s, %d at a time: %d pages", name, n, pages)
			}
		}
	}
}

// TestPageTokens refuses tokens of other requests and what is none.
func TestPageTokens(t *testing.T) {
	t.Parallel()
	req := &runtimev1.LogsRequest{Name: "a", Tail: 1}
	p, err := pageOf("acme", req, &logs.Query{LogQuery: runtime.LogQuery{Tail: 1}})
	if err != nil {
		t.Fatal(err)
	}
	p.add(time.Unix(1, 0))
	token := p.next()
	try := func(ns string, req *runtimev1.LogsRequest, token string) error {
		req.PageToken = token
		q, err := logQuery(ns, req)
		if err == nil {
			_, err = pageOf(ns, req, &q)
		}
		return err
	}
	if err := try("acme", &runtimev1.LogsRequest{Name: "a", Tail: 7}, token); err != nil {
		t.Errorf("with pages of another size: %v", err)
	}
	for name, err := range map[string]error{
		"another namespace": try("globex", &runtimev1.LogsRequest{Name: "a", Tail: 1}, token),
		"another service":   try("acme", &runtimev1.LogsRequest{Name: "b", Tail: 1}, token),
		"another pattern":   try("acme", &runtimev1.LogsRequest{Name: "a", Tail: 1, Pattern: "x"}, token),
		"follow":            try("acme", &runtimev1.LogsRequest{Name: "a", Tail: 1, Follow: true}, token),
		"no tail":           try("acme", &runtimev1.LogsRequest{Name: "a"}, token),
		"no token":          try("acme", &runtimev1.LogsRequest{Name: "a", Tail: 1}, "x"),
		"a negative number": try("acme", &runtimev1.LogsRequest{Name: "a", Tail: 1}, p.list.After("1 -1")),
		"no number":         try("acme", &runtimev1.LogsRequest{Name: "a", Tail: 1}, p.list.After("now")),
	} {
		if err == nil {
			t.Errorf("%s: the token is taken", name)
		}
	}
}
