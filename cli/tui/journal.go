package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// tailScreen is what comes one after the other, and is followed: what a server did with a
// service, or the events of a topic.
type tailScreen struct {
	name  string
	feed  feed
	lines lines
	// add makes lines of what the feed handed over.
	add func(m *Model, l *lines, msg tea.Msg)
}

func (s *tailScreen) place() string      { return placeLogs }
func (s *tailScreen) title() string      { return s.name }
func (s *tailScreen) feeds() []feed      { return []feed{s.feed} }
func (s *tailScreen) setFilter(f filter) { s.lines.setFilter(f) }
func (s *tailScreen) filtered() filter   { return s.lines.filter }
func (s *tailScreen) selection() string  { return s.lines.selection() }

func (s *tailScreen) receive(m *Model, msg tea.Msg) {
	if msg != nil {
		s.add(m, &s.lines, msg)
	}
}

func (s *tailScreen) act(_ *Model, a action) tea.Cmd {
	s.lines.act(a)
	return nil
}

func (s *tailScreen) view(m *Model, width, height int) []string {
	return s.lines.followed(m.palette, width, height, "")
}

// newJournalScreen shows what the server did with a service, and why.
func newJournalScreen(service string) *tailScreen {
	var last int64 // of the entries that were handed over
	s := &tailScreen{name: "journal of " + service, lines: newLines(keptLines, "nothing was done yet")}
	s.lines.times = true
	s.feed = feed{name: "journal of " + service, run: func(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error {
		stream, err := runtimev1.NewRuntimeClient(conn).Journal(ctx, &runtimev1.JournalRequest{Name: service, Follow: true})
		return each(stream, err, func(rsp *runtimev1.JournalResponse) {
			for _, e := range rsp.GetEntries() {
				if e.GetNumber() > last { // it may be read anew
					last = e.GetNumber()
					emit(e)
				}
			}
		})
	}}
	s.add = func(m *Model, l *lines, msg tea.Msg) {
		e, _ := msg.(*runtimev1.Entry)
		n := line{text: m.config.Line(e.GetText()), time: e.GetTime().AsTime().In(m.config.Now().Location()).Format("2006-01-02 15:04:05")}
		if e.GetInstance() != "" {
			n.prefix = m.config.Line("[" + e.GetInstance() + "] ")
		}
		switch e.GetKind() {
		case "crashed", "unhealthy", "failed":
			n.tone = bad
		case "healthy", "serving":
			n.tone = good
		}
		l.add(n)
	}
	return s
}
