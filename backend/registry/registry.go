// Package registry knows which instances of which services can be called, for
// as long as their leases last, and what they speak. It is logic over a
// [store.Store].
//
//	NAMESPACE/registry/instance/SERVICE/ID   a lease: the record expires with it
//	NAMESPACE/registry/schema/DIGEST         what instances speak, compressed
//
// It does not call anybody: whether an instance is well is known by who
// registers it.
package registry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound: there is no such service, instance or schema.
	ErrNotFound = errors.New("not found")
	// ErrInvalid marks a request that can never succeed; its text says why.
	ErrInvalid = errors.New("invalid")
)

// invalidError is an [ErrInvalid] that has no text but its own.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func (e invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// Leases of instances.
const (
	DefaultLease = 30 * time.Second
	MinLease     = 5 * time.Second
	MaxLease     = 5 * time.Minute
)

// maxSchema bounds a schema before compression.
const maxSchema = 16 << 20

// Instance is one process of a service that can be called.
type Instance struct {
	ID       string   `json:"id"`
	Service  string   `json:"service"`
	Version  string   `json:"version,omitempty"`
	Release  int64    `json:"release,omitempty"`
	Address  string   `json:"address"`            // host:port
	Schema   string   `json:"schema,omitempty"`   // the digest of what it speaks
	Provides []string `json:"provides,omitempty"` // the full names of its gRPC services
	// Owner says who renews the lease: the server for what its runtime
	// started, otherwise the account that registered it.
	Owner string `json:"owner,omitempty"`

	LeaseExpires time.Time `json:"-"`
}

// Registry is safe for concurrent use.
type Registry struct {
	store store.Store

	mu         sync.Mutex
	namespaces map[string]*Directory
}

// New returns a registry over a store. Close it before the store.
func New(s store.Store) *Registry {
	return &Registry{store: s, namespaces: map[string]*Directory{}}
}

// Close ends the watches.
func (r *Registry) Close() error {
	r.mu.Lock()
	open := maps.Clone(r.namespaces)
	clear(r.namespaces)
	r.mu.Unlock()
	for _, d := range open {
		d.view.Close()
	}
	return nil
}

const instances = "/registry/instance/"

func instanceKey(ns, service, id string) string { return ns + instances + service + "/" + id }
func schemaKey(ns, digest string) string        { return ns + "/registry/schema/" + digest }

// Register adds an instance to a namespace, or replaces the one with the same id, until
// the lease ends. Names must have been checked.
func (r *Registry) Register(ctx context.Context, ns string, in Instance, lease time.Duration) (Instance, error) {
	if lease == 0 {
		lease = DefaultLease
	}
	if lease < MinLease || lease > MaxLease {
		return Instance{}, invalid("a lease of %s is not between %s and %s", lease, MinLease, MaxLease)
	}
	value, err := json.Marshal(in)
	if err != nil {
		return Instance{}, err
	}
	revision, err := r.store.Txn(ctx, store.Txn{Do: []store.Op{{
		Kind:  store.KindPut,
		Key:   instanceKey(ns, in.Service, in.ID),
		Value: value,
		TTL:   lease,
	}}})
	if err != nil {
		return Instance{}, err
	}
	in.LeaseExpires = time.Now().Add(lease)
	return in, r.await(ctx, ns, revision)
}

// Renew prolongs the lease of an instance from now on, and returns when it ends.
// [ErrNotFound] when it has ended already, or is not owner's.
func (r *Registry) Renew(ctx context.Context, ns, service, id, owner string, lease time.Duration) (time.Time, error) {
	rec, err := r.store.Get(ctx, instanceKey(ns, service, id))
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, ErrNotFound
	}
	if err != nil {
		return time.Time{}, err
	}
	in, err := decode(rec)
	if err != nil {
		return time.Time{}, err
	}
	if in.Owner != owner {
		return time.Time{}, ErrNotFound
	}
	in, err = r.Register(ctx, ns, in, lease)
	return in.LeaseExpires, err
}

