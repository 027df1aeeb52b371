package server

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/stats"
	"github.com/micro/micro/v3/dynamic"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
)

const (
	statsWindow = time.Minute
	frameWindow = 10 * time.Second
	framePeriod = time.Second
)

// statsAPI answers micro.stats.v1.Stats.
type statsAPI struct {
	statsv1.UnimplementedStatsServer
	stats    *stats.Stats
	registry *registry.Registry
	deployer *deploy.Deployer
}

// newStats returns the stats of the server, which know methods by the schemas that it
// has and what is used by its runtime, if that can tell.
func (s *Server) newStats(apis *dynamic.Schema) *stats.Stats {
	return stats.New(stats.Config{
		Method: func(ctx context.Context, ns, digest, path string) (known, streams bool) {
			if ns == "" { // one of the server's own
				return method(apis, path)
			}
			schema, err := s.schemas.get(ctx, ns, digest)
			if err != nil {
				return false, false
			}
			return method(schema, path)
		},
		Usage: func(ctx context.Context) ([]stats.Usage, error) {
			meter, ok := s.runtime.(runtime.Meter)
			if !ok {
				return nil, nil
			}
			list, err := meter.Usage(ctx)
			var out []stats.Usage
			for _, u := range list {
				out = append(out, stats.Usage{Namespace: u.Namespace, Service: u.Service, Instance: u.ID, CPU: u.CPU, Memory: u.Memory})
			}
			return out, err
		},
	})
}

// method reports whether a schema has a method, and whether that sends several answers.
func method(schema *dynamic.Schema, path string) (known, streams bool) {
	name := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
	d, err := schema.Files().FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return false, false
	}
	m, ok := d.(protoreflect.MethodDescriptor)
	return ok, ok && m.IsStreamingServer()
}

