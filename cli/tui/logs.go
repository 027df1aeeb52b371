package tui

import (
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/cli/resume"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// logsScreen is what one or several services write.
type logsScreen struct {
	names    []string
	instance string                 // empty: all
	before   *timestamppb.Timestamp // only what was written before, when set
	lines    lines
	wrote    map[string]bool
}

// taggedLines are lines of a service's log.
type taggedLines struct {
	service string
	lines   []*runtimev1.LogLine
}

// tail is how many of the lines that are there are shown at first.
const tail = 1000

func newLogsScreen(names []string, instance string, before *timestamppb.Timestamp) *logsScreen {
	return &logsScreen{
		names: names, instance: instance, before: before,
		lines: newLines(keptLines, "nothing was written yet"), wrote: map[string]bool{},
	}
}

func (s *logsScreen) place() string { return placeLogs }

func (s *logsScreen) title() string {
	title := "logs"
	if s.before != nil {
		title = "previous logs"
	}
	title += " of " + strings.Join(s.names, ", ")
	if s.instance != "" {
		title += " (" + s.instance + ")"
	}
	return title
}

func (s *logsScreen) feeds() []feed {
	var all []feed
	for _, name := range s.names {
		all = append(all, s.feed(name))
	}
	return all
}

// feed reads the log of a service. When it is read anew, because the server was away, it
// goes on behind what came last.
func (s *logsScreen) feed(name string) feed {
	req := &runtimev1.LogsRequest{Name: name, Instance: s.instance, Tail: tail, Follow: s.before == nil}
	if s.before != nil {
		req.Tail = keptLines
	}
	place, came := resume.At(nil), 0
	var first *timestamppb.Timestamp
	return feed{name: "logs of " + name, run: func(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error {
		if req.Since = place.Since(); req.Since != nil {
			req.Tail = 0
		}
		place.Begin()
		stream, err := runtimev1.NewRuntimeClient(conn).Logs(ctx, req)
		return each(stream, err, func(rsp *runtimev1.LogsResponse) {
			fresh := place.Fresh(rsp.GetLines())
			if len(fresh) == 0 {
				return
			}
			if first == nil {
				first = fresh[0].GetTime()
			}
			if came += len(fresh); came >= tail { // else there were none before
				place.From(first)
			}
			emit(taggedLines{name, fresh})
		})
	}}
}

func (s *logsScreen) receive(m *Model, msg tea.Msg) {
	tagged, ok := msg.(taggedLines)
	if !ok {
		return
	}
	for _, l := range tagged.lines {
		at := l.GetTime().AsTime()
		if s.before != nil && !at.Before(s.before.AsTime()) {
			continue
		}
		s.wrote[l.GetInstance()] = true
		n := line{text: m.config.Colored(tabs(l.GetText())), time: at.In(m.config.Now().Location()).Format("15:04:05.000")}
		if l.GetStream() == runtimev1.LogStream_LOG_STREAM_SYSTEM {
			n.text, n.tone = "-- "+m.config.Line(l.GetText()), dim
		}
		n.prefix = s.prefix(m, tagged.service, l.GetInstance())
		s.lines.add(n)
	}
}

// prefix says where a line is from, when that is not clear.
func (s *logsScreen) prefix(m *Model, service, instance string) string {
	switch {
	case len(s.names) > 1 && len(s.wrote) > len(s.names):
		return m.config.Line("[" + service + " " + instance + "] ")
	case len(s.names) > 1:
		return m.config.Line("[" + service + "] ")
	case len(s.wrote) > 1:
		return m.config.Line("[" + instance + "] ")
	default:
		return ""
	}
}

func (s *logsScreen) setFilter(f filter) { s.lines.setFilter(f) }
func (s *logsScreen) filtered() filter   { return s.lines.filter }

// selection is the line at the bottom.
func (s *logsScreen) selection() string { return s.lines.selection() }

func (s *logsScreen) act(_ *Model, a action) tea.Cmd {
	s.lines.act(a)
	return nil
}

func (s *logsScreen) view(m *Model, width, height int) []string {
	ended := ""
	if s.before != nil {
		ended = "before the last start"
	}
	return s.lines.followed(m.palette, width, height, ended)
}
