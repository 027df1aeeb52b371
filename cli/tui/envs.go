package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/words"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// listedMsg are the environments that there are.
type listedMsg struct {
	all []Environment
	err error
}

// placesScreen is a list of places to work in: environments or namespaces.
type placesScreen struct {
	where string
	table table
}

func newEnvsScreen() *placesScreen {
	return &placesScreen{where: placeEnvs, table: table{empty: "there is none", columns: []column{
		{title: "ENVIRONMENT", most: 30},
		{title: "ADDRESS", rank: 1},
		{title: "NAMESPACE", rank: 2},
		{title: "ACCOUNT", rank: 3},
		{title: "PROTECTED", rank: 4},
		{title: "DESCRIPTION", rank: 5},
	}}}
}

func newNamespacesScreen() *placesScreen {
	return &placesScreen{where: placeSpaces, table: table{empty: "asking the server…", columns: []column{
		{title: "NAMESPACE", most: 63},
		{title: "CREATED", rank: 2},
		{title: "STATE", rank: 1},
	}}}
}

func (s *placesScreen) place() string      { return s.where }
func (s *placesScreen) title() string      { return s.where }
func (s *placesScreen) setFilter(f filter) { s.table.setFilter(f) }
func (s *placesScreen) filtered() filter   { return s.table.filter }
func (s *placesScreen) selection() string  { id, _ := s.table.selected(); return id }

func (s *placesScreen) feeds() []feed {
	if s.where == placeEnvs {
		return nil
	}
	return []feed{once("namespaces", 0, func(ctx context.Context, conn grpc.ClientConnInterface) (*authv1.ListNamespacesResponse, error) {
		all := &authv1.ListNamespacesResponse{}
		for {
			rsp, err := authv1.NewNamespacesClient(conn).List(ctx, &authv1.ListNamespacesRequest{PageToken: all.GetNextPageToken(), PageSize: 1000})
			if err != nil {
				return nil, err
			}
			all.Namespaces, all.NextPageToken = append(all.Namespaces, rsp.GetNamespaces()...), rsp.GetNextPageToken()
			if all.GetNextPageToken() == "" {
				return all, nil
			}
		}
	})}
}

func (s *placesScreen) receive(m *Model, msg tea.Msg) {
	rsp, ok := msg.(*authv1.ListNamespacesResponse)
	if !ok {
		return
	}
	var rows []row
	for _, n := range rsp.GetNamespaces() {
		created, state := "", ""
		if n.GetCreated() != nil {
			created = words.Ago(m.config.Now(), n.GetCreated().AsTime())
		}
		if n.GetDeleting() {
			state = "being deleted"
		}
		rows = append(rows, row{id: n.GetName(), cells: []cell{current(m, n.GetName(), m.session.Namespace), {text: created, tone: dim}, {text: state, tone: warn}}})
	}
	s.table.set(rows)
	s.choose(m.session.Namespace)
}

// current is the cell with the name of a place, with a mark when one is there.
func current(m *Model, name, here string) cell {
	if name == here {
		return cell{text: m.config.Line(name) + " ←", tone: strong}
	}
	return cell{text: m.config.Line(name)}
}

func (s *placesScreen) choose(id string) {
	s.table.chosen = id
	s.table.refilter()
}

// listEnvironments reads which environments there are.
func (m *Model) listEnvironments() tea.Cmd {
	list := m.config.Environments
	return m.later(func(context.Context) tea.Msg {
		all, err := list()
		return listedMsg{all, err}
	})
}

// listed fills the list of environments.
func (m *Model) listed(msg listedMsg) {
	s, ok := m.top().(*placesScreen)
	if !ok || s.where != placeEnvs {
		return
	}
	if msg.err != nil {
		m.say(bad, m.config.Explain(msg.err))
		return
	}
	var rows []row
	for _, e := range msg.all {
		protected := ""
		if e.Protected {
			protected = "protected"
		}
		r := row{id: e.Name, cells: []cell{current(m, e.Name, m.session.Environment)}}
		for _, text := range []string{e.Address, e.Namespace, e.Account, protected, e.Description} {
			r.cells = append(r.cells, cell{text: m.config.Line(text)})
		}
		rows = append(rows, r)
	}
	s.table.set(rows)
	s.choose(m.session.Environment)
}

func (s *placesScreen) act(m *Model, a action) tea.Cmd {
	if a != actEnter {
		s.table.act(a)
		return nil
	}
	id, ok := s.table.selected()
	if !ok {
		return nil
	}
	if s.where == placeEnvs {
		return m.connect(id, "")
	}
	return m.connect(m.session.Environment, id)
}

// connect goes to another environment or namespace.
func (m *Model) connect(env, namespace string) tea.Cmd {
	m.say(dim, "goes to "+env+"/"+namespace)
	connect := m.config.Connect
	return m.later(func(context.Context) tea.Msg {
		s, err := connect(env, namespace)
		return connectedMsg{s, err}
	})
}

// connected begins anew in another place; it stays where it is when that cannot be.
func (m *Model) connected(msg connectedMsg) {
	if msg.err != nil {
		m.say(bad, m.config.Explain(msg.err))
		return
	}
	m.stop(nil, true)
	m.session.close()
	m.session, m.reading = msg.session, msg.session.Protected
	m.shared.reset()
	m.home()
	m.say(good, "works in "+m.session.Environment+"/"+m.session.Namespace)
	m.begin()
}

func (s *placesScreen) view(m *Model, width, height int) []string {
	return s.table.view(m.palette, width, height, true)
}
