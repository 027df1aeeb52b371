package server

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/deploy"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// What of package deploy goes over the wire, both ways.

func specFrom(s *runtimev1.Spec) (deploy.Spec, error) {
	spec := deploy.Spec{
		Image: s.GetImage(),
		Source: deploy.Source{
			Address:  s.GetSource().GetAddress(),
			Folder:   s.GetSource().GetFolder(),
			Ref:      s.GetSource().GetRef(),
			Revision: s.GetSource().GetRevision(),
			Modified: s.GetSource().GetModified(),
		},
		Version: s.GetVersion(),
		Args:    s.GetArgs(),
		Resources: deploy.Resources{
			CPU:       s.GetResources().GetCpu(),
			Memory:    s.GetResources().GetMemory(),
			Processes: s.GetResources().GetProcesses(),
		},
		Probes: deploy.Probes{
			Startup:   probeFrom(s.GetProbes().GetStartup()),
			Readiness: probeFrom(s.GetProbes().GetReadiness()),
			Liveness:  probeFrom(s.GetProbes().GetLiveness()),
		},
		StopGrace: s.GetStopGrace().AsDuration(),
	}
	for name, v := range s.GetEnv() {
		if spec.Env == nil {
			spec.Env = map[string]deploy.Value{}
		}
		if _, isPath := v.GetValue().(*runtimev1.Value_Config); isPath && v.GetConfig() == "" {
			return deploy.Spec{}, invalid("the environment variable %s refers to the configuration, and to no path of it", name)
		}
		spec.Env[name] = deploy.Value{Text: v.GetText(), Config: v.GetConfig()}
	}
	return spec, nil
}

func probeFrom(p *runtimev1.Probe) *deploy.Probe {
	if p == nil {
		return nil
	}
	out := &deploy.Probe{
		Period:    p.GetPeriod().AsDuration(),
		Timeout:   p.GetTimeout().AsDuration(),
		Failures:  int(p.GetFailures()),
		Successes: int(p.GetSuccesses()),
	}
	switch c := p.GetCheck().(type) {
	case *runtimev1.Probe_Grpc:
		out.Check = deploy.Check{Kind: deploy.CheckGRPC, Service: c.Grpc}
	case *runtimev1.Probe_Http:
		out.Check = deploy.Check{Kind: deploy.CheckHTTP, Path: c.Http}
	case *runtimev1.Probe_Tcp:
		out.Check = deploy.Check{Kind: deploy.CheckTCP}
	case *runtimev1.Probe_Command:
		out.Check = deploy.Check{Kind: deploy.CheckCommand, Command: c.Command.GetArgs()}
	}
	return out
}

func rolloutFrom(r *runtimev1.Rollout) deploy.Rollout {
	return deploy.Rollout{KeepTrying: r.GetKeepTrying(), Failures: int(r.GetFailures()), Deadline: r.GetDeadline().AsDuration()}
}

func spec(s deploy.Spec) *runtimev1.Spec {
	out := &runtimev1.Spec{
		Image: s.Image,
		Source: &runtimev1.Source{
			Address:  s.Source.Address,
			Folder:   s.Source.Folder,
			Ref:      s.Source.Ref,
			Revision: s.Source.Revision,
			Modified: s.Source.Modified,
		},
		Version:   s.Version,
		Args:      s.Args,
		StopGrace: duration(s.StopGrace),
		Resources: resources(s.Resources),
	}
	if !s.Probes.IsZero() {
		out.Probes = &runtimev1.Probes{
			Startup:   probe(s.Probes.Startup),
			Readiness: probe(s.Probes.Readiness),
			Liveness:  probe(s.Probes.Liveness),
		}
	}
	for name, v := range s.Env {
		if out.Env == nil {
			out.Env = map[string]*runtimev1.Value{}
		}
		out.Env[name] = &runtimev1.Value{Value: &runtimev1.Value_Text{Text: v.Text}}
		if v.Config != "" {
			out.Env[name].Value = &runtimev1.Value_Config{Config: v.Config}
		}
	}
	return out
}

