package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/dynamic"
	images "github.com/micro/micro/v3/image/registry"
)

const (
	// owner is who renews the leases of what this server's runtime started.
	owner = "runtime"
	// askFor is how long an instance may take to say what it speaks.
	askFor = 10 * time.Second
	// askForeignFor is the same of one that need not speak gRPC.
	askForeignFor = time.Second
	// drainFor is how long a call may go on after its instance was taken out
	// of the registry, before the instance is asked to end.
	drainFor = 5 * time.Second
	// schemaGrace is how long a schema is kept that no instance speaks, and
	// schemaCheck how often they are looked at.
	schemaGrace = time.Hour
	schemaCheck = 20 * time.Minute
)

// directory makes the instances of the runtime callable: it is the
// [deploy.Directory] of the server.
type directory struct {
	auth     *auth.Auth
	registry *registry.Registry
	proxy    *proxy.Proxy
	comments func(ctx context.Context, image string) ([]byte, error) // the schema that an image has
	logger   *slog.Logger
	askFor   time.Duration

	mu sync.Mutex
	up map[string]deploy.Instance // by id: whose leases are renewed
}

var _ deploy.Directory = (*directory)(nil)

// Up asks an instance what it speaks and registers it.
func (d *directory) Up(ctx context.Context, in deploy.Instance) error {
	if err := d.register(ctx, in); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.up[in.ID] = in
	return nil
}

func (d *directory) register(ctx context.Context, in deploy.Instance) error {
	entry := registry.Instance{
		ID:      in.ID,
		Service: in.Service,
		Version: in.Version,
		Release: in.Release,
		Address: in.Address,
		Owner:   owner,
	}
	comments, err := d.comments(ctx, in.Image)
	if err != nil && !errors.Is(err, images.ErrNotFound) {
		d.logger.Warn("an image has a schema that cannot be read", "image", in.Image, "err", err)
	}
	asked, cancel := ctx, func() {}
	if in.Foreign {
		asked, cancel = context.WithTimeout(ctx, askForeignFor)
	}
	err = d.describe(asked, in.Namespace, &entry, nil, comments)
	cancel()
	if err != nil && in.Foreign && ctx.Err() == nil {
		d.logger.Info("an instance does not speak gRPC, and need not: it gets no typed commands and no HTTP API",
			"namespace", in.Namespace, "service", in.Service, "instance", in.ID, "err", err)
	} else if err != nil {
		return err
	}
	_, err = d.registry.Register(ctx, in.Namespace, entry, 0)
	return err
}

// describe fills in what an instance speaks: the given schema, or what the
// instance says of itself, with the comments of the schema that its image has. One
// that says nothing can still be called by those who know its methods.
func (d *directory) describe(ctx context.Context, ns string, entry *registry.Instance, files, comments []byte) error {
	if files == nil {
		var err error
		files, err = d.ask(ctx, entry.Address)
		if errors.Is(err, dynamic.ErrNoReflection) {
			d.logger.Info("an instance has no reflection: it gets no typed commands and no HTTP API",
				"namespace", ns, "service", entry.Service, "instance", entry.ID)
			return nil
		}
		if err != nil {
			return err
		}
		files = dynamic.AddComments(files, comments)
	}
	schema, err := dynamic.ParseSchema(files)
	if err != nil {
		return invalid("what it speaks: %s", err)
	}
	for _, s := range schema.Services() {
		if !dynamic.Plumbing(s.FullName()) {
			entry.Provides = append(entry.Provides, string(s.FullName()))
		}
	}
	entry.Schema, err = d.registry.PutSchema(ctx, ns, files)
	return err
}

// askBuffer is how much of what an instance says of its schema is buffered, in bytes:
// many may be asked at once.
const askBuffer = 4 << 10

