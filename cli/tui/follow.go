package tui

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/micro/micro/v3/internal/fault"
)

// Output takes what a command writes while it is followed. Its methods are safe for
// concurrent use; they block while more waits to be shown than a person could see, and do
// nothing after the end.
type Output struct {
	ctx     context.Context //nolint:containedctx // it is the life of what waits
	now     func() time.Time
	waiting chan tea.Msg
	once    sync.Once
	begun   chan struct{}

	mu    sync.RWMutex
	ended bool // waiting is closed
}

// Begin takes the terminal. Whoever writes does that as well; a command that fails before
// leaves the terminal alone.
func (o *Output) Begin() { o.once.Do(func() { close(o.begun) }) }

// Line adds a line, which may have colours, and when it was written.
func (o *Output) Line(text string, at time.Time) { o.send(outputLine{text, at}) }

// Write adds whole lines that are written now.
func (o *Output) Write(p []byte) (int, error) {
	for l := range strings.Lines(string(p)) {
		o.Line(strings.TrimRight(l, "\r\n"), o.now())
	}
	return len(p), nil
}

// Show says above the lines how a part of the work does, in the place of what was said of
// it before.
func (o *Output) Show(p Part) { o.send(p) }

func (o *Output) send(msg tea.Msg) {
	o.Begin()
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.ended {
		return
	}
	select {
	case o.waiting <- msg:
	case <-o.ctx.Done():
	}
}

// end takes no more.
func (o *Output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	close(o.waiting)
}

// outputLine is a line of a command's output.
type outputLine struct {
	text string
	at   time.Time
}

// workedMsg says that the command is done.
type workedMsg struct{}

// Follow runs a command and shows what it writes on the whole terminal, until the command
// is done or somebody quits, which ends the context of the command. Then the terminal is
// what it was, with the lines that are kept written to it. It returns the error of the
// command, [ErrInterrupted] when somebody pressed Ctrl-C, or a [fault.Fault] of what the
// command began in guarded goroutines, which may not all have ended then.
func Follow(ctx context.Context, c Config, title string, work func(context.Context, *Output) error) error {
	ctx, watch := fault.NewWatch(ctx)
	defer watch.End()
	o := &Output{ctx: ctx, now: c.Now, waiting: make(chan tea.Msg, maxWaiting), begun: make(chan struct{})}
	returned, worked := make(chan error, 1), make(chan error, 1)
	fault.Go(ctx, func() { returned <- work(ctx, o) })
	go func() {
		select {
		case err := <-returned:
			if fault := watch.Err(); fault != nil {
				err = fault // which may be why it returned
			}
			worked <- err
		case <-watch.Seen():
			worked <- watch.Err()
		}
	}()
	select {
	case err := <-worked:
		select {
		case <-o.begun: // it wrote something, and was done at once
			worked <- err
		default:
			return err
		}
	case <-o.begun:
	}
	m := newFollowModel(&c, title)
	p := newProgram(ctx, m)
	var late lateOutput
	done := make(chan error, 1)
	go func() {
		handed := make(chan struct{})
		fault.Go(ctx, func() {
			defer close(handed)
			handOverAll(outputFeed, o.waiting, func(msg tea.Msg) { late.send(m, msg, p.Send) })
		})
		err := <-worked
		o.end()
		<-handed
		p.Send(workedMsg{})
		done <- err
	}()
	err := programError(ctx, run(p, c.Out))
	watch.End()
	workErr := <-done
	for _, msg := range late.pending {
		m.update(msg)
	}
	m.output().leave(c.Out)
	if fault := watch.Err(); fault != nil {
		return fault
	}
	if err == nil && m.worked {
		return workErr
	}
	return err
}

// lateOutput is what was sent to a program and has not come there: a program that ends
// takes nothing any more.
type lateOutput struct {
	pending []tea.Msg
	sent    int64
}

func (l *lateOutput) send(m *Model, msg tea.Msg, send func(tea.Msg)) {
	l.pending, l.sent = append(l.pending, msg), l.sent+1
	send(msg)
	l.pending = l.pending[max(0, int64(len(l.pending))-(l.sent-m.handed.Load())):]
}

// outputFeed is the id of the only feed of a program that follows a command.
const outputFeed = 1

// newFollowModel returns the model of a program that has one screen, and no server.
func newFollowModel(c *Config, title string) *Model {
	m := newModel(c)
	s := &outputScreen{name: title, lines: newLines(keptLines, "nothing was written yet")}
	s.lines.wrap, s.lines.times = true, c.Times
	m.alone, m.reading, m.stack = true, false, []screen{s}
	m.keys = followKeys(m.keys)
	m.sources[outputFeed] = &source{owner: s, name: "output", stop: make(chan struct{}), last: c.Now()}
	return m
}

// followKeys returns the keys of a program that has nowhere to go.
func followKeys(all []KeyGroup) []KeyGroup {
	var keys []KeyGroup
	for _, g := range all {
		if !g.travels && g.here(placeLogs) {
			keys = append(keys, g)
		}
	}
	return keys
}

// output is the screen of a program that follows a command.
func (m *Model) output() *outputScreen {
	s, _ := m.stack[0].(*outputScreen)
	return s
}

// workDone ends the program, unless somebody reads what is there.
func (m *Model) workDone() tea.Cmd {
	m.worked = true
	s := m.output()
	if s.lines.paused || m.prompt != nil || m.help {
		s.ended = "the command has ended; q quits"
		return nil
	}
	return tea.Quit
}

// outputScreen is what a command writes, below how the parts of its work do.
type outputScreen struct {
	name  string
	lines lines
	parts []Part
	ended string
}

func (s *outputScreen) place() string      { return placeLogs }
func (s *outputScreen) title() string      { return s.name }
func (s *outputScreen) feeds() []feed      { return nil }
func (s *outputScreen) setFilter(f filter) { s.lines.setFilter(f) }
func (s *outputScreen) filtered() filter   { return s.lines.filter }
func (s *outputScreen) selection() string  { return s.lines.selection() }

func (s *outputScreen) receive(m *Model, msg tea.Msg) {
	switch msg := msg.(type) {
	case outputLine:
		s.lines.add(line{text: m.config.Colored(tabs(msg.text)), time: msg.at.In(m.config.Now().Location()).Format(outputTime)})
	case Part:
		s.show(m, msg)
	}
}

// outputTime is how times are written before lines, here and by micro logs.
const outputTime = "2006-01-02 15:04:05.000"

func (s *outputScreen) act(_ *Model, a action) tea.Cmd {
	s.lines.act(a)
	return nil
}

func (s *outputScreen) view(m *Model, width, height int) []string {
	lines := s.partsView(m, width, height/2)
	return append(lines, s.lines.followed(m.palette, width, height-len(lines), s.ended)...)
}

// leave writes the lines that are kept, for whoever scrolls back in the terminal.
func (s *outputScreen) leave(w io.Writer) {
	var b strings.Builder
	if l := &s.lines; l.first > 0 {
		fmt.Fprintf(&b, "(%d lines before these are not kept here)\n", l.first)
	}
	for seq := s.lines.first; seq < s.lines.next; seq++ {
		n := s.lines.at(seq)
		if s.lines.times {
			b.WriteString(n.time + " ")
		}
		b.WriteString(n.text + "\n")
	}
	_, _ = io.WriteString(w, b.String()) // there is nobody else to tell
}
