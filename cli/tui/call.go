package tui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// callScreen is a call: its request as a form and as JSON, which are two views of one
// document, and what comes of it.
type callScreen struct {
	draft Draft // what does not change: service, method, options
	docs  wire.Docs
	form  *request.Form

	headers []string // NAME:VALUE
	timeout string
	where   []string // flags that say where the command is to act
	alone   bool     // no screen below says which service it is of

	tab    tab
	rows   []callRow
	fields table
	json   lines
	answer lines

	// wrong is what is wrong with single fields, by the names that lead to them: what the
	// server said, and what could not be set.
	wrong map[string]string
	// problem is what is wrong with the request by its schema, and where; problems are
	// what is wrong, by the ids of rows.
	problem, problemAt string
	problems           map[string]string

	exchange exchange
}

// tab is what of a call is shown, or on a wide terminal what keys act on.
type tab int

const (
	tabForm tab = iota
	tabJSON
	tabAnswer
)

// wideCall is the width from which on the answer is beside the request.
const wideCall = 110

// newDraftScreen is the screen of a call that was not chosen from the endpoints of a
// service.
func newDraftScreen(m *Model, d *Draft) *callScreen {
	s := newCallScreen(m, *d)
	s.alone = true
	return s
}

func newCallScreen(m *Model, d Draft) *callScreen {
	docs, err := d.Table.Docs()
	if err != nil {
		docs = wire.Docs{} // they are only shown
	}
	s := &callScreen{
		draft: d, docs: docs, headers: slices.Clone(d.Headers), timeout: d.Timeout, wrong: map[string]string{},
		fields: table{empty: "it takes nothing", columns: []column{{title: "FIELD", most: 44}, {title: "TYPE", most: 28, rank: 1}, {title: "VALUE"}}},
		json:   newLines(keptLines, ""), answer: newLines(keptLines, ""),
	}
	s.where = m.config.Form.Where
	if m.session.Environment != m.config.Session.Environment || m.session.Namespace != m.config.Session.Namespace {
		s.where = []string{"--env=" + m.session.Environment, "--namespace=" + m.session.Namespace}
	}
	s.answer.times = d.Method.ClientStreaming() || d.Method.ServerStreaming()
	if s.form, err = request.NewForm(d.Method.Input(), d.JSON); err != nil {
		s.form, _ = request.NewForm(d.Method.Input(), nil) // of nothing there is always one
		m.say(bad, err.Error())
	}
	s.refresh(m)
	return s
}

func (s *callScreen) place() string { return placeCall }

func (s *callScreen) title() string {
	text := request.Endpoint(s.draft.Method)
	if streams := streamsText(s.draft.Method); streams != "" {
		text += " (streams " + streams + ")"
	}
	if s.alone {
		return s.draft.Service + " › " + text
	}
	return text
}

func (s *callScreen) feeds() []feed { return nil }

func (s *callScreen) setFilter(f filter) {
	switch s.tab {
	case tabJSON:
		s.json.setFilter(f)
	case tabAnswer:
		s.answer.setFilter(f)
	default:
		s.fields.setFilter(f)
	}
}

func (s *callScreen) filtered() filter {
	switch s.tab {
	case tabJSON:
		return s.json.filter
	case tabAnswer:
		return s.answer.filter
	default:
		return s.fields.filter
	}
}

// selection is the answer, or the command that makes the call.
func (s *callScreen) selection() string {
	if s.tab == tabAnswer {
		return s.answer.all()
	}
	return commandText(append(append(slices.Clone(s.where), "call"), s.args(true)...))
}

// args are the arguments of "micro call" that make the call; those of a client stream
// take its requests from standard input, unless the one that is filled in is to be one of
// them.
func (s *callScreen) args(filledIn bool) []string {
	args := []string{s.draft.Service, endpointWord(s.draft)}
	args = append(args, s.draft.Options...)
	for _, h := range s.headers {
		args = append(args, "-H", h)
	}
	if s.timeout != "" {
		args = append(args, "--timeout="+s.timeout)
	}
	text := string(s.form.JSON())
	switch {
	case s.draft.Method.ClientStreaming() && !filledIn:
		args = append(args, "-")
	case text == "{}":
	case text[0] == '{':
		args = append(args, text)
	default:
		args = append(args, "--json="+text)
	}
	return args
}

// endpointWord is the shortest word that means the endpoint.
func endpointWord(d Draft) string {
	word := request.Endpoint(d.Method)
	if m, err := request.Resolve(d.Table, d.Service, []string{word}); err == nil && m == d.Method {
		return word
	}
	return strings.TrimPrefix(d.Method.Path(), "/")
}

