package tui

import (
	"fmt"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/cli/words"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
)

// servicesScreen is the first screen: whether all is well, and if not, what is not and
// why.
type servicesScreen struct {
	table table
	ills  []string // what is not well, a line for each
	count string
}

func newServicesScreen() *servicesScreen {
	return &servicesScreen{table: table{
		empty: "nothing runs here: micro run DIRECTORY starts a service",
		columns: []column{
			{title: "NAME", most: 40},
			{title: "STATUS"},
			{title: "INST", right: true},
			{title: "REL", right: true, rank: 4},
			{title: "CALLS/S", right: true, rank: 1},
			{title: "FAILED", right: true, rank: 2},
			{title: "P50", right: true, rank: 7},
			{title: "P95", right: true, rank: 3},
			{title: "P99", right: true, rank: 8},
			{title: "CPU", right: true, rank: 5},
			{title: "MEM", right: true, rank: 5},
			{title: "RESTARTS", right: true, rank: 9},
			{title: "VERSION", most: 20, rank: 10},
			{title: "CALLS OF 5 MIN", rank: 6},
			{title: "UPDATED", rank: 11},
		},
	}}
}

func (s *servicesScreen) place() string      { return placeServices }
func (s *servicesScreen) title() string      { return "services" }
func (s *servicesScreen) feeds() []feed      { return nil }
func (s *servicesScreen) setFilter(f filter) { s.table.setFilter(f) }
func (s *servicesScreen) filtered() filter   { return s.table.filter }
func (s *servicesScreen) selection() string  { return s.table.selectedText() }

// receive makes the rows anew out of what all share.
func (s *servicesScreen) receive(m *Model, _ tea.Msg) {
	var rows []row
	s.ills = nil
	well := 0
	for _, name := range m.shared.names() {
		service := m.shared.run[name]
		rows = append(rows, s.row(m, name, service))
		if ill := illText(m, service); ill != "" {
			s.ills = append(s.ills, ill)
		} else {
			well++
		}
	}
	s.table.set(rows)
	s.count = fmt.Sprintf("%d of %d services are well", well, len(rows))
	if well == len(rows) && well > 0 {
		s.count = fmt.Sprintf("all %d services are well", well)
		if well == 1 {
			s.count = "the service is well"
		}
	}
}

func (s *servicesScreen) row(m *Model, name string, service *runtimev1.Service) row {
	r := row{id: name, cells: []cell{{text: m.config.Line(name), tone: strong}}}
	add := func(t tone, text string) { r.cells = append(r.cells, cell{text: m.config.Line(text), tone: t}) }
	st := service.GetStatus()
	if service == nil {
		add(good, "registered")
		add(plain, strconv.Itoa(len(m.shared.registered[name].GetInstances())))
		add(dim, "-")
	} else {
		add(phaseTone(st.GetPhase()), words.Phase(st.GetPhase()))
		add(plain, words.Instances(service))
		add(plain, words.Release(st))
	}
	figures := m.shared.figures[name]
	n := figures.GetFigures()
	add(plain, rateText(n))
	failed := dim
	if n.GetFailed() > 0 {
		failed = bad
	}
	add(failed, words.Failed(n))
	for _, d := range []*durationpb.Duration{n.GetP50(), n.GetP95(), n.GetP99()} {
		add(plain, words.Latency(d))
	}
	cpu, memory := usageText(figures.GetUsage())
	add(plain, cpu)
	add(plain, memory)
	restarts := 0
	for _, in := range st.GetInstances() {
		restarts += int(in.GetRestarts())
	}
	switch {
	case service == nil:
		add(dim, "-")
	case restarts > 0:
		add(warn, strconv.Itoa(restarts))
	default:
		add(dim, "0")
	}
	add(plain, service.GetSpec().GetVersion())
	add(accent, spark(callsOf(m.shared.points[name]), sparkWidth))
	updated := ""
	if service != nil {
		updated = words.Ago(m.config.Now(), st.GetUpdated().AsTime())
	}
	add(dim, updated)
	return r
}

// sparkWidth is how many points are drawn in a row of a table.
const sparkWidth = 30

func callsOf(points []*statsv1.Point) []float64 {
	var values []float64
	for _, p := range points {
		values = append(values, float64(p.GetCalls()))
	}
	return values
}

