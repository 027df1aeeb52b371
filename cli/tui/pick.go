package tui

import (
	"context"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// pickScreen is a list to choose from: what is typed filters it, and Enter takes the
// chosen row. After Esc it is a list like any other.
type pickScreen struct{ listScreen }

func newPickScreen(name string, columns ...column) *pickScreen {
	return &pickScreen{listScreen{where: placePick, name: name, table: table{empty: "there is none", columns: columns}}}
}

// pick has the rows of the topmost screen filtered while somebody types; false when they
// are not there to be chosen from.
func (m *Model) pick() bool {
	s, ok := m.top().(*pickScreen)
	if !ok {
		return false
	}
	before := []rune(s.filtered().text)
	m.prompt = &prompt{
		label: "/", text: before, at: len(before),
		changed: func(text string) { s.setFilter(newFilter(text)) },
		move:    func(a action) { s.table.act(a) },
		done: func(string) tea.Cmd {
			if _, ok := s.table.selected(); !ok {
				m.pick() // there is nothing to choose yet
				return nil
			}
			return s.act(m, actEnter)
		},
	}
	return true
}

// choose opens a screen to choose from.
func (m *Model) choose(s *pickScreen) {
	m.push(s)
	m.pick()
}

// asks is [once] for what connects by itself.
func asks[Rsp any](name string, every time.Duration, ask func(ctx context.Context) (Rsp, error)) feed {
	f := once(name, every, func(ctx context.Context, _ grpc.ClientConnInterface) (Rsp, error) { return ask(ctx) })
	f.own = true
	return f
}

// newServicePick chooses a service.
func newServicePick(c *Calls) *pickScreen {
	s := newPickScreen("call", column{title: "SERVICE"})
	s.table.empty = "there is no service that can be called"
	s.ask = asks("callable services", browsePeriod, c.Services)
	s.rows = func(m *Model, msg tea.Msg) []row {
		names, _ := msg.([]string)
		var rows []row
		for _, plumbing := range []bool{false, true} { // what is there for tools comes last
			for _, name := range names {
				if request.Plumbing(name) == plumbing {
					rows = append(rows, row{id: name, cells: []cell{{text: m.config.Line(name), tone: strong}}})
				}
			}
		}
		return rows
	}
	s.open = func(m *Model, service string) tea.Cmd {
		m.choose(newEndpointPick(c, service))
		return nil
	}
	return s
}

// newEndpointPick chooses an endpoint of a service.
func newEndpointPick(c *Calls, service string) *pickScreen {
	s := newPickScreen(service, column{title: "ENDPOINT", most: 60}, column{title: "STREAMS", rank: 1}, column{title: "COMMENT"})
	s.table.empty = "it has no endpoint"
	var table *wire.Table
	s.ask = asks("schema of "+service, 0, func(ctx context.Context) (*wire.Table, error) { return c.Schema(ctx, service) })
	s.rows = func(m *Model, msg tea.Msg) []row {
		table, _ = msg.(*wire.Table)
		return endpointRows(m, table)
	}
	s.open = func(m *Model, path string) tea.Cmd {
		method, ok := table.Method(path)
		if !ok {
			return nil
		}
		f := m.config.Form
		m.push(newCallScreen(m, Draft{Service: service, Table: table, Method: method, Options: f.Options, Headers: f.Headers, Timeout: f.Timeout}))
		return nil
	}
	return s
}

func endpointRows(m *Model, t *wire.Table) []row {
	docs, err := t.Docs()
	if err != nil {
		docs = wire.Docs{} // they are only shown
	}
	var methods []wire.Method
	named := map[string]int{}
	for s := range t.Services() {
		for method := range s.Methods() {
			methods = append(methods, method)
			named[request.Endpoint(method)]++
		}
	}
	var rows []row
	for _, plumbing := range []bool{false, true} { // as services are
		for _, method := range methods {
			if request.Plumbing(method.Service().Name()) != plumbing {
				continue
			}
			name := request.Endpoint(method)
			if named[name] > 1 {
				name = strings.TrimPrefix(method.Path(), "/")
			}
			r := row{id: method.Path(), cells: []cell{
				{text: m.config.Line(name), tone: strong}, {text: streamsText(method), tone: accent}, {text: m.config.Line(oneLine(docs.Of(method).Comment)), tone: dim},
			}}
			if method.Deprecated() || method.Service().Deprecated() {
				r.cells[0].tone, r.cells[2].text = dim, "(deprecated) "+r.cells[2].text
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// streamsText says which way a call streams.
func streamsText(m wire.Method) string {
	switch {
	case m.ClientStreaming() && m.ServerStreaming():
		return "both ways"
	case m.ClientStreaming():
		return "requests"
	case m.ServerStreaming():
		return "answers"
	default:
		return ""
	}
}

// oneLine returns a comment without the ends of its lines.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// newPastPick chooses an earlier call, to be made again or changed.
func newPastPick(past []PastCall) *pickScreen {
	s := newPickScreen("history", column{title: "N", right: true}, column{title: "TIME", rank: 2}, column{title: "ENV", most: 20, rank: 3}, column{title: "STATUS", rank: 1}, column{title: "TOOK", right: true, rank: 4}, column{title: "CALL"})
	s.table.empty = "no calls yet"
	byID := map[string]PastCall{}
	s.fill = func(m *Model) []row {
		var rows []row
		for _, p := range past {
			id := strconv.Itoa(p.Number)
			byID[id] = p
			t := good
			if p.Status != "ok" {
				t = bad
			}
			rows = append(rows, row{id: id, cells: []cell{
				{text: id, tone: dim},
				{text: p.Time.In(m.config.Now().Location()).Format("01-02 15:04:05"), tone: dim},
				{text: m.config.Line(p.Environment)},
				{text: m.config.Line(p.Status), tone: t},
				{text: tookText(p.Took)},
				{text: m.config.Line(p.Line), tone: strong},
			}})
		}
		return rows
	}
	s.open = func(m *Model, id string) tea.Cmd { return m.draft(byID[id]) }
	return s
}
