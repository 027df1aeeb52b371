package tui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/cli/words"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
)

// serviceScreen is all of one service: how it does, its instances and its endpoints.
type serviceScreen struct {
	name      string
	described *registryv1.Service // what can be called of it
	gone      bool
	figures   *statsv1.Service
	points    []*statsv1.Point

	instances, endpoints table
	onEndpoints          bool // keys act on the endpoints
}

func newServiceScreen(name string) *serviceScreen {
	return &serviceScreen{
		name: name,
		instances: table{empty: "no instance", columns: []column{
			{title: "INSTANCE", most: 36},
			{title: "STATUS"},
			{title: "REL", right: true, rank: 3},
			{title: "RESTARTS", right: true, rank: 2},
			{title: "CALLS/S", right: true, rank: 4},
			{title: "P95", right: true, rank: 5},
			{title: "CPU", right: true, rank: 6},
			{title: "MEM", right: true, rank: 6},
			{title: "ADDRESS", rank: 7},
			{title: "STARTED", rank: 8},
			{title: "REASON"},
		}},
		endpoints: table{empty: "nothing can be called now", columns: []column{
			{title: "ENDPOINT", most: 50},
			{title: "CALLS/S", right: true, rank: 2},
			{title: "FAILED", right: true, rank: 4},
			{title: "P50", right: true, rank: 5},
			{title: "P95", right: true, rank: 3},
			{title: "P99", right: true, rank: 6},
			{title: "COMMENT"},
		}},
	}
}

func (s *serviceScreen) place() string { return placeService }
func (s *serviceScreen) title() string { return s.name }

// registryPeriod is how often it is asked what can be called.
const registryPeriod = 10 * time.Second