// illText says what is not well about a service, and why; empty when nothing is.
func illText(m *Model, s *runtimev1.Service) string {
	if s == nil || s.GetStatus().GetPhase() == runtimev1.Phase_PHASE_RUNNING {
		return ""
	}
	text := fmt.Sprintf("%s is %s", s.GetName(), words.Phase(s.GetStatus().GetPhase()))
	if why := words.Why(s); why != "" {
		text += ": " + why
	}
	return m.config.Line(text)
}

func (s *servicesScreen) act(m *Model, a action) tea.Cmd {
	if s.table.act(a) {
		return nil
	}
	name, ok := s.table.selected()
	if !ok {
		return nil
	}
	switch a {
	case actEnter:
		m.push(newServiceScreen(name))
	case actLogs:
		m.push(newLogsScreen(s.table.picked(), "", nil))
	default:
		return m.actOn(a, name)
	}
	return nil
}

// actOn does what can be done with a service on any screen.
func (m *Model) actOn(a action, name string) tea.Cmd {
	if m.shared.run[name] == nil && a != actDescribe {
		m.say(warn, name+" was not started by this server: it runs elsewhere, and has registered")
		return nil
	}
	switch a {
	case actDescribe:
		args := []string{"inspect", name}
		if m.shared.run[name] == nil {
			args = []string{"get", "service", name}
		}
		return m.showOutput("describe "+name, args)
	case actJournal:
		m.push(newJournalScreen(name))
	case actReleases:
		m.push(newReleasesScreen(name))
	case actScale:
		count := []rune(strconv.Itoa(int(max(1, m.shared.run[name].GetInstances()))))
		m.prompt = &prompt{label: "Instances of " + m.config.Line(name) + ": ", text: count, at: len(count), done: func(text string) tea.Cmd {
			m.ask("Scale "+name+"?", "scale", name, strings.TrimSpace(text), "--no-wait")
			return nil
		}}
	case actRestart:
		m.ask("Replace the instances of "+name+" one by one?", "restart", name, "--no-wait")
	case actUndo:
		m.ask("Take back what was changed last about "+name+"?", "undo", name, "--no-wait")
	case actKill:
		m.ask(fmt.Sprintf("Stop %s for good?", name), "kill", name)
	default: // it means nothing here
	}
	return nil
}

// maxIlls is how many lines say what is not well.
const maxIlls = 4

func (s *servicesScreen) view(m *Model, width, height int) []string {
	var lines []string
	if m.shared.synced {
		t, mark := good, "✓ "
		if len(s.ills) > 0 {
			t, mark = warn, "! "
		}
		if len(s.table.rows) > 0 {
			lines = append(lines, m.palette.paint(t, fit(mark+s.count, width)))
		}
		room := min(maxIlls, max(1, height/4))
		for i, ill := range s.ills {
			if i == room-1 && len(s.ills) > room {
				lines = append(lines, m.palette.paint(dim, fit(fmt.Sprintf("  and %d more", len(s.ills)-i), width)))
				break
			}
			lines = append(lines, m.palette.paint(bad, fit("  "+ill, width)))
		}
	}
	empty := s.table.empty
	if !m.shared.synced && m.waits(nil) {
		s.table.empty = "asking the server…"
	}
	lines = append(lines, s.table.view(m.palette, width, height-len(lines), true)...)
	s.table.empty = empty
	return padLines(lines, width, height)
}

func phaseTone(p runtimev1.Phase) tone {
	switch p {
	case runtimev1.Phase_PHASE_RUNNING:
		return good
	case runtimev1.Phase_PHASE_CRASHED, runtimev1.Phase_PHASE_UNHEALTHY:
		return bad
	default:
		return warn
	}
}

func rateText(f *statsv1.Figures) string {
	if f.GetCalls() == 0 && f.GetInFlight() == 0 {
		return "-"
	}
	return strconv.FormatFloat(f.GetRate(), 'f', 1, 64)
}

func usageText(u *statsv1.Usage) (cpu, memory string) {
	if u == nil {
		return words.CPU(u), "-"
	}
	return words.CPU(u), words.ShortSize(u.GetMemory())
}

// spark draws values as a line of bars, the newest at its end.
func spark(values []float64, width int) string {
	values = values[max(0, len(values)-width):]
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		switch {
		case v <= 0 || most == 0:
			b.WriteRune('▁')
		default:
			b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(7, 1+int(v/most*6.999))])
		}
	}
	return strings.Repeat(" ", width-len(values)) + b.String()
}
