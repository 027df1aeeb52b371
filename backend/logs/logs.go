// Package logs finds lines in what the instances of services wrote: it recognises the
// level that a line says it has, and selects by that and more. It keeps nothing; the
// lines are the runtime's, whichever that is.
package logs

import (
	"context"
	"errors"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// MaxTail is the largest Tail of a query that selects by more than instance and time.
const MaxTail = 100_000

// MaxDrop is the largest Drop of a query: as many lines as can have one time, since they
// were read at once.
const MaxDrop = 4 * runtime.MaxLine

// ErrQuery is returned for a query that contradicts itself or asks for too much.
var ErrQuery = errors.New("no such query")

// Query selects lines.
type Query struct {
	runtime.LogQuery

	Until   time.Time        // not newer; zero: to the end
	Drop    int              // leaves out the last so many of all that is selected; wants a Tail
	Level   Level            // not below; 0: any, also none
	Release int64            // only of this one; 0: of all
	Streams []runtime.Stream // only of these; empty: of all
	Match   *regexp.Regexp   // found in the text; nil: any
	// Previous selects what each instance wrote in the run before its last.
	Previous bool
}

// Line is a line with its level.
type Line struct {
	runtime.Line

	Level Level // 0: it says nothing
}

// source is what lines are read from.
type source interface {
	Logs(ctx context.Context, q runtime.LogQuery) iter.Seq2[runtime.Line, error]
}

// Read yields the lines that a query selects, in the order of the runtime. An error is
// yielded last: [ErrQuery], or the runtime's.
//
// A query that selects by more than instance and time reads all there is from its
// Since on; with Tail, twice. It needs memory for Tail numbers and no line.
func Read(ctx context.Context, from source, q Query) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		if q.Follow && (q.Previous || q.Drop > 0 || !q.Until.IsZero()) {
			yield(Line{}, ErrQuery)
			return
		}
		r := reader{ctx: ctx, from: from, q: q}
		if err := r.read(yield); err != nil {
			yield(Line{}, err)
		}
	}
}

// reader answers one query.
type reader struct {
	ctx  context.Context //nolint:containedctx // it lives as long as one call of Read
	from source
	q    Query
	runs map[string]*runs // of the instances, for Previous
}

func (r *reader) read(yield func(Line, error) bool) error {
	var begin mark
	left := -1 // of the lines to yield; below 0: all
	if r.selects() {
		if r.q.Tail > MaxTail || r.q.Drop > MaxDrop || r.q.Drop > 0 && r.q.Tail <= 0 {
			return ErrQuery
		}
		if err := r.findRuns(); err != nil {
			return err
		}
		var err error
		var found int
		if begin, found, err = r.findTail(); err != nil {
			return err
		}
		if r.q.Drop > 0 {
			left = max(0, found-r.q.Drop)
		}
		r.q.Tail = 0
	}
	return r.each(r.q.Follow, func(l Line) bool {
		switch {
		case left == 0:
			return false
		case !begin.reached(l.Time):
			return true
		}
		left--
		return yield(l, nil)
	})
}

// selects reports whether the query says more than a runtime knows of.
func (r *reader) selects() bool {
	q := &r.q
	return !q.Until.IsZero() || q.Drop > 0 || q.Level > 0 || q.Release != 0 || len(q.Streams) > 0 || q.Match != nil || q.Previous
}

// each calls do with each line that is selected, until that returns false.
func (r *reader) each(follow bool, do func(Line) bool) error {
	q := r.q.LogQuery
	q.Follow = follow
	var ls levels
	for line, err := range r.from.Logs(r.ctx, q) {
		if err != nil {
			return err
		}
		l := Line{line, ls.of(line)}
		if r.wants(&l) && !do(l) {
			return nil
		}
	}
	return nil
}

func (r *reader) wants(l *Line) bool {
	q := &r.q
	return (q.Until.IsZero() || !l.Time.After(q.Until)) &&
		l.Level >= q.Level &&
		(q.Release == 0 || l.Release == q.Release) &&
		(len(q.Streams) == 0 || slices.Contains(q.Streams, l.Stream)) &&
		(!q.Previous || r.runs[l.Instance].before(l.Time)) &&
		(q.Match == nil || q.Match.MatchString(l.Text))
}

// runs says when the last two runs of an instance began. The one before may have
// begun earlier than what is kept of it.
type runs struct {
	previous, last time.Time
}

// before reports whether a time is in the run before the last.
func (r *runs) before(t time.Time) bool {
	return r != nil && !t.Before(r.previous) && t.Before(r.last)
}

// findRuns finds out when the instances were started.
func (r *reader) findRuns() error {
	if !r.q.Previous {
		return nil
	}
	r.runs = map[string]*runs{}
	q := r.q.LogQuery
	q.Since, q.Tail = time.Time{}, 0
	for line, err := range r.from.Logs(r.ctx, q) {
		if err != nil {
			return err
		}
		if line.Stream != runtime.System || !strings.HasPrefix(line.Text, runtime.Started) {
			continue
		}
		in := r.runs[line.Instance]
		if in == nil {
			in = &runs{}
			r.runs[line.Instance] = in
		}
		in.previous, in.last = in.last, line.Time
	}
	return nil
}

// findTail returns where the last lines begin that are selected, with those that are
// dropped, and how many there are.
func (r *reader) findTail() (begin mark, found int, err error) {
	if r.q.Tail <= 0 {
		return mark{}, 0, nil
	}
	n := r.q.Tail + r.q.Drop
	r.q.Tail = 0
	// The times of the last n lines: the first of them is at next when there are n.
	var times []int64
	next, ties := 0, 0 // ties: how many lines before the first have its time
	err = r.each(false, func(l Line) bool {
		t := l.Time.UnixNano()
		if len(times) < n {
			times = append(times, t)
			return true
		}
		gone := times[next]
		times[next] = t
		if next = (next + 1) % n; times[next] == gone {
			ties++
		} else {
			ties = 0
		}
		return true
	})
	if err != nil || len(times) < n {
		return mark{}, len(times), err
	}
	return mark{time.Unix(0, times[next]), ties}, n, nil
}

// mark is a place among lines: behind so many with its time. The zero mark is before
// all of them.
type mark struct {
	time time.Time
	skip int
}

// reached reports whether a line is behind the mark, when it is asked for one after
// the other. Rotation may have taken those at the mark; and a clock may go back behind
// it, which does not matter any more.
func (m *mark) reached(t time.Time) bool {
	switch {
	case m.time.IsZero():
		return true
	case t.Before(m.time):
		return false
	case t.Equal(m.time) && m.skip > 0:
		m.skip--
		return false
	}
	m.time = time.Time{}
	return true
}