func (a *statsAPI) Get(ctx context.Context, req *statsv1.GetRequest) (*statsv1.GetResponse, error) {
	if req.GetService() == "" {
		return nil, invalid("no service")
	}
	q, err := query(ctx, req.GetWindow(), statsWindow)
	if err != nil {
		return nil, err
	}
	q.Service = req.GetService()
	if req.GetPoints() {
		q.Points = stats.OfWindow
	}
	f, err := a.read(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(f.Services) == 0 {
		return nil, noService(req.GetService(), q.Namespace)
	}
	return &statsv1.GetResponse{Frame: frame(f)}, nil
}

func (a *statsAPI) List(ctx context.Context, req *statsv1.ListRequest) (*statsv1.ListResponse, error) {
	page, err := listingOf(req, callerOf(ctx).namespace)
	if err != nil {
		return nil, err
	}
	q, err := query(ctx, req.GetWindow(), statsWindow)
	if err != nil {
		return nil, err
	}
	if req.GetPoints() {
		q.Points = stats.OfWindow
	}
	f, err := a.read(ctx, q)
	if err != nil {
		return nil, err
	}
	f.Services = slices.DeleteFunc(f.Services, func(s stats.Service) bool { return s.Name <= page.after })
	rsp := &statsv1.ListResponse{}
	if len(f.Services) > page.size {
		f.Services = f.Services[:page.size]
		rsp.NextPageToken = page.next(f.Services[page.size-1].Name)
	}
	rsp.Frame = frame(f)
	return rsp, nil
}

func (a *statsAPI) Watch(req *statsv1.WatchRequest, out grpc.ServerStreamingServer[statsv1.WatchResponse]) error {
	ctx := out.Context()
	q, err := query(ctx, req.GetWindow(), frameWindow)
	if err != nil {
		return err
	}
	q.Service, q.Points = req.GetService(), 0
	tick := time.NewTicker(framePeriod)
	defer tick.Stop()
	for {
		f, err := a.read(ctx, q)
		if err != nil {
			return err
		}
		if err := out.Send(&statsv1.WatchResponse{Frame: frame(f)}); err != nil {
			return err
		}
		q.Points = f.Tick
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// query returns what is asked for, without points.
func query(ctx context.Context, window *durationpb.Duration, otherwise time.Duration) (stats.Query, error) {
	q := stats.Query{Namespace: callerOf(ctx).namespace, Window: otherwise, Points: stats.None}
	if window == nil {
		return q, nil
	}
	if q.Window = window.AsDuration(); q.Window <= 0 || q.Window > stats.Kept {
		return q, invalid("a window of %s, which is not above zero and up to %s", q.Window, stats.Kept)
	}
	return q, nil
}

// read returns what was counted of services that are there or were called in the
// window, and of their instances that are or were.
func (a *statsAPI) read(ctx context.Context, q stats.Query) (stats.Frame, error) {
	f := a.stats.Read(q)
	d, err := a.registry.Directory(ctx, q.Namespace)
	if err != nil {
		return f, err
	}
	counted := map[string]stats.Service{}
	for _, s := range f.Services {
		counted[s.Name] = s
	}
	there := map[string][]string{} // the ids of the instances of each service
	for _, name := range a.deployer.Names(q.Namespace) {
		there[name] = nil
	}
	for name, instances := range d.Services() {
		for _, in := range instances {
			there[name] = append(there[name], in.ID)
		}
	}
	f.Services = nil
	for name := range there {
		if _, is := counted[name]; !is {
			counted[name] = stats.Service{Report: stats.Report{Name: name}}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(counted)) {
		s := counted[name]
		_, is := there[name]
		if q.Service != "" && name != q.Service || !is && !busy(s.Report) {
			continue
		}
		if q.Service != "" {
			s.Instances = instanceReports(there[name], s.Instances)
		}
		f.Services = append(f.Services, s)
	}
	return f, nil
}

// busy reports whether something is told of a service or an instance.
func busy(r stats.Report) bool { return r.Calls > 0 || r.InFlight > 0 || r.Usage != nil }

// instanceReports returns the reports of the instances that are there or busy.
func instanceReports(ids []string, counted []stats.Report) []stats.Report {
	of := map[string]stats.Report{}
	for _, id := range ids {
		of[id] = stats.Report{Name: id}
	}
	for _, r := range counted {
		if _, is := of[r.Name]; is || busy(r) {
			of[r.Name] = r
		}
	}
	var out []stats.Report
	for _, id := range slices.Sorted(maps.Keys(of)) {
		out = append(out, of[id])
	}
	return out
}

func frame(f stats.Frame) *statsv1.Frame {
	out := &statsv1.Frame{Time: timestamppb.New(f.At), Window: durationpb.New(f.Window)}
	for _, s := range f.Services {
		m := &statsv1.Service{Name: s.Name, Figures: figures(s.Figures, f.Window), Usage: usage(s.Usage), Points: points(s.Points)}
		for _, e := range s.Endpoints {
			m.Endpoints = append(m.Endpoints, &statsv1.Endpoint{
				Name: endpointName(e.Name), Path: e.Name, Figures: figures(e.Figures, f.Window), Points: points(e.Points),
			})
		}
		for _, in := range s.Instances {
			m.Instances = append(m.Instances, &statsv1.Instance{
				Id: in.Name, Figures: figures(in.Figures, f.Window), Usage: usage(in.Usage), Points: points(in.Points),
			})
		}
		out.Services = append(out.Services, m)
	}
	return out
}

// endpointName returns Service.Method of a path; empty when it is.
func endpointName(path string) string {
	service, method, err := proxy.SplitPath(path)
	if err != nil {
		return ""
	}
	return proxy.Endpoint(service, method)
}

func figures(f stats.Figures, window time.Duration) *statsv1.Figures {
	out := &statsv1.Figures{
		Calls:       f.Calls,
		Rate:        rounded(float64(f.Calls) / max(window, time.Millisecond).Seconds()),
		Failed:      f.Failed,
		P50:         duration(f.P50),
		P95:         duration(f.P95),
		P99:         duration(f.P99),
		InFlight:    f.InFlight,
		TotalCalls:  f.TotalCalls,
		TotalFailed: f.TotalFailed,
	}
	for code, n := range f.Codes {
		if code == 0 || n == 0 {
			continue
		}
		if out.Errors == nil {
			out.Errors = map[string]int64{}
		}
		out.Errors[codes.Code(code).String()] = n
	}
	return out
}

// rounded leaves out what nobody reads.
func rounded(f float64) float64 { return math.Round(f*1000) / 1000 }

func usage(u *stats.Used) *statsv1.Usage {
	if u == nil {
		return nil
	}
	return &statsv1.Usage{Cpu: rounded(u.Cores), Memory: u.Memory}
}

func points(list []stats.Point) []*statsv1.Point {
	var out []*statsv1.Point
	for _, p := range list {
		out = append(out, &statsv1.Point{
			Time:   timestamppb.New(p.At),
			Length: durationpb.New(p.Length),
			Calls:  p.Calls,
			Failed: p.Failed,
			P50:    duration(p.P50),
			P95:    duration(p.P95),
			P99:    duration(p.P99),
			Usage:  usage(p.Usage),
		})
	}
	return out
}
