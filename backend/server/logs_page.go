package server

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/backend/logs"
	"github.com/micro/micro/v3/internal/pagetoken"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// page is where lines are that were sent. The lines before are those that are not newer
// than its first one, without as many as it has with the same time: lines that were read
// at once have.
type page struct {
	list pagetoken.List
	size int // of a whole page

	lines int // so far
	first time.Time
	same  int // lines with the time of the first, on the pages behind too
	// What the page before ended with.
	after     time.Time
	afterSame int
}

// pageOf returns the page that a request asks for, and has q select it.
func pageOf(namespace string, req *runtimev1.LogsRequest, q *logs.Query) (*page, error) {
	same := proto.CloneOf(req)
	same.Tail, same.PageToken = 0, ""
	what, err := proto.MarshalOptions{Deterministic: true}.Marshal(same)
	if err != nil {
		return nil, err
	}
	p := &page{list: pagetoken.Of("logs", namespace, string(what)), size: q.Tail}
	if req.GetPageToken() == "" {
		return p, nil
	}
	last, ok := p.list.Parse(req.GetPageToken())
	var nanos int64
	if ok {
		_, err = fmt.Sscanf(last, "%d %d", &nanos, &q.Drop)
	}
	switch {
	case !ok || err != nil || q.Drop <= 0 || q.Drop > logs.MaxDrop:
		return nil, invalid("the page token is none, or of another request")
	case q.Follow:
		return nil, invalid("older lines cannot be followed")
	case q.Tail == 0:
		return nil, invalid("a page token wants tail: how many lines a page has")
	}
	p.after, p.afterSame = time.Unix(0, nanos), q.Drop
	if q.Until.IsZero() || p.after.Before(q.Until) {
		q.Until = p.after
	}
	return p, nil
}

// add takes notice of the next line that is sent.
func (p *page) add(t time.Time) {
	if p.lines++; p.lines == 1 {
		p.first = t
	}
	if t.Equal(p.first) {
		p.same++
	}
}

// next returns the token of the page before, empty when there is none.
func (p *page) next() string {
	if p.size == 0 || p.lines < p.size {
		return ""
	}
	same := p.same
	if p.first.Equal(p.after) {
		same += p.afterSame
	}
	return p.list.After(fmt.Sprintf("%d %d", p.first.UnixNano(), same))
}