// Deregister ends the lease of an instance at once, so that no new call is sent
// to it when Deregister has returned. One that is not there, or is not owner's,
// is no error.
func (r *Registry) Deregister(ctx context.Context, ns, service, id, owner string) error {
	rec, err := r.store.Get(ctx, instanceKey(ns, service, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if in, err := decode(rec); err != nil || in.Owner != owner {
		return err
	}
	revision, err := r.store.Txn(ctx, store.Txn{Do: []store.Op{store.Delete(rec.Key)}})
	if err != nil {
		return err
	}
	return r.await(ctx, ns, revision)
}

// await makes a change hold for the next call that this process resolves.
func (r *Registry) await(ctx context.Context, ns string, revision int64) error {
	r.mu.Lock()
	d := r.namespaces[ns]
	r.mu.Unlock()
	if d == nil {
		return nil // whoever reads it first reads what is there then
	}
	return d.view.Wait(ctx, revision)
}

// DeregisterOwned ends all leases of an owner in a namespace: those of a
// server that has died cannot be renewed by anybody.
func (r *Registry) DeregisterOwned(ctx context.Context, ns, owner string) error {
	var ops []store.Op
	for rec, err := range r.store.Range(ctx, store.Prefix(ns+instances)) {
		if err != nil {
			return err
		}
		if in, err := decode(rec); err != nil {
			return err
		} else if in.Owner == owner {
			ops = append(ops, store.Delete(rec.Key))
		}
	}
	for chunk := range slices.Chunk(ops, store.MaxOps) {
		if _, err := r.store.Txn(ctx, store.Txn{Do: chunk}); err != nil {
			return err
		}
	}
	return nil
}

// PutSchema stores a serialized google.protobuf.FileDescriptorSet and returns
// its digest.
func (r *Registry) PutSchema(ctx context.Context, ns string, files []byte) (string, error) {
	if len(files) > maxSchema {
		return "", invalid("a schema of %d bytes; at most %d are taken", len(files), maxSchema)
	}
	sum := sha256.Sum256(files)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	key := schemaKey(ns, digest)
	if _, err := r.store.Get(ctx, key); !errors.Is(err, store.ErrNotFound) {
		return digest, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(files); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	_, err := r.store.Txn(ctx, store.Txn{Do: []store.Op{store.Put(key, b.Bytes())}})
	return digest, err
}

// Schema returns the schema with a digest.
func (r *Registry) Schema(ctx context.Context, ns, digest string) ([]byte, error) {
	rec, err := r.store.Get(ctx, schemaKey(ns, digest))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(rec.Value))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rec.Key, err)
	}
	files, err := io.ReadAll(io.LimitReader(z, maxSchema+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rec.Key, err)
	}
	return files, nil
}

func decode(rec store.Record) (Instance, error) {
	var in Instance
	if err := json.Unmarshal(rec.Value, &in); err != nil {
		return Instance{}, fmt.Errorf("%s: %w", rec.Key, err)
	}
	in.LeaseExpires = rec.Expires
	return in, nil
}

// Directory is what can be called in one namespace, in memory.
type Directory struct {
	view *store.View[Instance]

	mu         sync.Mutex
	generation int64
	services   map[string][]Instance // by service, ordered by release and id
	providers  map[string][]string   // by the full name of a gRPC service: the services that have it
}

// Directory returns the directory of a namespace, reading it at first use. The
// caller must know that the namespace exists.
func (r *Registry) Directory(ctx context.Context, ns string) (*Directory, error) {
	r.mu.Lock()
	d := r.namespaces[ns]
	r.mu.Unlock()
	if d != nil {
		if d.view.Err() == nil {
			return d, nil
		}
		r.mu.Lock()
		if r.namespaces[ns] == d {
			delete(r.namespaces, ns)
		}
		r.mu.Unlock()
	}
	view, err := store.NewView(ctx, r.store, ns+instances, decode)
	if err != nil {
		return nil, err
	}
	d = &Directory{view: view}
	r.mu.Lock()
	first, lost := r.namespaces[ns]
	if !lost {
		r.namespaces[ns] = d
	}
	r.mu.Unlock()
	if lost {
		view.Close()
		return first, nil
	}
	return d, nil
}

// Instances returns the instances of a service, those of the newest release
// last; the caller must not change them.
func (d *Directory) Instances(service string) []Instance {
	d.refresh()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.services[service]
}

// Services yields the services with their instances, ordered by name.
func (d *Directory) Services() iter.Seq2[string, []Instance] {
	d.refresh()
	d.mu.Lock()
	services := d.services
	d.mu.Unlock()
	return func(yield func(string, []Instance) bool) {
		for _, name := range slices.Sorted(maps.Keys(services)) {
			if !yield(name, services[name]) {
				return
			}
		}
	}
}

// Providers returns the names of the services that have the gRPC service of
// the given full name, ordered.
func (d *Directory) Providers(grpcService string) []string {
	d.refresh()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.providers[grpcService]
}

// Generation changes whenever the directory does.
func (d *Directory) Generation() int64 { return d.view.Generation() }

// Changed returns a channel that is closed at the next change.
func (d *Directory) Changed() <-chan struct{} { return d.view.Changed() }

// refresh rebuilds the indexes after a change. They are replaced, never changed.
func (d *Directory) refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	generation := d.view.Generation()
	if d.services != nil && generation == d.generation {
		return
	}
	services := map[string][]Instance{}
	providers := map[string][]string{}
	d.view.Each(func(_ string, in Instance) bool {
		services[in.Service] = append(services[in.Service], in)
		for _, p := range in.Provides {
			if !slices.Contains(providers[p], in.Service) {
				providers[p] = append(providers[p], in.Service)
			}
		}
		return true
	})
	for _, instances := range services {
		slices.SortFunc(instances, func(a, b Instance) int {
			return cmp.Or(cmp.Compare(a.Release, b.Release), cmp.Compare(a.ID, b.ID))
		})
	}
	for _, names := range providers {
		slices.SortFunc(names, strings.Compare)
	}
	d.generation, d.services, d.providers = generation, services, providers
}
