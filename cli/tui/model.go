package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// The places are what screens are called in the key map and after ":".
const (
	placeServices = "services"
	placeService  = "service"
	placeLogs     = "logs"
	placeEnvs     = "environments"
	placeSpaces   = "namespaces"
	placeText     = "text"
	placeReleases = "releases"
	placeList     = "list"
	placePick     = "pick"
	placeCall     = "call"
	placeAs       = "as"
)

// screen is one of the screens, of which the topmost is shown.
type screen interface {
	place() string
	// title is its part of the first line.
	title() string
	// feeds are what it asks for while it is open.
	feeds() []feed
	// receive takes what a feed handed over.
	receive(m *Model, msg tea.Msg)
	// act does what an action means here.
	act(m *Model, a action) tea.Cmd
	// view returns so many lines.
	view(m *Model, width, height int) []string
	// setFilter leaves rows or lines out.
	setFilter(f filter)
	// filtered returns the filter.
	filtered() filter
	// selection is what is copied.
	selection() string
}

// ranMsg is what a command did.
type ranMsg struct {
	args []string
	out  string
	err  error
}

// connectedMsg is the answer to a wish to be elsewhere.
type connectedMsg struct {
	session Session
	err     error
}

// tickMsg has what is said of times drawn anew, while nothing else does.
type tickMsg struct{}

// source is a feed that runs.
type source struct {
	owner   screen // nil: the state that all screens share
	name    string
	stop    chan struct{}
	err     error     // why it does not deliver
	last    time.Time // when it delivered last
	pending bool      // it has not delivered yet
	single  bool      // see feed
}

// Model is the state of the program. It is not safe for concurrent use: whoever has
// something to tell it sends it a message.
type Model struct {
	config  *Config
	session Session
	keys    []KeyGroup
	palette palette

	width, height int
	shared        shared
	stack         []screen
	sources       map[int]*source
	nextID        int

	prompt     *prompt
	editor     *editor
	confirm    *confirm
	help       bool
	helpTop    int
	notice     string
	noticeTone tone
	reading    bool // nothing may be changed, until somebody allows it
	mouse      bool
	ticking    bool
	ran        []ranMsg
	alone      bool         // it follows a command: there is no server, and one screen
	worked     bool         // that command is done
	handed     atomic.Int64 // messages of feeds that have come

	// launch begins a feed, and run returns what runs a command. Tests have their own.
	launch func(f feed, id int, s *Session, stop <-chan struct{})
	run    func(s *Session, args []string) tea.Cmd
	// later returns what does something that takes time.
	later func(do func(ctx context.Context) tea.Msg) tea.Cmd
}

func newModel(c *Config) *Model {
	m := &Model{
		config: c, session: c.Session, keys: KeyMap(), palette: newPalette(c.Theme),
		width: 80, height: 24, sources: map[int]*source{},
		launch: func(feed, int, *Session, <-chan struct{}) {},
		run:    func(*Session, []string) tea.Cmd { return nil },
		later: func(do func(ctx context.Context) tea.Msg) tea.Cmd {
			return func() tea.Msg { return do(context.Background()) }
		},
	}
	m.reading = m.session.Protected
	m.shared.reset()
	m.home()
	return m
}

// home makes the screens those that the program begins with.
func (m *Model) home() {
	m.prompt, m.editor, m.confirm, m.help = nil, nil, nil, false
	if m.config.Form == nil {
		m.stack = []screen{newServicesScreen()}
		return
	}
	m.stack = m.firstForm()
	m.pick()
}

// Init begins the feeds.
func (m *Model) Init() tea.Cmd {
	if !m.alone {
		m.begin()
	}
	if m.config.Theme == "" {
		return tea.RequestBackgroundColor
	}
	return nil
}

// begin starts the feeds of the session and of the screens.
func (m *Model) begin() {
	if m.config.Form == nil {
		m.start(nil, m.shared.feeds())
	}
	for _, s := range m.stack {
		m.start(s, s.feeds())
	}
}

