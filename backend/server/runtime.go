package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/backend/config"
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
	settings *config.Config
	// hasImage returns an error when the server's registry has no such image, or
	// none that can run here.
	hasImage func(ctx context.Context, ref string) error
}

func (r *runtimeAPI) Apply(ctx context.Context, req *runtimev1.ApplyRequest) (*runtimev1.ApplyResponse, error) {
	c := callerOf(ctx)
	if err := checkServiceName(req.GetName()); err != nil {
		return nil, err
	}
	spec, err := specFrom(req.GetSpec())
	if err != nil {
		return nil, err
	}
	// An image of another namespace does not become one's own by running it.
	if !strings.HasPrefix(spec.Image, c.namespace+"/") {
		return nil, fmt.Errorf("%s: %w", spec.Image, errNoImage)
	}
	if err := r.hasImage(ctx, spec.Image); err != nil {
		return nil, err
	}
	if err := r.checkReferences(ctx, spec); err != nil {
		return nil, err
	}
	did, err := r.deployer.Apply(ctx, c.namespace, req.GetName(), deploy.Order{
		Spec:       spec,
		Instances:  int(req.GetInstances()),
		Rollout:    rolloutFrom(req.GetRollout()),
		Set:        req.GetSet(),
		UpdateOnly: req.GetUpdateOnly(),
	}, c.ID)
	s, err := r.after(ctx, req.GetName(), err)
	if err != nil {
		return nil, err
	}
	return &runtimev1.ApplyResponse{Service: s, Change: change(did)}, nil
}

// checkReferences refuses paths that can never be. What is at a path is looked up when
// an instance starts, by the services' own right to the configuration.
func (r *runtimeAPI) checkReferences(ctx context.Context, spec deploy.Spec) error {
	for name, v := range spec.Env {
		if v.Config == "" {
			continue
		}
		if _, err := r.settings.Get(ctx, callerOf(ctx).namespace, v.Config, config.Hide); errors.Is(err, config.ErrInvalid) {
			return fmt.Errorf("the environment variable %s refers to the configuration %.200q: %w", name, v.Config, err)
		}
	}
	return nil
}

// after returns what a service is after a change, or why there was none.
func (r *runtimeAPI) after(ctx context.Context, name string, err error) (*runtimev1.Service, error) {
	var s deploy.Service
	if err == nil {
		s, err = r.deployer.Service(ctx, callerOf(ctx).namespace, name)
	}
	if err != nil {
		return nil, r.about(ctx, name, err)
	}
	return service(s), nil
}

func (r *runtimeAPI) Scale(ctx context.Context, req *runtimev1.ScaleRequest) (*runtimev1.ScaleResponse, error) {
	c := callerOf(ctx)
	did, err := r.deployer.Scale(ctx, c.namespace, req.GetName(), int(req.GetInstances()), c.ID)
	s, err := r.after(ctx, req.GetName(), err)
	if err != nil {
		return nil, err
	}
	return &runtimev1.ScaleResponse{Service: s, Change: change(did)}, nil
}

func (r *runtimeAPI) Restart(ctx context.Context, req *runtimev1.RestartRequest) (*runtimev1.RestartResponse, error) {
	c := callerOf(ctx)
	did, err := r.deployer.Restart(ctx, c.namespace, req.GetName(), c.ID)
	s, err := r.after(ctx, req.GetName(), err)
	if err != nil {
		return nil, err
	}
	return &runtimev1.RestartResponse{Service: s, Change: change(did)}, nil
}

func (r *runtimeAPI) Rollback(ctx context.Context, req *runtimev1.RollbackRequest) (*runtimev1.RollbackResponse, error) {
	c := callerOf(ctx)
	did, err := r.deployer.Rollback(ctx, c.namespace, req.GetName(), req.GetRelease(), c.ID)
	s, err := r.after(ctx, req.GetName(), err)
	if err != nil {
		return nil, err
	}
	return &runtimev1.RollbackResponse{Service: s, Change: change(did)}, nil
}

func (r *runtimeAPI) Undo(ctx context.Context, req *runtimev1.UndoRequest) (*runtimev1.UndoResponse, error) {
	c := callerOf(ctx)
	did, undone, err := r.deployer.Undo(ctx, c.namespace, req.GetName(), req.GetIfChange(), c.ID)
	if err != nil {
		return nil, r.about(ctx, req.GetName(), err)
	}
	rsp := &runtimev1.UndoResponse{Change: change(did), Undone: change(undone)}
	if did.After == nil {
		return rsp, nil
	}
	rsp.Service, err = r.after(ctx, req.GetName(), nil)
	return rsp, err
}

func (r *runtimeAPI) Releases(ctx context.Context, req *runtimev1.ReleasesRequest) (*runtimev1.ReleasesResponse, error) {
	all, err := r.deployer.Releases(ctx, callerOf(ctx).namespace, req.GetName())
	if err != nil {
		return nil, r.about(ctx, req.GetName(), err)
	}
	rsp := &runtimev1.ReleasesResponse{}
	for _, rel := range all {
		rsp.Releases = append(rsp.Releases, release(rel))
	}
	return rsp, nil
}

func (r *runtimeAPI) Changes(ctx context.Context, req *runtimev1.ChangesRequest) (*runtimev1.ChangesResponse, error) {
	all, undoable, err := r.deployer.Changes(ctx, callerOf(ctx).namespace, req.GetName())
	if err != nil {
		return nil, r.about(ctx, req.GetName(), err)
	}
	rsp := &runtimev1.ChangesResponse{}
	for _, c := range all {
		rsp.Changes = append(rsp.Changes, change(&c))
	}
	if undoable != nil {
		rsp.Undoable = undoable.Number
	}
	return rsp, nil
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
	c := callerOf(ctx)
	did, err := r.deployer.Delete(ctx, c.namespace, req.GetName(), c.ID)
	if err != nil {
		return nil, r.about(ctx, req.GetName(), err)
	}
	return &runtimev1.DeleteResponse{Change: change(did)}, nil
}

func (r *runtimeAPI) Watch(req *runtimev1.WatchRequest, out grpc.ServerStreamingServer[runtimev1.WatchResponse]) error {
	ctx := out.Context()
	ns := callerOf(ctx).namespace
	if req.GetName() == "" {
		return r.deployer.WatchAll(ctx, ns, func(e deploy.Event) error {
			rsp := &runtimev1.WatchResponse{Removed: e.Removed, Synced: e.Synced}
			if e.Service != nil {
				rsp.Service = service(*e.Service)
			}
			return out.Send(rsp)
		})
	}
	err := r.deployer.Watch(ctx, ns, req.GetName(), func(s deploy.Service) error {
		return out.Send(&runtimev1.WatchResponse{Service: service(s)})
	})
	return r.about(ctx, req.GetName(), err)
}

// journalAtOnce bounds a message of a journal.
const journalAtOnce = 128

func (r *runtimeAPI) Journal(req *runtimev1.JournalRequest, out grpc.ServerStreamingServer[runtimev1.JournalResponse]) error {
	ctx := out.Context()
	if req.GetTail() < 0 {
		return invalid("the last %d entries", req.GetTail())
	}
	err := r.deployer.Journal(ctx, callerOf(ctx).namespace, req.GetName(), int(req.GetTail()), req.GetFollow(), func(entries []deploy.Entry) error {
		for chunk := range slices.Chunk(entries, journalAtOnce) {
			rsp := &runtimev1.JournalResponse{}
			for _, e := range chunk {
				rsp.Entries = append(rsp.Entries, entry(e))
			}
			if err := out.Send(rsp); err != nil {
				return err
			}
		}
		return nil
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