// ask asks an instance for its schema. What it does wrong is errInvalid.
func (d *directory) ask(ctx context.Context, address string) ([]byte, error) {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), // for the world outside
		grpc.WithReadBufferSize(askBuffer), grpc.WithWriteBufferSize(askBuffer),
	)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	limited, cancel := context.WithTimeout(ctx, d.askFor)
	defer cancel()
	files, err := dynamic.Reflect(limited, conn)
	switch {
	case err == nil, errors.Is(err, dynamic.ErrNoReflection):
		return files, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, invalid("ask it what it speaks: no answer in %s", d.askFor)
	default:
		return nil, invalid("ask it what it speaks: %s", err)
	}
}

// Down takes an instance out of the registry.
func (d *directory) Down(ctx context.Context, in deploy.Instance) error {
	d.mu.Lock()
	delete(d.up, in.ID)
	d.mu.Unlock()
	return d.registry.Deregister(ctx, in.Namespace, in.Service, in.ID, owner)
}

// Drain waits for the calls to an instance to end. One that goes on is no reason to
// keep the instance: it is told to end and has its own grace.
func (d *directory) Drain(ctx context.Context, in deploy.Instance) {
	ctx, cancel := context.WithTimeout(ctx, drainFor)
	defer cancel()
	_ = d.proxy.Drain(ctx, in.Address) // what it could not wait for is cut off
}

// has reports whether an instance of the runtime listens on an address.
func (d *directory) has(address netip.AddrPort) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, in := range d.up {
		if a, err := parseAddress(in.Address); err == nil && a == address {
			return true
		}
	}
	return false
}

// Identify gives an instance an identity of its own.
func (d *directory) Identify(ctx context.Context, in deploy.Instance) ([]byte, error) {
	token, err := d.auth.Identify(ctx, in.Namespace, in.Service, in.ID)
	return []byte(token), err
}

// Forget makes the identity of an instance void.
func (d *directory) Forget(ctx context.Context, in deploy.Instance) error {
	return d.auth.Forget(ctx, in.Namespace, in.ID)
}

// renew keeps the leases of the instances that are up until ctx ends.
func (d *directory) renew(ctx context.Context) {
	tick := time.NewTicker(registry.DefaultLease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		d.renewAll(ctx)
	}
}

// renewAll prolongs the leases of the instances that are up, in few transactions
// for each namespace.
func (d *directory) renewAll(ctx context.Context) {
	up := map[string]map[registry.Name]deploy.Instance{}
	d.mu.Lock()
	for _, in := range d.up {
		if up[in.Namespace] == nil {
			up[in.Namespace] = map[registry.Name]deploy.Instance{}
		}
		up[in.Namespace][registry.Name{Service: in.Service, ID: in.ID}] = in
	}
	d.mu.Unlock()
	for ns, instances := range up {
		ended, err := d.registry.RenewAll(ctx, ns, owner, 0, slices.Collect(maps.Keys(instances)))
		if err != nil && ctx.Err() == nil {
			d.logger.Error("cannot renew the leases of instances", "namespace", ns, "err", err)
		}
		for _, name := range ended {
			d.upAgain(ctx, instances[name])
		}
	}
}

// upAgain registers an instance whose lease has ended while nothing could be written.
// One that was taken down meanwhile stays down.
func (d *directory) upAgain(ctx context.Context, in deploy.Instance) {
	if !d.isUp(in) {
		return
	}
	err := d.register(ctx, in)
	if err == nil && !d.isUp(in) {
		err = d.registry.Deregister(ctx, in.Namespace, in.Service, in.ID, owner)
	}
	if err != nil && ctx.Err() == nil {
		d.logger.Error("cannot renew the lease of an instance",
			"namespace", in.Namespace, "service", in.Service, "instance", in.ID, "err", err)
	}
}

func (d *directory) isUp(in deploy.Instance) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.up[in.ID]
	return ok
}

// collectSchemas deletes the schemas that nobody speaks any more until ctx ends.
func (d *directory) collectSchemas(ctx context.Context) {
	tick := time.NewTicker(schemaCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		namespaces, err := d.auth.Namespaces(ctx)
		for _, ns := range namespaces {
			err = errors.Join(err, d.registry.CollectSchemas(ctx, ns, schemaGrace))
		}
		if err != nil && ctx.Err() == nil {
			d.logger.Error("cannot collect schemas", "err", err)
		}
	}
}
