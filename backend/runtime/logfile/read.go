package logfile

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// errEnough says that the consumer has ended its loop.
var errEnough = errors.New("enough")

// Read yields what a query asks for, as [runtime.Runtime] says of Logs. One that
// follows ends with [runtime.ErrClosed] when closed is closed, after what was
// written until then.
func (ls *Logs) Read(ctx context.Context, q runtime.LogQuery, closed <-chan struct{}) iter.Seq2[runtime.Line, error] {
	return func(yield func(runtime.Line, error) bool) {
		err := ls.each(ctx, q, closed, func(line runtime.Line) bool { return yield(line, nil) })
		if err != nil && !errors.Is(err, errEnough) {
			yield(runtime.Line{}, err)
		}
	}
}

func (ls *Logs) each(ctx context.Context, q runtime.LogQuery, closed <-chan struct{}, yield func(runtime.Line) bool) error {
	select {
	case <-closed:
		return runtime.ErrClosed
	default:
	}
	service := Service{q.Namespace, q.Service}
	ls.subscribe(service)
	defer ls.unsubscribe(service)

	found, changed := ls.look(service, q.Instance)
	cursors, err := begin(found, q)
	if err != nil {
		return err
	}
	for ended := false; ; {
		if err := merge(ctx, cursors, q.Since, yield); err != nil {
			return err
		}
		if ended {
			return runtime.ErrClosed
		}
		if !q.Follow {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-closed:
			ended = true
		}
		found, changed = ls.look(service, q.Instance)
		cursors = advance(cursors, found)
	}
}

// begin returns cursors of logs, each from where the query begins to what there
// is now.
func begin(found []*Log, q runtime.LogQuery) ([]*cursor, error) {
	cursors := make([]*cursor, len(found))
	for i, l := range found {
		first, end := l.ends()
		c := &cursor{log: l, next: l.notBefore(q.Since, first, end), end: end}
		if c.next != first { // what is gone is older than what is asked for
			c.number = -1
		}
		cursors[i] = c
	}
	if q.Tail <= 0 {
		return cursors, nil
	}
	if err := tail(cursors, q.Tail, q.Since); err != nil {
		return nil, err
	}
	for _, c := range cursors {
		c.number = -1
		if !q.Follow {
			continue
		}
		first, _ := c.log.ends()
		n, err := c.log.numberAt(c.next, first.segment)
		if err == nil {
			c.number = n
		} else if !errors.Is(err, fs.ErrNotExist) { // else rotation has taken it
			return nil, err
		}
	}
	return cursors, nil
}

// notBefore returns a position in front of all records that are not older than
// since, not far from the first of them.
func (l *Log) notBefore(since time.Time, first, end position) position {
	// A file's time may be taken from a coarser clock than its records'.
	const slack = time.Second
	for !since.IsZero() && first.segment < end.segment {
		info, err := os.Stat(l.path(first.segment))
		if err == nil && !info.ModTime().Add(slack).Before(since) {
			break
		}
		first.segment++
	}
	return first
}

// tail moves cursors to the last n records of all of them together. It reads
// these n backward and keeps none, so its need of memory does not grow with n.
func tail(cursors []*cursor, n int, since time.Time) error {
	var h latestFirst
	for _, c := range cursors {
		c.next = c.end
		b := &backCursor{cursor: c, at: c.end}
		found, err := b.read()
		if err != nil {
			return err
		}
		if found && !b.time.Before(since) {
			h = append(h, b)
		}
	}
	heap.Init(&h)
	for ; n > 0 && len(h) > 0; n-- {
		b := h[0]
		b.next = b.at
		found, err := b.read()
		if err != nil {
			return err
		}
		if found && !b.time.Before(since) {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return nil
}

// advance returns cursors of logs up to what there is now: those that there were
// go on, those of new logs begin.
func advance(cursors []*cursor, found []*Log) []*cursor {
	known := make(map[*Log]*cursor, len(cursors))
	for _, c := range cursors {
		known[c.log] = c
	}
	next := make([]*cursor, len(found))
	for i, l := range found {
		c := known[l]
		if c == nil {
			c = &cursor{log: l}
		}
		_, c.end = l.ends()
		next[i] = c
	}
	return next
}

// merge yields what cursors have up to their ends, in the order of time.
func merge(ctx context.Context, cursors []*cursor, since time.Time, yield func(runtime.Line) bool) error {
	var h earliestFirst
	for _, c := range cursors {
		found, err := c.read()
		if err != nil {
			return err
		}
		if found {
			h = append(h, c)
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := h[0]
		if !c.line.Time.Before(since) && !yield(c.line) {
			return errEnough
		}
		found, err := c.read()
		if err != nil {
			return err
		}
		if found {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return nil
}

// earliestFirst is a heap of cursors by the times of their lines.
type earliestFirst []*cursor

func (h earliestFirst) Len() int { return len(h) }

func (h earliestFirst) Less(i, j int) bool {
	return cmp.Or(h[i].line.Time.Compare(h[j].line.Time), cmp.Compare(h[i].log.id, h[j].log.id)) < 0
}

func (h earliestFirst) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *earliestFirst) Push(x any) { *h = append(*h, x.(*cursor)) }

func (h *earliestFirst) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	*h = (*h)[:last]
	return c
}

// latestFirst is a heap of cursors that read backward, in the order that is
// earliestFirst's in reverse.
type latestFirst []*backCursor

func (h latestFirst) Len() int { return len(h) }

func (h latestFirst) Less(i, j int) bool {
	return cmp.Or(h[j].time.Compare(h[i].time), cmp.Compare(h[j].log.id, h[i].log.id)) < 0
}

func (h latestFirst) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *latestFirst) Push(x any) { *h = append(*h, x.(*backCursor)) }

func (h *latestFirst) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	*h = (*h)[:last]
	return b
}
