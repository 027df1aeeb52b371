package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/events"
	"github.com/micro/micro/v3/backend/stats"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// namespacesAPI answers micro.auth.v1.Namespaces.
type namespacesAPI struct {
	authv1.UnimplementedNamespacesServer
	auth    *auth.Auth
	deleter *deleter
}

func (n *namespacesAPI) List(ctx context.Context, req *authv1.ListNamespacesRequest) (*authv1.ListNamespacesResponse, error) {
	c := callerOf(ctx)
	page, err := listingOf(req, c.Namespace)
	if err != nil {
		return nil, err
	}
	rsp := &authv1.ListNamespacesResponse{}
	if c.checkOperator() != nil {
		own, err := n.auth.Namespace(ctx, c.Namespace)
		if err != nil {
			return nil, err
		}
		if own.Name > page.after {
			rsp.Namespaces = append(rsp.Namespaces, namespaceMessage(own))
		}
		return rsp, nil
	}
	list, more, err := n.auth.NamespacesAfter(ctx, page.after, page.size)
	if err != nil {
		return nil, err
	}
	for _, ns := range list {
		rsp.Namespaces = append(rsp.Namespaces, namespaceMessage(ns))
	}
	if more && len(list) > 0 {
		rsp.NextPageToken = page.next(list[len(list)-1].Name)
	}
	return rsp, nil
}

func namespaceMessage(n auth.Namespace) *authv1.Namespace {
	out := &authv1.Namespace{Name: n.Name, Deleting: n.Deleting}
	if !n.Created.IsZero() {
		out.Created = timestamppb.New(n.Created)
	}
	return out
}

func (n *namespacesAPI) Create(ctx context.Context, req *authv1.CreateNamespaceRequest) (*authv1.CreateNamespaceResponse, error) {
	acc, err := n.auth.CreateNamespace(ctx, req.GetName(), req.GetUsername(), req.GetPassword())
	if err != nil {
		return nil, aboutNew(req.GetName(), err)
	}
	return &authv1.CreateNamespaceResponse{Account: account(acc)}, nil
}

// aboutNew says what is wrong with a namespace that was to be made.
func aboutNew(name string, err error) error {
	if errors.Is(err, auth.ErrExists) {
		return told(err, "there is a namespace %q already", name)
	}
	return err
}

func (n *namespacesAPI) Delete(ctx context.Context, req *authv1.DeleteNamespaceRequest) (*authv1.DeleteNamespaceResponse, error) {
	c := callerOf(ctx)
	own := c.Namespace == req.GetName() && slices.Contains(c.Scopes, auth.ScopeAdmin)
	if err := c.checkOperator(); err != nil && !own {
		// Whether there is such a namespace is not for others to know.
		return nil, fmt.Errorf("delete namespace %q: %w", req.GetName(), auth.ErrDenied)
	}
	if err := n.deleter.delete(ctx, req.GetName()); err != nil {
		return nil, fmt.Errorf("namespace %q: %w", req.GetName(), err)
	}
	return &authv1.DeleteNamespaceResponse{}, nil
}

// deleter deletes namespaces with all that they own. What it has begun it goes on with,
// whoever waits for it, and when the server starts again.
type deleter struct {
	auth     *auth.Auth
	deployer *deploy.Deployer
	events   events.Log
	blobs    *blobs.Blobs
	stats    *stats.Stats
	images   interface {
		Repositories(ctx context.Context) ([]string, error)
		Delete(ctx context.Context, repository string) error
	}
	failed func(ns string, err error) // is told what could not be deleted

	ctx  context.Context //nolint:containedctx // the life of the deletions, which outlive the calls that ask for them
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu   sync.Mutex
	jobs map[string]*deletion
}

// deletion is a namespace that is being deleted.
type deletion struct {
	done chan struct{} // closed when err is set
	err  error
}

// newDeleter returns a deleter that goes on with what a server before has begun.
func newDeleter(ctx context.Context, d *deleter) (*deleter, error) {
	d.ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	d.jobs = map[string]*deletion{}
	begun, err := d.auth.Deleting(ctx)
	if err != nil {
		d.stop()
		return nil, err
	}
	for _, ns := range begun {
		d.job(ns)
	}
	return d, nil
}

// close ends what is under way; the next server goes on with it.
func (d *deleter) close() error {
	d.stop()
	d.wg.Wait()
	return nil
}

// delete deletes a namespace and returns when it is gone.
func (d *deleter) delete(ctx context.Context, ns string) error {
	if err := d.auth.CloseNamespace(ctx, ns); err != nil {
		return err
	}
	job := d.job(ns)
	select {
	case <-job.done:
		return job.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// job returns the deletion of a namespace, which it starts when there is none.
func (d *deleter) job(ns string) *deletion {
	d.mu.Lock()
	defer d.mu.Unlock()
	if job := d.jobs[ns]; job != nil {
		return job
	}
	job := &deletion{done: make(chan struct{})}
	if d.ctx.Err() != nil {
		job.err = errStopping
		close(job.done)
		return job
	}
	d.jobs[ns] = job
	d.wg.Go(func() {
		job.err = d.run(ns)
		if d.ctx.Err() != nil && job.err != nil {
			job.err = errStopping
		} else if job.err != nil {
			d.failed(ns, job.err)
		}
		d.mu.Lock()
		delete(d.jobs, ns)
		d.mu.Unlock()
		close(job.done)
	})
	return job
}

// run deletes all that a closed namespace owns: first what writes there by itself.
func (d *deleter) run(ns string) error {
	services, err := d.deployer.Services(d.ctx, ns)
	if err != nil {
		return err
	}
	for _, s := range services {
		if _, err := d.deployer.Delete(d.ctx, ns, s.Name, ""); err != nil && !errors.Is(err, deploy.ErrNotFound) {
			return fmt.Errorf("stop %s: %w", s.Name, err)
		}
	}
	for _, s := range services {
		gone := d.deployer.Watch(d.ctx, ns, s.Name, func(deploy.Service) error { return nil })
		if !errors.Is(gone, deploy.ErrNotFound) {
			return fmt.Errorf("wait for the end of %s: %w", s.Name, gone)
		}
	}
	repositories, err := d.images.Repositories(d.ctx)
	if err != nil {
		return err
	}
	for _, r := range repositories {
		if strings.HasPrefix(r, ns+"/") {
			if err := d.images.Delete(d.ctx, r); err != nil {
				return err
			}
		}
	}
	if err := d.deleteTopics(ns); err != nil {
		return err
	}
	if err := d.blobs.Purge(d.ctx, ns); err != nil {
		return err
	}
	d.stats.Forget(ns)
	return d.auth.PurgeNamespace(d.ctx, ns)
}

// deleteTopics deletes the events of a namespace, which are not among its records.
func (d *deleter) deleteTopics(ns string) error {
	for {
		topics, err := d.events.Topics(d.ctx, ns, events.List{})
		if err != nil || len(topics) == 0 {
			return err
		}
		for _, t := range topics {
			err := d.events.Delete(d.ctx, events.Topic{Namespace: ns, Name: t.Name})
			if err != nil && !errors.Is(err, events.ErrNotFound) {
				return fmt.Errorf("delete the topic %s: %w", t.Name, err)
			}
		}
	}
}