func probe(p *deploy.Probe) *runtimev1.Probe {
	if p == nil {
		return nil
	}
	out := &runtimev1.Probe{
		Period:    duration(p.Period),
		Timeout:   duration(p.Timeout),
		Failures:  int32(p.Failures),
		Successes: int32(p.Successes),
	}
	switch p.Check.Kind {
	case deploy.CheckGRPC:
		out.Check = &runtimev1.Probe_Grpc{Grpc: p.Check.Service}
	case deploy.CheckHTTP:
		out.Check = &runtimev1.Probe_Http{Http: p.Check.Path}
	case deploy.CheckTCP:
		out.Check = &runtimev1.Probe_Tcp{Tcp: true}
	case deploy.CheckCommand:
		out.Check = &runtimev1.Probe_Command{Command: &runtimev1.Command{Args: p.Check.Command}}
	}
	return out
}

func resources(r deploy.Resources) *runtimev1.Resources {
	if r == (deploy.Resources{}) {
		return nil
	}
	return &runtimev1.Resources{Cpu: r.CPU, Memory: r.Memory, Processes: r.Processes}
}

func rollout(r deploy.Rollout) *runtimev1.Rollout {
	if r == (deploy.Rollout{}) {
		return nil
	}
	return &runtimev1.Rollout{KeepTrying: r.KeepTrying, Failures: int32(r.Failures), Deadline: duration(r.Deadline)}
}

func service(s deploy.Service) *runtimev1.Service {
	out := &runtimev1.Service{
		Name:      s.Name,
		Spec:      spec(s.Release.Spec),
		Instances: int32(s.Wanted),
		Rollout:   rollout(s.Rollout),
		Set:       s.Set,
		Status: &runtimev1.Status{
			Phase:          phase(s.Phase),
			Reason:         s.Reason,
			Release:        s.Release.Number,
			ServingRelease: s.Serving,
			Updated:        timestamp(s.Last.At),
			UpdatedBy:      s.Last.By,
			Change:         change(&s.Last),
		},
	}
	for _, in := range s.Instances {
		out.Status.Instances = append(out.Status.Instances, &runtimev1.Instance{
			Id:        in.ID,
			Release:   in.Release,
			Phase:     phase(in.Phase),
			Since:     timestamp(in.Since),
			Reason:    valid(in.Reason),
			Cause:     valid(in.Cause),
			LastLines: validLines(in.LastLines),
			Restarts:  int32(min(in.Restarts, 1<<30)),
			Started:   timestamp(in.Started),
			NextStart: timestamp(in.NextStart),
			Address:   in.Address,
			Unmet:     resources(in.Unmet),
		})
	}
	return out
}

func release(r deploy.Release) *runtimev1.Release {
	return &runtimev1.Release{
		Number:  r.Number,
		Spec:    spec(r.Spec),
		Created: timestamp(r.At),
		By:      r.By,
		Action:  string(r.Action),
		Of:      r.Of,
		Served:  timestamp(r.Served),
	}
}

func change(c *deploy.Change) *runtimev1.Change {
	if c == nil {
		return nil
	}
	return &runtimev1.Change{
		Number: c.Number,
		Time:   timestamp(c.At),
		By:     c.By,
		Action: string(c.Action),
		Reason: valid(c.Reason),
		Undoes: c.Undoes,
		Before: state(c.Before),
		After:  state(c.After),
	}
}

func state(s *deploy.State) *runtimev1.State {
	if s == nil {
		return nil
	}
	return &runtimev1.State{Release: s.Release, Instances: int32(s.Instances), Rollout: rollout(s.Rollout)}
}

func entry(e deploy.Entry) *runtimev1.Entry {
	return &runtimev1.Entry{
		Number:   e.Number,
		Time:     timestamp(e.At),
		Kind:     string(e.Kind),
		Instance: e.Instance,
		Release:  e.Release,
		Text:     valid(e.Text),
	}
}

// valid returns a text as a message may have it.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// lookup returns what the configuration has at a path, as an environment variable has it:
// a string is its text, anything else its JSON.
func (s *Server) lookup(ctx context.Context, ns, path string) (string, error) {
	v, err := s.settings.Get(ctx, ns, path, config.Reveal)
	if errors.Is(err, config.ErrNotFound) {
		return "", deploy.ErrNotFound
	}
	if err != nil {
		return "", err
	}
	var text string
	if len(v.JSON) > 0 && v.JSON[0] == '"' && json.Unmarshal(v.JSON, &text) == nil {
		return text, nil
	}
	return string(v.JSON), nil
}

func validLines(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = valid(l)
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