func (s *serviceScreen) feeds() []feed {
	return []feed{
		once("endpoints", registryPeriod, func(ctx context.Context, conn grpc.ClientConnInterface) (*registryv1.GetResponse, error) {
			rsp, err := registryv1.NewRegistryClient(conn).Get(ctx, &registryv1.GetRequest{Name: s.name})
			if status.Code(err) == codes.NotFound { // no instance is up now
				return &registryv1.GetResponse{}, nil
			}
			return rsp, err
		}),
		{name: "stats of " + s.name, run: func(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error {
			stream, err := statsv1.NewStatsClient(conn).Watch(ctx, &statsv1.WatchRequest{Service: s.name, Window: durationpb.New(window)})
			return watch(stream, err, emit)
		}},
	}
}

func (s *serviceScreen) receive(m *Model, msg tea.Msg) {
	switch msg := msg.(type) {
	case *registryv1.GetResponse:
		s.described = msg.GetService()
	case *statsv1.WatchResponse:
		s.figures = nil
		if all := msg.GetFrame().GetServices(); len(all) > 0 {
			s.figures = all[0]
			s.points = newest(s.points, s.figures.GetPoints())
		}
	}
	s.gone = m.shared.synced && m.shared.run[s.name] == nil && m.shared.registered[s.name] == nil
	s.fillInstances(m)
	s.fillEndpoints(m)
}

func (s *serviceScreen) fillInstances(m *Model) {
	figures := map[string]*statsv1.Instance{}
	for _, in := range s.figures.GetInstances() {
		figures[in.GetId()] = in
	}
	var rows []row
	add := func(id string, t tone, phase, release, restarts, address, started, reason string) {
		n := figures[id]
		cpu, memory := usageText(n.GetUsage())
		r := row{id: id}
		for i, text := range []string{id, phase, release, restarts, rateText(n.GetFigures()), words.Latency(n.GetFigures().GetP95()), cpu, memory, address, started, reason} {
			c := cell{text: m.config.Line(text)}
			if i == 1 {
				c.tone = t
			}
			r.cells = append(r.cells, c)
		}
		rows = append(rows, r)
	}
	now := m.config.Now()
	known := map[string]bool{}
	for _, in := range m.shared.run[s.name].GetStatus().GetInstances() {
		known[in.GetId()] = true
		reason := in.GetReason()
		if in.GetNextStart() != nil {
			reason += fmt.Sprintf("; next start in %s", max(0, in.GetNextStart().AsTime().Sub(now).Round(time.Second)))
		}
		if in.GetCause() != "" {
			reason += "; most likely: " + in.GetCause()
		}
		add(in.GetId(), phaseTone(in.GetPhase()), words.Phase(in.GetPhase()), strconv.FormatInt(in.GetRelease(), 10),
			strconv.Itoa(int(in.GetRestarts())), in.GetAddress(), words.Ago(now, in.GetStarted().AsTime()), strings.TrimPrefix(reason, "; "))
	}
	for _, in := range m.shared.registered[s.name].GetInstances() {
		if !known[in.GetId()] && m.shared.run[s.name] == nil {
			add(in.GetId(), good, "registered", "-", "-", in.GetAddress(), words.Ago(now, in.GetSince().AsTime()), "runs elsewhere")
		}
	}
	s.instances.set(rows)
}

func (s *serviceScreen) fillEndpoints(m *Model) {
	figures := map[string]*statsv1.Endpoint{}
	for _, e := range s.figures.GetEndpoints() {
		figures[e.GetPath()] = e
	}
	var rows []row
	for _, e := range s.described.GetEndpoints() {
		n := figures[e.GetPath()].GetFigures()
		comment := strings.Join(strings.Fields(e.GetComment()), " ")
		if e.GetClientStreaming() || e.GetServerStreaming() {
			comment = "(stream) " + comment
		}
		failed := dim
		if n.GetFailed() > 0 {
			failed = bad
		}
		rows = append(rows, row{id: e.GetPath(), cells: []cell{
			{text: m.config.Line(e.GetName()), tone: strong},
			{text: rateText(n)},
			{text: words.Failed(n), tone: failed},
			{text: words.Latency(n.GetP50())},
			{text: words.Latency(n.GetP95())},
			{text: words.Latency(n.GetP99())},
			{text: m.config.Line(comment), tone: dim},
		}})
	}
	s.endpoints.set(rows)
}

func (s *serviceScreen) focused() *table {
	if s.onEndpoints {
		return &s.endpoints
	}
	return &s.instances
}

func (s *serviceScreen) setFilter(f filter) { s.focused().setFilter(f) }
func (s *serviceScreen) filtered() filter   { return s.focused().filter }

// selection is the instance's row, or the command that calls the endpoint.
func (s *serviceScreen) selection() string {
	if !s.onEndpoints {
		return s.instances.selectedText()
	}
	path, _ := s.endpoints.selected()
	for _, e := range s.described.GetEndpoints() {
		if e.GetPath() == path {
			return commandText([]string{"call", s.name, e.GetName()})
		}
	}
	return ""
}

func (s *serviceScreen) act(m *Model, a action) tea.Cmd {
	if a != actMark && s.focused().act(a) {
		return nil
	}
	switch a {
	case actNext:
		s.onEndpoints = !s.onEndpoints
	case actLogs:
		instance, ok := s.instances.selected()
		if s.onEndpoints || !ok || len(s.instances.rows) == 1 {
			instance = ""
		}
		m.push(newLogsScreen([]string{s.name}, instance, nil))
	case actPrevious:
		for _, in := range m.shared.run[s.name].GetStatus().GetInstances() {
			if id, _ := s.instances.selected(); in.GetId() == id {
				m.push(newLogsScreen([]string{s.name}, id, in.GetStarted()))
				return nil
			}
		}
		m.say(warn, "there is no instance that this server started")
	default:
		return m.actOn(a, s.name)
	}
	return nil
}

func (s *serviceScreen) view(m *Model, width, height int) []string {
	lines := s.summary(m, width)
	if height < 14 {
		lines = lines[:min(len(lines), 2)]
	} else if spare := height - len(lines) - len(s.instances.shown) - len(s.endpoints.shown) - 3; spare >= 8 || height >= 24 {
		lines = append(lines, s.sparks(m, width)...)
	}
	room := height - len(lines)
	if room < 8 { // one part at a time
		return padLines(append(lines, s.focused().view(m.palette, width, room, true)...), width, height)
	}
	top := min(len(s.instances.shown)+1, max(room/2, room-len(s.endpoints.shown)-2))
	top = max(top, 2)
	lines = append(lines, s.instances.view(m.palette, width, top, !s.onEndpoints)...)
	lines = append(lines, fit("", width))
	lines = append(lines, s.endpoints.view(m.palette, width, max(0, height-len(lines)), s.onEndpoints)...)
	return padLines(lines, width, height)
}

// summary says in a few lines what the service is and how it does.
func (s *serviceScreen) summary(m *Model, width int) []string {
	p, service := m.palette, m.shared.run[s.name]
	st := service.GetStatus()
	if service == nil {
		text, t := "runs elsewhere, and has registered", good
		if s.gone {
			text, t = "is gone", warn
		} else if !m.shared.synced {
			text, t = "…", dim
		}
		return []string{p.paint(t, fit(m.config.Line(s.name)+" "+text, width))}
	}
	text := fmt.Sprintf("%s: %s, %d of %d instances, release %s", s.name, words.Phase(st.GetPhase()), words.Running(service), max(1, service.GetInstances()), words.Release(st))
	if v := service.GetSpec().GetVersion(); v != "" {
		text += ", version " + v
	}
	lines := []string{p.paint(phaseTone(st.GetPhase()), fit(m.config.Line(text), width))}
	if ill := illText(m, service); ill != "" {
		lines = append(lines, p.paint(bad, fit(ill, width)))
	}
	source := service.GetSpec().GetSource()
	from := source.GetAddress()
	if source.GetFolder() != "" {
		from += "/" + source.GetFolder()
	}
	if source.GetRevision() != "" {
		from += " at " + source.GetRevision()[:min(12, len(source.GetRevision()))]
	}
	if from != "" {
		from = "from " + from + ", "
	}
	lines = append(lines, p.paint(dim, fit(m.config.Line(fmt.Sprintf("%supdated %s by %s", from, words.Ago(m.config.Now(), st.GetUpdated().AsTime()), st.GetUpdatedBy())), width)))
	for _, in := range st.GetInstances() {
		if len(in.GetLastLines()) == 0 || in.GetPhase() == runtimev1.Phase_PHASE_RUNNING {
			continue
		}
		for _, l := range in.GetLastLines()[max(0, len(in.GetLastLines())-3):] {
			lines = append(lines, p.paint(dim, fit("  | "+m.config.Line(l), width)))
		}
		break
	}
	return append(lines, fit("", width))
}

// sparks draws the figures of the last minutes.
func (s *serviceScreen) sparks(m *Model, width int) []string {
	n := s.figures.GetFigures()
	cpu, memory := usageText(s.figures.GetUsage())
	var lines []string
	add := func(label, now string, value func(p *statsv1.Point) float64) {
		var values []float64
		for _, p := range s.points {
			values = append(values, value(p))
		}
		drawn := max(1, min(keptPoints, width-18))
		lines = append(lines, fit(fit(label, 8)+m.palette.paint(accent, spark(values, drawn))+" "+now, width))
	}
	ms := func(d *durationpb.Duration) float64 { return float64(d.AsDuration()) }
	add("calls/s", rateText(n), func(p *statsv1.Point) float64 { return float64(p.GetCalls()) })
	add("failed", words.Failed(n), func(p *statsv1.Point) float64 { return float64(p.GetFailed()) })
	add("p50", words.Latency(n.GetP50()), func(p *statsv1.Point) float64 { return ms(p.GetP50()) })
	add("p95", words.Latency(n.GetP95()), func(p *statsv1.Point) float64 { return ms(p.GetP95()) })
	add("p99", words.Latency(n.GetP99()), func(p *statsv1.Point) float64 { return ms(p.GetP99()) })
	add("cpu", cpu, func(p *statsv1.Point) float64 { return p.GetUsage().GetCpu() })
	add("memory", memory, func(p *statsv1.Point) float64 { return float64(p.GetUsage().GetMemory()) })
	return slices.Concat(lines, []string{fit("", width)})
}
