package tui

import (
	"context"
	"fmt"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/words"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// releasesPeriod is how often releases are asked for.
const releasesPeriod = 3 * time.Second

// newReleasesScreen lists the releases of a service that are kept.
func newReleasesScreen(service string) *listScreen {
	return &listScreen{
		where: placeReleases, name: "releases of " + service,
		table: table{empty: "there is no release", columns: []column{
			{title: "RELEASE", right: true},
			{title: "STATE"},
			{title: "CREATED"},
			{title: "BY", most: 24, rank: 1},
			{title: "ACTION", rank: 2},
			{title: "VERSION", most: 20, rank: 3},
			{title: "BUILD", rank: 4},
			{title: "SOURCE", rank: 5},
		}},
		ask: once("releases of "+service, releasesPeriod, func(ctx context.Context, conn grpc.ClientConnInterface) (*runtimev1.ReleasesResponse, error) {
			return runtimev1.NewRuntimeClient(conn).Releases(ctx, &runtimev1.ReleasesRequest{Name: service})
		}),
		rows: func(m *Model, msg tea.Msg) []row {
			rsp, _ := msg.(*runtimev1.ReleasesResponse)
			return releaseRows(m, m.shared.run[service].GetStatus(), rsp.GetReleases())
		},
		other: func(m *Model, a action, id string) tea.Cmd {
			if a == actRollback {
				m.ask(fmt.Sprintf("Go back to release %s of %s?", id, service), "rollback", service, id, "--no-wait")
			}
			return nil
		},
	}
}

func releaseRows(m *Model, now *runtimev1.Status, all []*runtimev1.Release) []row {
	var rows []row
	for _, r := range all {
		state, t := releaseState(r, now)
		number := strconv.FormatInt(r.GetNumber(), 10)
		line := row{id: number, cells: []cell{{text: number, tone: strong}, {text: state, tone: t}, {text: words.Ago(m.config.Now(), r.GetCreated().AsTime())}}}
		for _, text := range []string{r.GetBy(), words.ReleaseAction(r), r.GetSpec().GetVersion(), words.Digest(r.GetSpec().GetImage()), words.Source(r.GetSpec().GetSource())} {
			line.cells = append(line.cells, cell{text: m.config.Line(text)})
		}
		rows = append(rows, line)
	}
	return rows
}

// releaseState says what a release is for its service, and how good that is.
func releaseState(r *runtimev1.Release, now *runtimev1.Status) (string, tone) {
	text := words.ReleaseState(r, now)
	switch {
	case text == "current" && r.GetNumber() != now.GetServingRelease():
		return text + ", and does not serve", warn
	case text == "failed":
		return text, bad
	case text == "":
		return text, plain
	default:
		return text, good
	}
}
