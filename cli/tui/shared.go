package tui

import (
	"context"
	"maps"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
)

// shared is what all screens know: the services of the namespace and their figures.
type shared struct {
	run        map[string]*runtimev1.Service  // those that should run
	registered map[string]*registryv1.Service // those that can be called
	figures    map[string]*statsv1.Service
	points     map[string][]*statsv1.Point
	synced     bool // all that should run are known

	// What has been sent since a watch began anew; the rest is gone when it is synced.
	seenRun, seenRegistered map[string]bool
}

// keptPoints is how many points of a service are kept: five minutes.
const keptPoints = 60

func (d *shared) reset() {
	*d = shared{
		run: map[string]*runtimev1.Service{}, registered: map[string]*registryv1.Service{},
		figures: map[string]*statsv1.Service{}, points: map[string][]*statsv1.Point{},
	}
}

// feeds are what is always asked for. A server that has no statistics or no registry
// shows the rest.
func (d *shared) feeds() []feed {
	return []feed{
		{name: "services", run: func(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error {
			stream, err := runtimev1.NewRuntimeClient(conn).Watch(ctx, &runtimev1.WatchRequest{})
			emit(startMsg{of: "run"})
			return watch(stream, err, emit)
		}},
		{name: "registry", run: func(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error {
			stream, err := registryv1.NewRegistryClient(conn).Watch(ctx, &registryv1.WatchRequest{})
			emit(startMsg{of: "registered"})
			return watch(stream, err, emit)
		}},
		{name: "stats", run: func(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error {
			stream, err := statsv1.NewStatsClient(conn).Watch(ctx, &statsv1.WatchRequest{Window: durationpb.New(window)})
			return watch(stream, err, emit)
		}},
	}
}

// window is the time that figures are of.
const window = 30 * time.Second

func (d *shared) receive(_ *Model, msg tea.Msg) {
	switch msg := msg.(type) {
	case startMsg:
		if msg.of == "run" {
			d.seenRun = map[string]bool{}
		} else {
			d.seenRegistered = map[string]bool{}
		}
	case *runtimev1.WatchResponse:
		d.receiveRun(msg)
	case *registryv1.WatchResponse:
		d.receiveRegistered(msg)
	case *statsv1.WatchResponse:
		d.receiveFigures(msg.GetFrame())
	}
}

func (d *shared) receiveRun(msg *runtimev1.WatchResponse) {
	if s := msg.GetService(); s != nil {
		d.run[s.GetName()] = s
		if d.seenRun != nil {
			d.seenRun[s.GetName()] = true
		}
	}
	delete(d.run, msg.GetRemoved())
	if msg.GetSynced() {
		forget(d.run, d.seenRun)
		d.seenRun, d.synced = nil, true
	}
}

func (d *shared) receiveRegistered(msg *registryv1.WatchResponse) {
	if s := msg.GetService(); s != nil {
		if len(s.GetInstances()) == 0 {
			delete(d.registered, s.GetName())
		} else {
			d.registered[s.GetName()] = s
		}
		if d.seenRegistered != nil {
			d.seenRegistered[s.GetName()] = true
		}
	}
	if msg.GetSynced() {
		forget(d.registered, d.seenRegistered)
		d.seenRegistered = nil
	}
}

// forget deletes what was not seen.
func forget[T any](all map[string]T, seen map[string]bool) {
	maps.DeleteFunc(all, func(name string, _ T) bool { return seen != nil && !seen[name] })
}

func (d *shared) receiveFigures(f *statsv1.Frame) {
	clear(d.figures)
	for _, s := range f.GetServices() {
		d.figures[s.GetName()] = s
		d.points[s.GetName()] = newest(d.points[s.GetName()], s.GetPoints())
	}
	maps.DeleteFunc(d.points, func(name string, _ []*statsv1.Point) bool { return d.figures[name] == nil })
}

// newest adds points to those that there are, and keeps the newest. A watch that begins
// anew sends points that are there already.
func newest(have, more []*statsv1.Point) []*statsv1.Point {
	for _, p := range more {
		if n := len(have); n == 0 || p.GetTime().AsTime().After(have[n-1].GetTime().AsTime()) {
			have = append(have, p)
		}
	}
	return have[max(0, len(have)-keptPoints):]
}

// names returns the names of all services.
func (d *shared) names() []string {
	all := map[string]bool{}
	for name := range d.run {
		all[name] = true
	}
	for name := range d.registered {
		all[name] = true
	}
	return slices.Sorted(maps.Keys(all))
}
