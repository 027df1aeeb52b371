// Package resume knows where a reader is in the lines of a service.
//
// The server keeps no place for who follows. A stream that begins anew asks for the
// lines since a little before the last one, and leaves out those that are known: the
// lines of one instance always come in the same order.
package resume

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// Place is where a reader is in the lines of one service. It is not safe for concurrent
// use.
type Place struct {
	since *timestamppb.Timestamp // of the lines that are not known; nil: from the start
	first time.Time              // lines before are not wanted; zero: all are
	known map[string]*lastLine
	seen  map[string]*repeated // what the stream repeats of each instance
}

// lastLine is the last line of an instance that is known: so many are known that have its
// time.
type lastLine struct {
	time  time.Time
	count int
	all   bool // of that time, all are known
}

// overlap is how much later than another one, of any instance, a line may be read that
// is older.
const overlap = 10 * time.Second

// At returns the place of a reader who wants the lines since a time, or all of them.
func At(since *timestamppb.Timestamp) *Place {
	return &Place{since: since, known: map[string]*lastLine{}}
}

// Since returns from when on a stream should have the lines, nil for all of them.
func (p *Place) Since() *timestamppb.Timestamp { return p.since }

// Keep notes that a line is known.
func (p *Place) Keep(l *runtimev1.LogLine) {
	t := l.GetTime().AsTime()
	last := p.known[l.GetInstance()]
	switch {
	case last == nil || !last.time.Equal(t):
		p.known[l.GetInstance()] = &lastLine{time: t, count: 1}
	default:
		last.count++
	}
	if since := t.Add(-overlap); p.since == nil || p.since.AsTime().Before(since) {
		p.since = timestamppb.New(since)
	}
}

// From says that of the lines that there are, those before the first are not wanted.
func (p *Place) From(first *timestamppb.Timestamp) {
	p.first = first.AsTime()
	if p.since == nil || p.since.AsTime().Before(p.first) {
		p.since = first
	}
}

// Begin says that a stream since the place begins.
func (p *Place) Begin() {
	p.seen = map[string]*repeated{}
	for id, last := range p.known {
		if p.since != nil && last.time.Before(p.since.AsTime()) {
			delete(p.known, id) // it is not asked for again
			continue
		}
		last.all = last.all || last.time.Equal(p.first)
		p.seen[id] = &repeated{lastLine: *last}
	}
}

// Fresh returns those of the stream's next lines that are not known, in a new slice, and
// notes that they are.
func (p *Place) Fresh(lines []*runtimev1.LogLine) []*runtimev1.LogLine {
	var fresh []*runtimev1.LogLine
	for _, l := range lines {
		if p.seen[l.GetInstance()].has(l.GetTime().AsTime()) {
			continue
		}
		p.Keep(l)
		fresh = append(fresh, l)
	}
	return fresh
}

// repeated is what a stream repeats of an instance: up to a line.
type repeated struct {
	lastLine

	past bool // it is behind
}

// has reports whether the next line of the instance, with its time, is a repeated one.
func (r *repeated) has(t time.Time) bool {
	switch {
	case r == nil || r.past:
		return false
	case t.Before(r.time):
		return true
	case t.Equal(r.time) && (r.all || r.count > 0):
		r.count--
		return true
	}
	r.past = true
	return false
}
