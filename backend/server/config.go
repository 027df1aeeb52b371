package server

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/config"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
)

// configAPI answers micro.config.v1.Config. Who may see secrets is decided before it
// is asked.
type configAPI struct {
	configv1.UnimplementedConfigServer
	config *config.Config
}

func (c *configAPI) Get(ctx context.Context, req *configv1.GetRequest) (*configv1.GetResponse, error) {
	show := showSecrets(req)
	if show == config.Reveal && req.GetMarkSecrets() {
		show = config.Mark
	}
	v, err := c.config.Get(ctx, callerOf(ctx).namespace, req.GetPath(), show)
	if err != nil {
		return nil, atPath(req, err)
	}
	return &configv1.GetResponse{Json: string(v.JSON), Revision: v.Revision, Secrets: v.Secrets}, nil
}

func (c *configAPI) Set(ctx context.Context, req *configv1.SetRequest) (*configv1.SetResponse, error) {
	caller := callerOf(ctx)
	revision, err := c.config.Set(ctx, caller.namespace, req.GetPath(), []byte(req.GetJson()), config.SetOptions{
		By:     actor(caller),
		Secret: req.GetSecret(),
		Merge:  req.GetMerge(),
		If:     condition(req.IfRevision),
	})
	if err != nil {
		return nil, atPath(req, err)
	}
	return &configv1.SetResponse{Revision: revision}, nil
}

func (c *configAPI) Delete(ctx context.Context, req *configv1.DeleteRequest) (*configv1.DeleteResponse, error) {
	caller := callerOf(ctx)
	revision, err := c.config.Delete(ctx, caller.namespace, req.GetPath(), actor(caller), condition(req.IfRevision))
	if err != nil {
		return nil, atPath(req, err)
	}
	return &configv1.DeleteResponse{Revision: revision}, nil
}

func (c *configAPI) List(ctx context.Context, req *configv1.ListRequest) (*configv1.ListResponse, error) {
	ns := callerOf(ctx).namespace
	page, err := listingOf(req, ns, req.GetPath())
	if err != nil {
		return nil, err
	}
	leaves, revision, more, err := c.config.List(ctx, ns, req.GetPath(), page.after, page.size, showSecrets(req))
	if err != nil {
		return nil, atPath(req, err)
	}
	rsp := &configv1.ListResponse{Revision: revision}
	for _, l := range leaves {
		rsp.Values = append(rsp.Values, &configv1.Value{Path: l.Path, Json: string(l.JSON), Secret: l.Secret, Revision: l.Revision})
	}
	if more {
		rsp.NextPageToken = page.next(leaves[len(leaves)-1].Path)
	}
	return rsp, nil
}

func (c *configAPI) History(ctx context.Context, req *configv1.HistoryRequest) (*configv1.HistoryResponse, error) {
	ns := callerOf(ctx).namespace
	page, err := listingOf(req, ns, req.GetPath())
	if err != nil {
		return nil, err
	}
	revisions, next, err := c.config.History(ctx, ns, req.GetPath(), page.after, page.size, showSecrets(req))
	if err != nil {
		return nil, atPath(req, err)
	}
	rsp := &configv1.HistoryResponse{}
	if next != "" {
		rsp.NextPageToken = page.next(next)
	}
	for _, r := range revisions {
		out := &configv1.Revision{Revision: r.Revision, Account: r.By, Time: timestamppb.New(r.Time), Action: r.Action}
		for _, ch := range r.Changes {
			out.Changes = append(out.Changes, &configv1.Change{
				Path: ch.Path, Before: optional(ch.Before), After: optional(ch.After), Secret: ch.Secret,
			})
		}
		rsp.Revisions = append(rsp.Revisions, out)
	}
	return rsp, nil
}

func (c *configAPI) Rollback(ctx context.Context, req *configv1.RollbackRequest) (*configv1.RollbackResponse, error) {
	caller := callerOf(ctx)
	revision, err := c.config.Rollback(ctx, caller.namespace, req.GetPath(), req.GetRevision(), actor(caller), condition(req.IfRevision))
	if err != nil {
		return nil, fmt.Errorf("roll back to revision %d: %w", req.GetRevision(), err)
	}
	return &configv1.RollbackResponse{Revision: revision}, nil
}

func (c *configAPI) Watch(req *configv1.WatchRequest, out grpc.ServerStreamingServer[configv1.WatchResponse]) error {
	ctx := out.Context()
	if req.GetFromRevision() < 0 {
		return invalid("a watch from revision %d", req.GetFromRevision())
	}
	for v, err := range c.config.Watch(ctx, callerOf(ctx).namespace, req.GetPath(), req.FromRevision, showSecrets(req)) {
		if err != nil {
			return err
		}
		if err := out.Send(&configv1.WatchResponse{Revision: v.Revision, Json: optional(v.JSON), Secrets: v.Secrets, Reset_: v.Reset}); err != nil {
			return err
		}
	}
	return nil
}

// showsSecrets is any request that can ask for secrets.
type showsSecrets interface{ GetSecrets() bool }

// asksForSecrets reports whether a request does.
func asksForSecrets(req any) bool {
	r, ok := req.(showsSecrets)
	return ok && r.GetSecrets()
}

func showSecrets(req showsSecrets) config.Show {
	if req.GetSecrets() {
		return config.Reveal
	}
	return config.Hide
}

// atPath adds to an error which path it is about.
func atPath(req interface{ GetPath() string }, err error) error {
	if req.GetPath() == "" {
		return fmt.Errorf("configuration: %w", err)
	}
	return fmt.Errorf("configuration %.200q: %w", req.GetPath(), err)
}

// actor is who a change is ascribed to.
func actor(c caller) string { return c.Namespace + "/" + c.ID }

func condition(revision *int64) *config.Condition {
	if revision == nil {
		return nil
	}
	return &config.Condition{Revision: *revision}
}

func optional(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}
