package cli

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// Between manifests and what the server is told.

// spec returns what the manifest says of what instances are made of.
func (m manifest) spec() (*runtimev1.Spec, error) {
	out := &runtimev1.Spec{
		Image:     m.Image,
		Version:   m.Version,
		Args:      m.Args,
		StopGrace: optionalDuration(m.StopGrace),
	}
	for name, v := range m.Env {
		if out.Env == nil {
			out.Env = map[string]*runtimev1.Value{}
		}
		out.Env[name] = v.message()
	}
	if m.Resources != (resources{}) {
		out.Resources = &runtimev1.Resources{Cpu: int64(m.Resources.CPU), Memory: int64(m.Resources.Memory), Processes: m.Resources.Processes}
	}
	if m.Probes != (probes{}) {
		out.Probes = &runtimev1.Probes{}
	}
	for _, p := range []struct {
		name string
		from *probe
		to   func(*runtimev1.Probe)
	}{
		{"startup", m.Probes.Startup, func(p *runtimev1.Probe) { out.Probes.Startup = p }},
		{"readiness", m.Probes.Readiness, func(p *runtimev1.Probe) { out.Probes.Readiness = p }},
		{"liveness", m.Probes.Liveness, func(p *runtimev1.Probe) { out.Probes.Liveness = p }},
	} {
		if p.from == nil {
			continue
		}
		msg, err := p.from.message()
		if err != nil {
			return nil, &Error{Message: fmt.Sprintf("%s: the %s probe %s", manifestName, p.name, err), Exit: ExitUsage}
		}
		p.to(msg)
	}
	return out, nil
}

func (m manifest) rollout() *runtimev1.Rollout {
	if m.Rollout == (rollout{}) {
		return nil
	}
	return &runtimev1.Rollout{
		KeepTrying: m.Rollout.KeepTrying,
		Failures:   m.Rollout.Failures,
		Deadline:   optionalDuration(m.Rollout.Deadline),
	}
}

func (v envValue) message() *runtimev1.Value {
	if v.config != "" {
		return &runtimev1.Value{Value: &runtimev1.Value_Config{Config: v.config}}
	}
	return &runtimev1.Value{Value: &runtimev1.Value_Text{Text: v.text}}
}

func (p *probe) message() (*runtimev1.Probe, error) {
	out := &runtimev1.Probe{
		Period:    optionalDuration(p.Period),
		Timeout:   optionalDuration(p.Timeout),
		Failures:  p.Failures,
		Successes: p.Successes,
	}
	checks := 0
	if p.GRPC != nil {
		checks, out.Check = checks+1, &runtimev1.Probe_Grpc{Grpc: *p.GRPC}
	}
	if p.HTTP != "" {
		checks, out.Check = checks+1, &runtimev1.Probe_Http{Http: p.HTTP}
	}
	if p.TCP {
		checks, out.Check = checks+1, &runtimev1.Probe_Tcp{Tcp: true}
	}
	if len(p.Command) > 0 {
		checks, out.Check = checks+1, &runtimev1.Probe_Command{Command: &runtimev1.Command{Args: p.Command}}
	}
	if checks != 1 {
		return nil, fmt.Errorf("has %d of grpc, http, tcp and command, and needs one", checks)
	}
	return out, nil
}

// manifestOf returns the manifest that makes a service run as it does.
func manifestOf(s *runtimev1.Service) manifest {
	spec := s.GetSpec()
	m := manifest{
		Name:      s.GetName(),
		Image:     spec.GetImage(),
		Version:   spec.GetVersion(),
		Instances: s.GetInstances(),
		Args:      spec.GetArgs(),
		Resources: resources{
			CPU:       cpu(spec.GetResources().GetCpu()),
			Memory:    memory(spec.GetResources().GetMemory()),
			Processes: spec.GetResources().GetProcesses(),
		},
		Probes: probes{
			Startup:   manifestProbe(spec.GetProbes().GetStartup()),
			Readiness: manifestProbe(spec.GetProbes().GetReadiness()),
			Liveness:  manifestProbe(spec.GetProbes().GetLiveness()),
		},
		Rollout: rollout{
			KeepTrying: s.GetRollout().GetKeepTrying(),
			Failures:   s.GetRollout().GetFailures(),
			Deadline:   duration(s.GetRollout().GetDeadline().AsDuration()),
		},
		StopGrace: duration(spec.GetStopGrace().AsDuration()),
	}
	for name, v := range spec.GetEnv() {
		if m.Env == nil {
			m.Env = map[string]envValue{}
		}
		m.Env[name] = envValue{text: v.GetText(), config: v.GetConfig()}
	}
	return m
}

func manifestProbe(p *runtimev1.Probe) *probe {
	if p == nil {
		return nil
	}
	out := &probe{
		Period:    duration(p.GetPeriod().AsDuration()),
		Timeout:   duration(p.GetTimeout().AsDuration()),
		Failures:  p.GetFailures(),
		Successes: p.GetSuccesses(),
		HTTP:      p.GetHttp(),
		TCP:       p.GetTcp(),
		Command:   p.GetCommand().GetArgs(),
	}
	if service, ok := p.GetCheck().(*runtimev1.Probe_Grpc); ok {
		out.GRPC = &service.Grpc
	}
	return out
}

func optionalDuration(d duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(time.Duration(d))
}