func (m *Model) start(owner screen, feeds []feed) {
	for _, f := range feeds {
		m.nextID++
		stop := make(chan struct{})
		m.sources[m.nextID] = &source{owner: owner, name: f.name, stop: stop, pending: true, last: m.config.Now(), single: f.single}
		session := m.session
		m.launch(f, m.nextID, &session, stop)
	}
}

// stop ends the feeds of a screen, or all of them.
func (m *Model) stop(owner screen, all bool) {
	for id, s := range m.sources {
		if all || s.owner == owner && owner != nil {
			close(s.stop)
			delete(m.sources, id)
		}
	}
}

// push opens a screen.
func (m *Model) push(s screen) {
	m.help, m.notice = false, ""
	m.stack = append(m.stack, s)
	m.start(s, s.feeds())
	s.receive(m, nil)
}

// pop closes the topmost screen; the last one stays.
func (m *Model) pop() {
	if len(m.stack) == 1 {
		return
	}
	m.stop(m.top(), false)
	m.stack = m.stack[:len(m.stack)-1]
	m.top().receive(m, nil)
}

func (m *Model) top() screen { return m.stack[len(m.stack)-1] }

// goTo opens a screen above the first one, in the place of all others.
func (m *Model) goTo(s screen) {
	for len(m.stack) > 1 {
		m.pop()
	}
	if s != nil {
		m.push(s)
	}
}

// readOnly reports whether nothing may be changed.
func (m *Model) readOnly() bool {
	return m.config.ReadOnly || m.reading
}

// say shows something until the next key.
func (m *Model) say(t tone, text string) {
	m.notice, m.noticeTone = m.config.Line(text), t
}

// Update takes a message.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	cmd := m.update(msg)
	if d := m.moves(); d != 0 && !m.ticking {
		m.ticking = true
		cmd = tea.Batch(cmd, tea.Tick(d, func(time.Time) tea.Msg { return tickMsg{} }))
	}
	return m, cmd
}

// moves returns how often the screen is drawn anew because time passes, 0 for never.
func (m *Model) moves() time.Duration {
	switch {
	case m.alone && m.output().busy():
		return spinnerTime
	case m.lost() != nil:
		return time.Second
	default:
		return 0
	}
}

func (m *Model) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(1, msg.Width), max(1, msg.Height)
	case tea.BackgroundColorMsg:
		if m.config.Theme == "" {
			m.palette.light = !msg.IsDark()
		}
	case tea.KeyPressMsg:
		return m.key(msg.String(), msg.Text)
	case tea.PasteMsg:
		switch {
		case m.editor != nil:
			m.editor.insert(msg.Content)
		case m.prompt != nil:
			m.prompt.insert(msg.Content)
			if m.prompt.changed != nil {
				m.prompt.changed(string(m.prompt.text))
			}
		}
	case tea.MouseWheelMsg:
		a := actDown
		if msg.Button == tea.MouseWheelUp {
			a = actUp
		}
		return m.top().act(m, a)
	case feedMsg:
		m.receive(msg)
	case endedMsg:
		m.ended(msg)
	case tickMsg:
		m.ticking = false
	case workedMsg:
		return m.workDone()
	case ranMsg:
		return m.finished(msg)
	case connectedMsg:
		m.connected(msg)
	case listedMsg:
		m.listed(msg)
	case laterMsg:
		return msg.then(m)
	}
	return nil
}

// laterMsg is what took time, and what comes of it.
type laterMsg struct{ then func(m *Model) tea.Cmd }

// ended notes that a feed has ended.
func (m *Model) ended(msg endedMsg) {
	s := m.sources[msg.id]
	if s == nil {
		return
	}
	s.err, s.pending = msg.err, false
	if e, ok := s.owner.(ender); ok && s.single {
		delete(m.sources, msg.id)
		e.ended(m, msg.err)
	}
}

// receive hands over what a feed brought.
func (m *Model) receive(msg feedMsg) {
	m.handed.Add(1)
	s := m.sources[msg.id]
	if s == nil {
		return // it was stopped meanwhile
	}
	s.err, s.pending, s.last = nil, false, m.config.Now()
	for _, one := range msg.msgs {
		if s.owner != nil {
			s.owner.receive(m, one)
		} else {
			m.shared.receive(m, one)
		}
	}
	if s.owner == nil {
		for _, open := range m.stack {
			open.receive(m, nil)
		}
	}
}