// act does what an action means.
func (s *callScreen) act(m *Model, a action) tea.Cmd {
	switch a {
	case actSend:
		s.send(m)
	case actFinish:
		s.finish(m)
	case actCancel:
		s.cancel(m)
	case actNext:
		s.nextTab(m)
	case actAs:
		return s.openAs(m)
	default:
		switch s.tab {
		case tabAnswer:
			s.answer.act(a)
		case tabJSON:
			if a != actEnter && a != actEdit {
				s.json.act(a)
				return nil
			}
			s.editJSON(m)
		default:
			return s.actOnForm(m, a)
		}
	}
	return nil
}

// nextTab goes from the form to the JSON, to the answer, and back.
func (s *callScreen) nextTab(m *Model) {
	s.tab = (s.tab + 1) % (tabAnswer + 1)
	s.refresh(m)
}

// editJSON has the request changed as JSON.
func (s *callScreen) editJSON(m *Model) {
	m.edit("the request as JSON", prettyJSON(s.form.JSON()), func(text string) error {
		if err := s.form.SetJSON([]byte(text)); err != nil {
			return err
		}
		clear(s.wrong)
		s.refresh(m)
		return nil
	})
}

// prettyJSON returns JSON with indentation.
func prettyJSON(compact []byte) string { return string(wire.AppendIndent(nil, compact, "  ")) }

// view shows the tabs, and on a wide terminal the answer beside the request.
func (s *callScreen) view(m *Model, width, height int) []string {
	if height < 2 {
		return padLines(nil, width, height)
	}
	body := height - 1
	lines := []string{s.tabLine(m, width)}
	switch e := &s.exchange; {
	case e.running:
		s.answer.empty = "waits for the answer; Ctrl-X cancels the call"
	case e.began.IsZero():
		s.answer.empty = "nothing was called yet; s sends the request"
	default:
		s.answer.empty = "nothing was answered"
	}
	if width < wideCall {
		switch s.tab {
		case tabAnswer:
			lines = append(lines, s.answer.view(m.palette, width, body)...)
		default:
			lines = append(lines, s.request(m, width, body)...)
		}
		return padLines(lines, width, height)
	}
	left := width * 11 / 20
	requestLines := s.request(m, left, body)
	answers := s.answer.view(m.palette, width-left-3, body)
	for i := range body {
		lines = append(lines, requestLines[i]+m.palette.paint(dim, " │ ")+answers[i])
	}
	return lines
}

// tabLine says which tab is shown, and how the call goes.
func (s *callScreen) tabLine(m *Model, width int) string {
	var b strings.Builder
	for t, name := range []string{"Form", "JSON", "Answer"} {
		text := " " + name + " "
		if tab(t) == s.tab {
			text = m.palette.paint(chosen, "["+name+"]")
		}
		b.WriteString(text)
	}
	status, t := s.exchange.text(s.draft.Method)
	if s.problem != "" && status == "" {
		status, t = "✗ "+s.problemText(), bad
	}
	return ends(b.String(), m.palette.paint(t, m.config.Line(status)), width)
}

// problemText says what is wrong with the request, and where.
func (s *callScreen) problemText() string {
	return strings.TrimPrefix(s.problemAt+": "+s.problem, ": ")
}

// request shows the request: as a form with what is known of the chosen field, or as JSON.
func (s *callScreen) request(m *Model, width, height int) []string {
	if s.tab == tabJSON {
		return s.json.view(m.palette, width, height)
	}
	help := s.help(m, width)
	if height < 8 {
		help = help[:min(len(help), 1)]
	}
	lines := s.fields.view(m.palette, width, height-len(help), s.tab == tabForm)
	return padLines(append(lines, help...), width, height)
}

// exchange is a call that is under way, or how the last one ended.
type exchange struct {
	running  bool
	requests chan string // of a client stream
	closed   bool        // no more of them come
	began    time.Time
	sent     int
	got      int
	status   string
	tone     tone
}

// text says how the call goes.
func (e *exchange) text(m wire.Method) (string, tone) {
	if e.began.IsZero() {
		return "", plain
	}
	text := e.status
	if e.running {
		text = "…"
	}
	if m.ClientStreaming() {
		text += fmt.Sprintf(" · %d sent", e.sent)
	}
	if m.ServerStreaming() {
		text += fmt.Sprintf(" · %d came", e.got)
	}
	if e.running && m.ClientStreaming() && e.closed {
		text += " · no more to send"
	}
	return text, e.tone
}

// waiting is how many requests of a stream wait for the service at most.
const waiting = 64

