package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/registry"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

const (
	// healthIn is how long an instance may take to say how it is, and healthAllIn how
	// long all of them may that one call asks.
	healthIn    = 2 * time.Second
	healthAllIn = 20 * time.Second
	// healthAtOnce is how many instances one call asks at once.
	healthAtOnce = 64
)

// patient is an instance with how it is asked.
type patient struct {
	*registryv1.InstanceHealth
	probe deploy.Probe
}

func (r *registryAPI) Health(ctx context.Context, req *registryv1.HealthRequest) (*registryv1.HealthResponse, error) {
	patients, err := r.patients(ctx, req.GetService())
	if err != nil {
		return nil, err
	}
	if err := r.askAll(ctx, patients); err != nil {
		return nil, err
	}
	c := callerOf(ctx)
	rsp := &registryv1.HealthResponse{}
	for _, p := range patients {
		if c.Namespace != c.namespace { // as of Get
			p.Address = ""
		}
		rsp.Instances = append(rsp.Instances, p.InstanceHealth)
	}
	return rsp, nil
}

// patients returns the instances of a service, or of all, that are registered or
// should run.
func (r *registryAPI) patients(ctx context.Context, service string) ([]*patient, error) {
	ns := callerOf(ctx).namespace
	d, err := r.registry.Directory(ctx, ns)
	if err != nil {
		return nil, err
	}
	found := map[registry.Name]*patient{}
	for name, instances := range d.Services() {
		for _, in := range instances {
			if service != "" && name != service {
				continue
			}
			found[registry.Name{Service: name, ID: in.ID}] = &patient{InstanceHealth: &registryv1.InstanceHealth{
				Service: name, Id: in.ID, Version: in.Version, Address: in.Address, Since: timestamp(in.Since),
			}, probe: deploy.Probes{}.Health()}
		}
	}
	deployed, err := r.deployed(ctx, ns, service)
	if err != nil {
		return nil, err
	}
	if service != "" && len(found) == 0 && len(deployed) == 0 {
		return nil, noService(service, ns)
	}
	for _, s := range deployed {
		for _, in := range s.Instances {
			if in.Phase == deploy.Stopping || in.Phase == deploy.Stopped {
				continue
			}
			key := registry.Name{Service: s.Name, ID: in.ID}
			p := found[key]
			if p == nil {
				p = &patient{InstanceHealth: &registryv1.InstanceHealth{
					Service: s.Name, Id: in.ID, Version: s.Release.Spec.Version, Address: in.Address,
				}}
				found[key] = p
			}
			p.probe, p.Since = s.Release.Spec.Probes.Health(), timestamp(in.Since)
			if in.Phase == deploy.Pending || in.Phase == deploy.Crashed {
				p.Address, p.Health, p.Reason = "", registryv1.Health_HEALTH_DOWN, cmp.Or(in.Reason, string(in.Phase))
			}
		}
	}
	patients := make([]*patient, 0, len(found))
	for _, p := range found {
		patients = append(patients, p)
	}
	slices.SortFunc(patients, func(a, b *patient) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Id, b.Id))
	})
	return patients, nil
}

// deployed returns the services that should run: all, or the one of a name.
func (r *registryAPI) deployed(ctx context.Context, ns, service string) ([]deploy.Service, error) {
	if service == "" {
		return r.deployer.Services(ctx, ns)
	}
	s, err := r.deployer.Service(ctx, ns, service)
	if errors.Is(err, deploy.ErrNotFound) {
		return nil, nil
	}
	return []deploy.Service{s}, err
}

// askAll asks those that run.
func (r *registryAPI) askAll(ctx context.Context, patients []*patient) error {
	limited, cancel := context.WithTimeout(ctx, healthAllIn)
	defer cancel()
	places := make(chan struct{}, healthAtOnce)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, p := range patients {
		if p.Health == registryv1.Health_HEALTH_DOWN || p.Address == "" {
			continue
		}
		select {
		case places <- struct{}{}:
		case <-limited.Done():
			p.Reason = "not asked: others took too long to answer"
			continue
		}
		wg.Go(func() {
			defer func() { <-places }()
			p.ask(limited, r.deployer)
		})
	}
	return ctx.Err()
}

// ask asks an instance how it is.
func (p *patient) ask(ctx context.Context, deployer *deploy.Deployer) {
	probe := p.probe
	probe.Timeout = cmp.Or(probe.Timeout, healthIn)
	began := time.Now()
	err := deployer.Ask(ctx, p.Id, p.Address, probe)
	if errors.Is(err, deploy.ErrUnreachable) {
		p.Health, p.Reason = registryv1.Health_HEALTH_UNREACHABLE, err.Error()
		return
	}
	p.Took = durationpb.New(time.Since(began))
	if err != nil {
		p.Health, p.Reason = registryv1.Health_HEALTH_NOT_SERVING, err.Error()
		return
	}
	p.Health = registryv1.Health_HEALTH_SERVING
}
