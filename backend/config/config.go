// Package config keeps the configuration of every namespace: one tree of JSON
// values with a history, read from memory and watched. It is logic over a
// [store.Store].
//
//	NAMESPACE/config/now               the values, by their paths
//	NAMESPACE/config/history/REVISION  what a revision changed
//
// A namespace counts its own revisions, so that nobody learns from them what
// others do. A change is one transaction of both records: the history has no gap,
// and a watch that went on from any revision in it misses nothing.
//
// Secrets are sealed for their namespace and path, in both records.
package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/internal/seal"
)

// Limits of the configuration of a namespace.
const (
	MaxValue = 64 << 10  // bytes of a value that is no object
	MaxTotal = 256 << 10 // bytes of all paths and values, and of valueCost for each
	Kept     = 256       // revisions in the history
)

// valueCost is what a value counts beside its path and its bytes.
const valueCost = 64

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound: there is no value at the path, or no such revision any more.
	ErrNotFound = errors.New("not found")
	// ErrConflict: a condition on a revision does not hold.
	ErrConflict = errors.New("it was changed in between")
	// ErrNotObject: something would have to be set below a value that is no object.
	ErrNotObject = errors.New("it is no object")
	// ErrInvalid marks a request that can never succeed; its text says why.
	ErrInvalid = errors.New("invalid")
)

// invalidError is an [ErrInvalid] that has no text but its own.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func (e invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// Options are what [New] needs.
type Options struct {
	Store store.Store
	// MasterKey has 32 bytes; secrets are encrypted with a key that is derived
	// from it.
	MasterKey []byte
	// Now tells the time; time.Now when nil.
	Now func() time.Time
}

// Config is the configuration of all namespaces. All methods are safe for
// concurrent use. Their callers know that the namespace exists.
type Config struct {
	store store.Store
	box   seal.Box
	now   func() time.Time
	docs  *store.Views[*store.View[document]]
	// writers holds a channel for each namespace that was changed, full while one of its
	// changes is made.
	writers sync.Map
	// tails holds a *tail for each namespace that is watched, or was.
	tails sync.Map
}

// New returns the configuration that a store holds. Close it before the store.
func New(o Options) (*Config, error) {
	box, err := seal.NewBox(o.MasterKey, "micro config at rest")
	if err != nil {
		return nil, err
	}
	c := &Config{store: o.Store, box: box, now: o.Now}
	if c.now == nil {
		c.now = time.Now
	}
	c.docs = store.NewViews(func(ctx context.Context, ns string) (*store.View[document], error) {
		return store.NewView(ctx, c.store, nowKey(ns), decodeDocument)
	})
	return c, nil
}

// Close ends the watches of the store; those of callers end with [store.ErrClosed].
func (c *Config) Close() error {
	c.docs.Close()
	return nil
}

func nowKey(ns string) string { return ns + "/config/now" }

func historyPrefix(ns string) string { return ns + "/config/history/" }

func historyKey(ns string, revision int64) string {
	return historyPrefix(ns) + fmt.Sprintf("%019d", revision)
}

// document is the configuration of a namespace. It is not changed once it is made.
type document struct {
	Revision int64  `json:"revision"`
	Leaves   leaves `json:"leaves"`
}

func decodeDocument(r store.Record) (document, error) {
	var d document
	err := json.Unmarshal(r.Value, &d)
	return d, err
}

// current returns the configuration as memory has it, and the view that it is from.
func (c *Config) current(ctx context.Context, ns string) (document, *store.View[document], error) {
	view, err := c.docs.Get(ctx, ns)
	if err != nil {
		return document{}, nil, err
	}
	d, _ := view.Get("") // there is none before the first change
	return d, view, nil
}

// Show says how secrets are shown.
type Show uint8

// The ways to show a secret.
const (
	Hide   Show = iota // as the string [Hidden]
	Reveal             // as what it is
	Mark               // as {"$secret": VALUE}, which can be set again
)

// Value is a value as it is read.
type Value struct {
	JSON     []byte // nil: there is none
	Revision int64  // the one that was read
	Secrets  []string
	Reset    bool // of a watch: changes before it are missing
}

// Get returns the value at a path, with all that is below it. [ErrNotFound] when
// there is none; the whole of an empty configuration is an empty object.
func (c *Config) Get(ctx context.Context, ns, path string, show Show) (Value, error) {
	p, err := parsePath(path)
	if err != nil {
		return Value{}, err
	}
	d, _, err := c.current(ctx, ns)
	if err != nil {
		return Value{}, err
	}
	v, err := c.value(ns, d.Leaves, p, show)
	if err != nil {
		return Value{}, err
	}
	if v.JSON == nil && len(p) > 0 {
		return Value{}, ErrNotFound
	}
	if v.JSON == nil {
		v.JSON = []byte("{}")
	}
	v.Revision = d.Revision
	return v, nil
}

// Leaf is a value that is no object, or an empty one.
type Leaf struct {
	Path     string
	JSON     []byte
	Secret   bool
	Revision int64 // that set it
}

// List returns at most limit leaves at and below a path, ordered by their paths,
// that come after the path given, and the revision that was read. More says that
// there are others behind them.
func (c *Config) List(ctx context.Context, ns, path, after string, limit int, show Show) (list []Leaf, revision int64, more bool, err error) {
	p, err := parsePath(path)
	if err != nil {
		return nil, 0, false, err
	}
	d, _, err := c.current(ctx, ns)
	if err != nil {
		return nil, 0, false, err
	}
	for _, at := range d.Leaves.paths(p.String()) {
		if at <= after && after != "" {
			continue
		}
		if len(list) == limit {
			return list, d.Revision, true, nil
		}
		l := d.Leaves[at]
		b, err := c.shown(ns, at, l, show)
		if err != nil {
			return nil, 0, false, err
		}
		list = append(list, Leaf{Path: at, JSON: b, Secret: l.secret(), Revision: l.Revision})
	}
	return list, d.Revision, false, nil
}

// parseRevision reads a revision that this package wrote.
func parseRevision(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, invalid("%q is no page token", s)
	}
	return n, nil
}
