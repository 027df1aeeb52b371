package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/runtime"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

var (
	errNoImage  = errors.New("the image is not in this server's registry")
	errPlatform = errors.New("the image is not for the platform of this server")
)

// runtimeAPI answers micro.runtime.v1.Runtime.
type runtimeAPI struct {
	runtimev1.UnimplementedRuntimeServer
	deployer *deploy.Deployer
	runtime  runtime.Runtime
	// hasImage returns an error when the server's registry has no such image, or
	// none that can run here.
	hasImage func(ctx context.Context, ref string) error
}

func (r *runtimeAPI) Apply(ctx context.Context, req *runtimev1.ApplyRequest) (*runtimev1.ApplyResponse, error) {
	c := callerOf(ctx)
	if err := checkServiceName(req.GetName()); err != nil {
		return nil, err
	}
	spec := specFrom(req.GetSpec())
	// An image of another namespace does not become one's own by running it.
	if !strings.HasPrefix(spec.Image, c.namespace+"/") {
		return nil, fmt.Errorf("%s: %w", spec.Image, errNoImage)
	}
	if err := r.hasImage(ctx, spec.Image); err != nil {
		return nil, err
	}
	_, changed, err := r.deployer.Apply(ctx, c.namespace, req.GetName(), spec, c.ID, req.GetUpdateOnly(), req.GetRestart())
	if err != nil {
		return nil, r.about(ctx, req.GetName(), err)
	}
	s, err := r.deployer.Service(ctx, c.namespace, req.GetName())
	if err != nil {
		return nil, r.about(ctx, req.GetName(), err)
	}
	return &runtimev1.ApplyResponse{Service: service(s), Changed: changed}, nil
}

func (r *runtimeAPI) Get(ctx context.Context, req *runtimev1.GetRequest) (*runtimev1.GetResponse, error) {
	s, err := r.deployer.Service(ctx, callerOf(ctx).namespace, req.GetName())
	if err != nil {
		return nil, r.about(ctx, req.GetName(), err)
	}
	return &runtimev1.GetResponse{Service: service(s)}, nil
}

func (r *runtimeAPI) List(ctx context.Context, _ *runtimev1.ListRequest) (*runtimev1.ListResponse, error) {
	services, err := r.deployer.Services(ctx, callerOf(ctx).namespace)
	if err != nil {
		return nil, err
	}
	rsp := &runtimev1.ListResponse{}
	for _, s := range services {
		rsp.Services = append(rsp.Services, service(s))
	}
	return rsp, nil
}

func (r *runtimeAPI) Delete(ctx context.Context, req *runtimev1.DeleteRequest) (*runtimev1.DeleteResponse, error) {
	if err := r.deployer.Delete(ctx, callerOf(ctx).namespace, req.GetName()); err != nil {
		return nil, r.about(ctx, req.GetName(), err)
	}
	return &runtimev1.DeleteResponse{}, nil
}

func (r *runtimeAPI) Watch(req *runtimev1.WatchRequest, out grpc.ServerStreamingServer[runtimev1.WatchResponse]) error {
	ctx := out.Context()
	err := r.deployer.Watch(ctx, callerOf(ctx).namespace, req.GetName(), func(s deploy.Service) error {
		return out.Send(&runtimev1.WatchResponse{Service: service(s)})
	})
	return r.about(ctx, req.GetName(), err)
}

// about says which service an error is about.
func (r *runtimeAPI) about(ctx context.Context, name string, err error) error {
	if errors.Is(err, deploy.ErrNotFound) {
		return told(err, "no service %q runs in namespace %q", name, callerOf(ctx).namespace)
	}
	return err
}

// linesAtOnce bounds a message of log lines.
const linesAtOnce = 256