// send makes the call, or sends one more request of a stream.
func (s *callScreen) send(m *Model) {
	e := &s.exchange
	streams := s.draft.Method.ClientStreaming()
	switch {
	case e.running && !streams:
		m.say(warn, "the call is under way; Ctrl-X cancels it")
		return
	case e.running && e.closed:
		m.say(warn, "no more requests were to come; Ctrl-X cancels the call")
		return
	case streams && s.problem != "":
		m.say(bad, s.problemText())
		return
	}
	if !e.running {
		s.begin(m)
	}
	if !streams {
		return
	}
	text := string(s.form.JSON())
	select {
	case e.requests <- text:
		e.sent++
		s.note(m, "→ ", text, accent)
	default:
		m.say(warn, "the service takes no more requests now")
	}
}

// begin begins the call.
func (s *callScreen) begin(m *Model) {
	clear(s.wrong)
	s.answer.clear()
	s.exchange = exchange{running: true, began: m.config.Now(), tone: accent}
	if s.draft.Method.ClientStreaming() {
		s.exchange.requests = make(chan string, waiting)
	} else if m.width < wideCall {
		s.tab = tabAnswer
	}
	s.refresh(m)
	m.start(s, []feed{callFeed(m.session.Calls, s.args(false), s.exchange.requests)})
}

// finish says that no more requests come.
func (s *callScreen) finish(m *Model) {
	e := &s.exchange
	switch {
	case !s.draft.Method.ClientStreaming():
		m.say(warn, "it takes one request; there is nothing to end")
	case !e.running:
		s.begin(m) // of no requests at all
		s.finish(m)
	case !e.closed:
		e.closed = true
		close(e.requests)
	}
}

// cancel ends the call without its answer.
func (s *callScreen) cancel(m *Model) {
	if !s.exchange.running {
		return
	}
	m.stop(s, false)
	s.ended(m, &Failure{Code: "Canceled", Message: "cancelled here"})
}

// receive takes what the call printed.
func (s *callScreen) receive(m *Model, msg tea.Msg) {
	text, ok := msg.(answerMsg)
	if !ok {
		return
	}
	s.exchange.got++
	switch {
	case s.draft.Method.ClientStreaming():
		s.note(m, "← ", string(text), plain)
	case !s.draft.Method.ServerStreaming() && s.exchange.got == 1:
		for l := range strings.Lines(indented(string(text))) {
			s.note(m, "", strings.TrimRight(l, "\n"), plain)
		}
	default:
		s.note(m, "", string(text), plain)
	}
}

// indented returns an answer on one line as it is on several: there is room for them.
func indented(text string) string {
	var b bytes.Buffer
	if !strings.HasPrefix(text, "{") || json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}

// maxAnswerLine bounds what is shown of a line of an answer, in bytes.
const maxAnswerLine = 16 << 10

// note adds a line to the answer.
func (s *callScreen) note(m *Model, prefix, text string, t tone) {
	if len(text) > maxAnswerLine {
		text = fmt.Sprintf("%s… (%d bytes more)", strings.ToValidUTF8(text[:maxAnswerLine], ""), len(text)-maxAnswerLine)
	}
	s.answer.add(line{prefix: prefix, text: m.config.Line(tabs(text)), tone: t, time: m.config.Now().Format("15:04:05.000")})
}

// ended takes how the call ended.
func (s *callScreen) ended(m *Model, err error) {
	e := &s.exchange
	e.running = false
	took := tookText(m.config.Now().Sub(e.began))
	e.status, e.tone = "✓ ok · "+took, good
	if err != nil {
		s.failed(m, err)
		e.tone = bad
		e.status = "✗ failed · " + took
		if f, ok := errors.AsType[*Failure](err); ok && f.Code != "" {
			e.status = "✗ " + f.Code + " · " + took
		}
	}
	m.remember(ranMsg{args: append([]string{"call"}, s.args(false)...), out: s.answer.all(), err: err})
	s.refresh(m)
}

// failed shows why a call failed, what is about a field at that.
func (s *callScreen) failed(m *Model, err error) {
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		s.note(m, "", "✗ "+m.config.Explain(err), bad)
		return
	}
	for l := range strings.Lines("✗ " + f.text()) {
		s.note(m, "", strings.TrimRight(l, "\n"), bad)
	}
	for _, l := range f.Lines {
		s.note(m, "  ", l, warn)
	}
	if f.Hint != "" {
		s.note(m, "", "hint: "+f.Hint, dim)
	}
	for _, p := range f.Fields {
		s.wrong[p.Field] = p.Text
	}
}