// lost returns the feed that waits longest for a server that is away.
func (m *Model) lost() *source {
	var worst *source
	for _, s := range m.sources {
		if s.err != nil && isLost(s.err) && (worst == nil || s.last.Before(worst.last)) {
			worst = s
		}
	}
	return worst
}

// refused returns why a feed of the screen, or of what all share, was refused.
func (m *Model) refused() error {
	var ids []int
	for id, s := range m.sources {
		if s.err != nil && !isLost(s.err) && (s.owner == nil || s.owner == m.top()) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return m.sources[slices.Min(ids)].err
}

// waits reports whether a feed of a screen, or of what all share, has not delivered
// anything yet.
func (m *Model) waits(owner screen) bool {
	for _, s := range m.sources {
		if s.pending && s.owner == owner {
			return true
		}
	}
	return false
}

// key does what a key means now.
func (m *Model) key(key, text string) tea.Cmd {
	switch key {
	case "ctrl+c":
		return tea.Interrupt
	case "alt+esc": // Esc twice, quickly
		key = "esc"
	}
	switch {
	case m.prompt != nil:
		p := m.prompt
		done, cancelled := p.key(key, text)
		if done || cancelled {
			m.prompt = nil
		}
		if done {
			return m.typed(p)
		}
		if cancelled && p.changed != nil {
			p.changed("")
		}
		return nil
	case m.editor != nil:
		if m.editor.key(key, text) {
			m.editor = nil
		}
		return nil
	case m.confirm != nil:
		return m.answer(key, text)
	case m.help:
		return m.helpKey(key)
	}
	m.notice = ""
	k, ok := find(m.keys, m.top().place(), key)
	if !ok {
		return nil
	}
	if k.Changes && m.readOnly() {
		m.say(warn, m.readOnlyText())
		return nil
	}
	return m.act(k.action)
}

func (m *Model) readOnlyText() string {
	if m.config.ReadOnly {
		return "read-only: it was started with --read-only"
	}
	return "read-only: :write allows changes"
}

// typed ends a prompt with Enter.
func (m *Model) typed(p *prompt) tea.Cmd {
	if p.done == nil {
		return nil
	}
	return p.done(string(p.text))
}

// act does what an action means.
func (m *Model) act(a action) tea.Cmd {
	switch a {
	case actQuit:
		return tea.Quit
	case actSuspend:
		return tea.Suspend
	case actHelp:
		m.help, m.helpTop = true, 0
	case actGo:
		m.prompt = &prompt{label: ":", done: m.command, complete: m.complete}
	case actFilter:
		if m.pick() {
			return nil
		}
		top := m.top()
		before := []rune(top.filtered().text)
		m.prompt = &prompt{label: "/", text: before, at: len(before), changed: func(text string) { top.setFilter(newFilter(text)) }}
	case actBack:
		if top := m.top(); top.filtered().text != "" {
			top.setFilter(filter{})
			return nil
		}
		m.pop()
	case actCopy:
		text := ansi.Strip(m.top().selection())
		if text == "" {
			return nil
		}
		m.say(dim, "copied: "+text)
		return tea.SetClipboard(text)
	case actMouse:
		m.mouse = !m.mouse
		m.say(dim, map[bool]string{true: "the mouse wheel scrolls; M leaves the mouse to the terminal", false: "the mouse is the terminal's"}[m.mouse])
	case actEnvs:
		return m.open(placeEnvs)
	case actSpaces:
		return m.open(placeSpaces)
	case actCommands:
		m.push(m.commandLog())
	case actPast:
		return m.openPast()
	default:
		return m.top().act(m, a)
	}
	return nil
}

// open opens a screen by its place, unless it is open.
func (m *Model) open(place string) tea.Cmd {
	if m.top().place() == place {
		return nil
	}
	switch place {
	case placeEnvs:
		s := newEnvsScreen()
		m.push(s)
		return m.listEnvironments()
	case placeSpaces:
		m.push(newNamespacesScreen())
	}
	return nil
}

// View returns the frame.
func (m *Model) View() tea.View {
	v := tea.NewView("")
	v.AltScreen = true
	v.WindowTitle = "micro " + m.config.Line(m.session.Environment)
	if m.mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	lines, column := m.frame()
	v.Content = strings.Join(lines, "\n")
	switch {
	case m.editor != nil && m.prompt == nil:
		v.Cursor = m.editor.cursor(m.width, m.height)
	case column >= 0:
		v.Cursor = tea.NewCursor(column, m.height-1)
	}
	return v
}

// frame returns exactly as many lines as the terminal has, and the column of the
// cursor in the last one, -1 for none.
func (m *Model) frame() (lines []string, cursor int) {
	last, cursor := m.lastLine()
	head := append([]string{m.headLine()}, m.banner()...)
	if m.height == 1 {
		return []string{last}, cursor
	}
	if len(head) > m.height-1 {
		head = head[:m.height-1]
	}
	body := m.height - len(head) - 1
	lines = head
	switch {
	case m.editor != nil:
		lines = append(lines, m.editor.view(m, m.width, body)...)
	case m.help:
		lines = append(lines, m.helpView(m.width, body)...)
	default:
		lines = append(lines, m.top().view(m, m.width, body)...)
	}
	lines = padLines(lines, m.width, m.height-1)
	if m.confirm != nil {
		lines[len(lines)-1] = m.confirm.what(m)
	}
	return append(lines, last), cursor
}

// headLine says where one is.
func (m *Model) headLine() string {
	at := m.config.Line(m.session.Environment + "/" + m.session.Namespace)
	var path []string
	for _, s := range m.stack {
		path = append(path, m.config.Line(s.title()))
	}
	left := m.palette.paint(headline, "micro "+at) + m.palette.paint(dim, " › ") + strings.Join(path, m.palette.paint(dim, " › "))
	right := ""
	if f := m.top().filtered(); f.text != "" {
		right = m.palette.paint(warn, "/"+m.config.Line(f.text))
	}
	if m.readOnly() {
		right = strings.TrimSpace(right + " " + m.palette.paint(warn, "read-only"))
	}
	return ends(left, right, m.width)
}

// banner says that the server is away, or what it refuses.
func (m *Model) banner() []string {
	if s := m.lost(); s != nil {
		age := m.config.Now().Sub(s.last).Truncate(time.Second)
		text := fmt.Sprintf("✗ server lost %s ago; this is as old; trying again (%s)", age, m.config.Explain(s.err))
		return []string{m.palette.paint(bad, fit(m.config.Line(text), m.width))}
	}
	if err := m.refused(); err != nil {
		return []string{m.palette.paint(bad, fit("✗ "+m.config.Line(m.config.Explain(err)), m.width))}
	}
	return nil
}

// lastLine is the prompt, a question, a notice or what keys do.
func (m *Model) lastLine() (string, int) {
	switch {
	case m.prompt != nil:
		return m.prompt.view(m.width)
	case m.editor != nil:
		return m.editor.lastLine(m), -1
	case m.confirm != nil:
		return m.confirm.view(m)
	case m.notice != "":
		return m.palette.paint(m.noticeTone, fit(m.notice, m.width)), -1
	}
	if m.help {
		return fit(m.footKey("Esc", "back")+m.footKey("↑↓", "scroll"), m.width), -1
	}
	// How to get help is seen on the narrowest terminal.
	help := strings.TrimRight(m.footKey("?", "help"), " ")
	var b strings.Builder
	room := m.width - ansi.StringWidth(help)
	for _, k := range footer(m.keys, m.top().place(), m.readOnly()) {
		if k.action == actHelp || k.action == actBack && len(m.stack) == 1 && m.top().filtered().text == "" {
			continue
		}
		name := keyName(k.Keys[0])
		n := ansi.StringWidth(name) + ansi.StringWidth(k.Label) + 3
		if n > room {
			break
		}
		room -= n
		b.WriteString(m.footKey(name, k.Label))
	}
	return ends(b.String(), help, m.width), -1
}

func (m *Model) footKey(name, label string) string {
	return m.palette.paint(accent, name) + " " + label + "  "
}