func (r *runtimeAPI) Logs(req *runtimev1.LogsRequest, out grpc.ServerStreamingServer[runtimev1.LogsResponse]) error {
	ctx := out.Context()
	c := callerOf(ctx)
	if req.GetTail() < 0 {
		return invalid("the last %d lines", req.GetTail())
	}
	if _, err := r.deployer.Service(ctx, c.namespace, req.GetName()); err != nil {
		return r.about(ctx, req.GetName(), err)
	}
	q := runtime.LogQuery{
		Namespace: c.namespace,
		Service:   req.GetName(),
		Instance:  req.GetInstance(),
		Tail:      int(req.GetTail()),
		Follow:    req.GetFollow(),
	}
	if req.GetSince() != nil {
		q.Since = req.GetSince().AsTime()
	}
	batch := &runtimev1.LogsResponse{}
	flush := func() error {
		if len(batch.GetLines()) == 0 {
			return nil
		}
		err := out.Send(batch)
		batch = &runtimev1.LogsResponse{}
		return err
	}
	for l, err := range r.runtime.Logs(ctx, q) {
		if err != nil {
			return err
		}
		batch.Lines = append(batch.Lines, logLine(l))
		// Lines that are waited for are sent as they come.
		if q.Follow || len(batch.GetLines()) == linesAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func logLine(l runtime.Line) *runtimev1.LogLine {
	text := l.Text
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return &runtimev1.LogLine{
		Time:     timestamppb.New(l.Time),
		Instance: l.Instance,
		Release:  l.Release,
		Stream:   logStream(l.Stream),
		Text:     text,
	}
}

func logStream(s runtime.Stream) runtimev1.LogStream {
	switch s {
	case runtime.Stdout:
		return runtimev1.LogStream_LOG_STREAM_STDOUT
	case runtime.Stderr:
		return runtimev1.LogStream_LOG_STREAM_STDERR
	case runtime.System:
		return runtimev1.LogStream_LOG_STREAM_SYSTEM
	default:
		return runtimev1.LogStream_LOG_STREAM_UNSPECIFIED
	}
}

func specFrom(s *runtimev1.Spec) deploy.Spec {
	p := s.GetProbe()
	return deploy.Spec{
		Image: s.GetImage(),
		Source: deploy.Source{
			Address:  s.GetSource().GetAddress(),
			Folder:   s.GetSource().GetFolder(),
			Ref:      s.GetSource().GetRef(),
			Revision: s.GetSource().GetRevision(),
			Modified: s.GetSource().GetModified(),
		},
		Version:   s.GetVersion(),
		Instances: int(s.GetInstances()),
		Env:       s.GetEnv(),
		Args:      s.GetArgs(),
		Probe: deploy.Probe{
			Service:  p.GetService(),
			Period:   p.GetPeriod().AsDuration(),
			Timeout:  p.GetTimeout().AsDuration(),
			Startup:  p.GetStartup().AsDuration(),
			Failures: int(p.GetFailures()),
		},
		StopGrace: s.GetStopGrace().AsDuration(),
	}
}

func service(s deploy.Service) *runtimev1.Service {
	spec := s.Release.Spec
	out := &runtimev1.Service{
		Name: s.Name,
		Spec: &runtimev1.Spec{
			Image: spec.Image,
			Source: &runtimev1.Source{
				Address:  spec.Source.Address,
				Folder:   spec.Source.Folder,
				Ref:      spec.Source.Ref,
				Revision: spec.Source.Revision,
				Modified: spec.Source.Modified,
			},
			Version:   spec.Version,
			Instances: int32(spec.Instances),
			Env:       spec.Env,
			Args:      spec.Args,
			Probe: &runtimev1.Probe{
				Service:  spec.Probe.Service,
				Period:   duration(spec.Probe.Period),
				Timeout:  duration(spec.Probe.Timeout),
				Startup:  duration(spec.Probe.Startup),
				Failures: int32(spec.Probe.Failures),
			},
			StopGrace: duration(spec.StopGrace),
		},
		Status: &runtimev1.Status{
			Phase:          phase(s.Phase),
			Reason:         s.Reason,
			Release:        s.Release.Number,
			ServingRelease: s.Serving,
			Updated:        timestamppb.New(s.Release.At),
			UpdatedBy:      s.Release.By,
		},
	}
	for _, in := range s.Instances {
		out.Status.Instances = append(out.Status.Instances, &runtimev1.Instance{
			Id:        in.ID,
			Release:   in.Release,
			Phase:     phase(in.Phase),
			Reason:    in.Reason,
			LastLines: validLines(in.LastLines),
			Restarts:  int32(min(in.Restarts, 1<<30)),
			Started:   timestamp(in.Started),
			NextStart: timestamp(in.NextStart),
			Address:   in.Address,
			Since:     timestamp(in.Since),
		})
	}
	return out
}

func validLines(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	return out
}

func duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func phase(p deploy.Phase) runtimev1.Phase {
	switch p {
	case deploy.Pending:
		return runtimev1.Phase_PHASE_PENDING
	case deploy.Starting:
		return runtimev1.Phase_PHASE_STARTING
	case deploy.Running:
		return runtimev1.Phase_PHASE_RUNNING
	case deploy.Unhealthy:
		return runtimev1.Phase_PHASE_UNHEALTHY
	case deploy.Crashed:
		return runtimev1.Phase_PHASE_CRASHED
	case deploy.Stopping:
		return runtimev1.Phase_PHASE_STOPPING
	case deploy.Stopped:
		return runtimev1.Phase_PHASE_STOPPED
	default:
		return runtimev1.Phase_PHASE_UNSPECIFIED
	}
}
