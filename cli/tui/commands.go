package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// confirm is a question before something is changed.
type confirm struct {
	question string
	args     []string // the command that is run
	typed    *prompt  // for a protected environment: its name has to be typed
}

// maxRan is how many commands are remembered.
const maxRan = 200

// ask asks whether a micro command shall be run. An environment that is protected wants
// its name, as the command would.
func (m *Model) ask(question string, args ...string) {
	c := &confirm{question: question, args: args}
	if m.session.Protected {
		c.typed = &prompt{}
	}
	m.confirm = c
}

// answer takes a key of somebody who was asked.
func (m *Model) answer(key, text string) tea.Cmd {
	c := m.confirm
	yes := key == "y" || key == "Y"
	if c.typed != nil {
		done, cancelled := c.typed.key(key, text)
		if !done && !cancelled {
			return nil
		}
		yes = done && string(c.typed.text) == m.session.Environment
	}
	m.confirm = nil
	if !yes {
		m.say(dim, "nothing was changed")
		return nil
	}
	args := c.args
	if m.session.Protected {
		args = append(slices.Clone(args), "--confirm", m.session.Environment)
	}
	return m.execute(args)
}

// execute runs a command beside the program.
func (m *Model) execute(args []string) tea.Cmd {
	m.say(dim, "runs: "+commandText(args))
	session := m.session
	return m.run(&session, args)
}

// what is the line above the answer: the command that is run.
func (c *confirm) what(m *Model) string {
	return m.palette.paint(warn, fit(m.config.Line("runs: "+commandText(c.args)), m.width))
}

// view is the line of the answer.
func (c *confirm) view(m *Model) (string, int) {
	if c.typed == nil {
		return m.palette.paint(warn, fit(m.config.Line(c.question)+" y/N", m.width)), -1
	}
	c.typed.label = m.config.Line(fmt.Sprintf("%s Type %s: ", c.question, m.session.Environment))
	return c.typed.view(m.width)
}

// commandText is a command as it is typed into a shell.
func commandText(args []string) string {
	words := []string{"micro"}
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// remember keeps what was run here.
func (m *Model) remember(r ranMsg) {
	m.ran = append(m.ran, r)
	if len(m.ran) > maxRan {
		m.ran = m.ran[1:]
	}
}

// finished takes what a command did.
func (m *Model) finished(r ranMsg) tea.Cmd {
	m.remember(r)
	for _, s := range m.stack {
		if t, ok := s.(*textScreen); ok && t.waits != nil && slices.Equal(t.waits, r.args) {
			t.waits = nil
			t.show(m, r)
			return nil
		}
	}
	if r.err != nil {
		m.say(bad, commandText(r.args)+": "+m.config.Explain(r.err))
		return nil
	}
	text := strings.TrimSpace(r.out)
	if at := strings.LastIndexByte(text, '\n'); at >= 0 {
		text = text[at+1:]
	}
	m.say(good, text)
	return nil
}

// commandLog is the screen of the commands that were run.
func (m *Model) commandLog() screen {
	t := newTextScreen("commands", "nothing was run here yet")
	for _, r := range m.ran {
		t.lines.add(line{text: m.config.Line("$ " + commandText(r.args)), tone: strong})
		for l := range strings.Lines(r.out) {
			t.lines.add(line{text: m.config.Colored(tabs(strings.TrimRight(l, "\r\n")))})
		}
		if r.err != nil {
			t.lines.add(line{text: m.config.Line(m.config.Explain(r.err)), tone: bad})
		}
	}
	return t
}

// words are what can follow ":".
func (m *Model) words() []string {
	if m.config.Form != nil {
		return []string{"call", "commands", "environments", "help", "history", "mouse", "namespaces", "quit", "readonly", "write"}
	}
	all := []string{"help", "mouse", "quit", "readonly", "write"}
	for _, s := range Screens() {
		if s.Word != "" {
			all = append(all, s.Word)
		}
	}
	slices.Sort(all)
	return all
}

// complete completes what is typed behind ":".
func (m *Model) complete(text string) string {
	word, rest, hasArg := strings.Cut(text, " ")
	if !hasArg {
		done := completeWord(word, m.words())
		if slices.Contains(m.words(), done) && slices.Contains([]string{"journal", "logs", "releases", "service"}, done) {
			return done + " "
		}
		return done
	}
	return word + " " + completeWord(rest, m.shared.names())
}

// command does what was typed behind ":".
func (m *Model) command(text string) tea.Cmd {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return nil
	}
	word, args := fields[0], fields[1:]
	if full := m.wordFor(word); full != "" {
		word = full
	}
	if !slices.Contains(m.words(), word) {
		word = "" // forms and the dashboard have not the same
	}
	needs := func() bool {
		if len(args) == 0 {
			if name := m.subject(); name != "" {
				args = []string{name}
			} else {
				m.say(warn, ":"+word+" needs the name of a service")
			}
		}
		return len(args) > 0
	}
	switch word {
	case "quit":
		return tea.Quit
	case "help":
		m.help, m.helpTop = true, 0
	case "call":
		m.goTo(nil)
		m.pick()
	case "history":
		return m.openPast()
	case "services":
		m.goTo(nil)
	case "service":
		if needs() {
			m.goTo(newServiceScreen(args[0]))
		}
	case "logs":
		if needs() {
			m.goTo(newLogsScreen(args, "", nil))
		}
	case "journal":
		if needs() {
			m.goTo(newJournalScreen(args[0]))
		}
	case "releases":
		if needs() {
			m.goTo(newReleasesScreen(args[0]))
		}
	case "events":
		if len(args) > 0 {
			m.goTo(newEventsScreen(args[0]))
		} else {
			m.goTo(newTopicsScreen())
		}
	case "store":
		m.goTo(newTablesScreen())
	case "config":
		m.goTo(newConfigScreen())
	case "environments":
		m.goTo(nil)
		return m.open(placeEnvs)
	case "namespaces":
		m.goTo(nil)
		return m.open(placeSpaces)
	case "commands":
		m.push(m.commandLog())
	case "mouse":
		return m.act(actMouse)
	case "readonly":
		m.reading = true
	case "write":
		if m.config.ReadOnly {
			m.say(warn, m.readOnlyText())
			return nil
		}
		m.reading = false
		m.say(warn, "changes are allowed")
	default:
		m.say(warn, fmt.Sprintf("there is no screen %q; Tab completes, ? helps", fields[0]))
	}
	return nil
}

// wordFor returns the word that an abbreviation stands for, as k9s has them, or any
// that begins with it when there is one only.
func (m *Model) wordFor(word string) string {
	switch word {
	case "q", "q!", "exit":
		return "quit"
	case "svc":
		return "services"
	case "ns":
		return "namespaces"
	case "env", "ctx":
		return "environments"
	}
	found := ""
	for _, w := range m.words() {
		if w == word {
			return w
		}
		if strings.HasPrefix(w, word) {
			if found != "" {
				return ""
			}
			found = w
		}
	}
	return found
}

// subject returns the service that the topmost screen is about.
func (m *Model) subject() string {
	for _, s := range slices.Backward(m.stack) {
		switch s := s.(type) {
		case *serviceScreen:
			return s.name
		case *logsScreen:
			return s.names[0]
		case *servicesScreen:
			name, _ := s.table.selected()
			return name
		}
	}
	return ""
}
