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
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound: there is no such service, instance or schema.
	ErrNotFound = errors.New("not found")
	// ErrTaken: somebody else registered an instance with that id.
	ErrTaken = errors.New("an instance with this id was registered by somebody else")
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

// leaseSlack is how far the clocks of this process and of the store may differ.
const leaseSlack = time.Minute

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
	// Since is when it was registered without a break since; [Registry.Register] sets it.
	Since time.Time `json:"since,omitzero"`

	LeaseExpires time.Time `json:"-"`
}

// differs reports whether more than the lease differs.
func (in *Instance) differs(other *Instance) bool {
	return in.ID != other.ID || in.Service != other.Service || in.Version != other.Version ||
		in.Release != other.Release || in.Address != other.Address || in.Schema != other.Schema ||
		in.Owner != other.Owner || !slices.Equal(in.Provides, other.Provides)
}

// Registry is safe for concurrent use.
type Registry struct {
	store       store.Store
	directories *store.Views[opened]

	mu     sync.Mutex
	unused map[string]map[string]unused // by namespace and key: schemas that may be collected
}

// New returns a registry over a store. Close it before the store.
func New(s store.Store) *Registry {
	return &Registry{
		store: s,
		directories: store.NewViews(func(ctx context.Context, ns string) (opened, error) {
			return openDirectory(ctx, s, ns+instances)
		}),
		unused: map[string]map[string]unused{},
	}
}

// Close ends the watches.
func (r *Registry) Close() error {
	r.directories.Close()
	return nil
}

// Directory returns the directory of a namespace, reading it at first use. The
// caller must know that the namespace exists.
func (r *Registry) Directory(ctx context.Context, ns string) (*Directory, error) {
	d, err := r.directories.Get(ctx, ns)
	return d.Directory, err
}

const instances = "/registry/instance/"

func instanceKey(ns, service, id string) string { return ns + instances + service + "/" + id }

// Register adds an instance to a namespace, or replaces the one with the same id,
// until the lease ends; its owner alone can do the latter, others get [ErrTaken].
// When it has returned, the next call of the service can go there. Names must have
// been checked.
func (r *Registry) Register(ctx context.Context, ns string, in Instance, lease time.Duration) (Instance, error) {
	lease, err := checkLease(lease)
	if err != nil {
		return Instance{}, err
	}
	key := instanceKey(ns, in.Service, in.ID)
	for {
		old, revision, err := r.load(ctx, key)
		if err != nil {
			return Instance{}, err
		}
		if revision != 0 && old.Owner != in.Owner {
			return Instance{}, ErrTaken
		}
		in.Since = cmp.Or(old.Since, time.Now())
		value, err := json.Marshal(in)
		if err != nil {
			return Instance{}, err
		}
		in.LeaseExpires = time.Now().Add(lease)
		err = r.commit(ctx, ns, store.Txn{
			If: []store.Cond{{Key: key, Revision: revision}},
			Do: []store.Op{leased(key, value, lease)},
		})
		if !errors.Is(err, store.ErrConflict) {
			return in, err
		}
	}
}

// Renew prolongs the lease of an instance from now on, and returns when it ends.
// [ErrNotFound] when it has ended already, or is not owner's.
func (r *Registry) Renew(ctx context.Context, ns, service, id, owner string, lease time.Duration) (time.Time, error) {
	lease, err := checkLease(lease)
	if err != nil {
		return time.Time{}, err
	}
	name := Name{service, id}
	for {
		t, _, found, err := r.renewal(ctx, ns, owner, lease, []Name{name})
		if err != nil {
			return time.Time{}, err
		}
		if !found[name] {
			return time.Time{}, ErrNotFound
		}
		expires := time.Now().Add(lease)
		err = r.commit(ctx, ns, t)
		if !errors.Is(err, store.ErrConflict) {
			return expires, err
		}
	}
}

// Name is what an instance is called in its namespace.
type Name struct{ Service, ID string }

// RenewAll is [Registry.Renew] for many instances, in a few transactions. It returns
// those whose leases have ended already, or are not owner's.
func (r *Registry) RenewAll(ctx context.Context, ns, owner string, lease time.Duration, names []Name) (ended []Name, err error) {
	if lease, err = checkLease(lease); err != nil {
		return nil, err
	}
	for len(names) > 0 {
		t, taken, found, err := r.renewal(ctx, ns, owner, lease, names)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			err = r.commit(ctx, ns, t)
		}
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, n := range names[:taken] {
			if !found[n] {
				ended = append(ended, n)
			}
		}
		names = names[taken:]
	}
	return ended, nil
}

// renewal returns the transaction that prolongs the leases of those of the first
// instances that are there and owner's, which ones these are, and how many names it
// took: as many as one transaction holds.
func (r *Registry) renewal(
	ctx context.Context, ns, owner string, lease time.Duration, names []Name,
) (t store.Txn, taken int, found map[Name]bool, err error) {
	found = map[Name]bool{}
	size := 0
	for _, n := range names {
		key := instanceKey(ns, n.Service, n.ID)
		rec, err := r.store.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			taken++
			continue
		}
		if err != nil {
			return store.Txn{}, 0, nil, err
		}
		in, err := decode(rec)
		if err != nil {
			return store.Txn{}, 0, nil, err
		}
		if in.Owner != owner || found[n] {
			taken++
			continue
		}
		size += len(key) + len(rec.Value)
		if len(t.Do) == store.MaxOps || len(t.Do) > 0 && size > store.MaxTxn {
			break
		}
		taken++
		found[n] = true
		// One that was taken away in between must not come back.
		t.If = append(t.If, store.Cond{Key: key, Revision: rec.Revision})
		t.Do = append(t.Do, leased(key, rec.Value, lease))
	}
	return t, taken, found, nil
}

// Deregister ends the lease of an instance at once, so that no new call is sent
// to it when Deregister has returned. One that is not there, or is not owner's,
// is no error.
func (r *Registry) Deregister(ctx context.Context, ns, service, id, owner string) error {
	key := instanceKey(ns, service, id)
	for {
		in, revision, err := r.load(ctx, key)
		if err != nil || revision == 0 || in.Owner != owner {
			return err
		}
		err = r.commit(ctx, ns, store.Txn{
			If: []store.Cond{{Key: key, Revision: revision}},
			Do: []store.Op{store.Delete(key)},
		})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// Recover is for a server that starts. It ends all leases of an owner in a namespace:
// those of a server that has died cannot be renewed by anybody. The leases of others
// end in [MaxLease] at the latest, also when the clock was set back in between.
func (r *Registry) Recover(ctx context.Context, ns, owner string) error {
	for {
		var t store.Txn
		size, latest := 0, time.Now().Add(MaxLease+leaseSlack)
		for rec, err := range r.store.Range(ctx, store.Prefix(ns+instances)) {
			if err != nil {
				return err
			}
			in, err := decode(rec)
			if err != nil {
				return err
			}
			var op store.Op
			switch {
			case in.Owner == owner:
				op = store.Delete(rec.Key)
			case in.LeaseExpires.After(latest):
				op = leased(rec.Key, rec.Value, MaxLease)
			default:
				continue
			}
			t.If = append(t.If, store.Cond{Key: rec.Key, Revision: rec.Revision})
			t.Do = append(t.Do, op)
			size += len(op.Key) + len(op.Value)
			if len(t.Do) == store.MaxOps || size > store.MaxTxn-store.MaxKey-store.MaxValue {
				break
			}
		}
		if len(t.Do) == 0 {
			return nil
		}
		if err := r.commit(ctx, ns, t); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// load returns an instance; the revision is 0 when there is none.
func (r *Registry) load(ctx context.Context, key string) (in Instance, revision int64, err error) {
	rec, err := r.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return Instance{}, 0, nil
	}
	if err != nil {
		return Instance{}, 0, err
	}
	in, err = decode(rec)
	return in, rec.Revision, err
}

// commit makes a transaction, which has to change something in the namespace, hold
// for the next call that this process resolves.
func (r *Registry) commit(ctx context.Context, ns string, t store.Txn) error {
	revision, err := r.store.Txn(ctx, t)
	if err != nil {
		return err
	}
	return r.directories.Wait(ctx, ns, revision)
}

func leased(key string, value []byte, lease time.Duration) store.Op {
	return store.Op{Kind: store.KindPut, Key: key, Value: value, TTL: lease}
}

func checkLease(lease time.Duration) (time.Duration, error) {
	if lease == 0 {
		return DefaultLease, nil
	}
	if lease < MinLease || lease > MaxLease {
		return 0, invalid("a lease of %s is not between %s and %s", lease, MinLease, MaxLease)
	}
	return lease, nil
}

func decode(rec store.Record) (Instance, error) {
	var in Instance
	if err := json.Unmarshal(rec.Value, &in); err != nil {
		return Instance{}, fmt.Errorf("%s: %w", rec.Key, err)
	}
	in.LeaseExpires = rec.Expires
	return in, nil
}
