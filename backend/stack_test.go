package backend_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/micro/micro/v3/backend/audit"
	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
	eventsembedded "github.com/micro/micro/v3/backend/events/embedded"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/store"
	storeembedded "github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/backend/tables"
)

// acme is the namespace that the tests work in.
const acme = "acme"

// masterKey is that of all stacks.
func masterKey() []byte { return bytes.Repeat([]byte{7}, auth.MasterKeySize) }

// stack is everything that keeps data, on one database, as a server opens it.
type stack struct {
	db       *embedded.DB
	store    store.Store
	events   events.Engine
	auth     *auth.Auth
	audit    *audit.Log
	config   *config.Config
	registry *registry.Registry
	blobs    *blobs.Blobs
	tables   *tables.Tables
	closers  []func() error
}

// openStack opens what is in the directory "data" of a file system. What went wrong
// before the stack was open has closed all of it again.
func openStack(ctx context.Context, o embedded.Options) (*stack, error) {
	return openStackIn(ctx, "data", o)
}

func openStackIn(ctx context.Context, dir string, o embedded.Options) (*stack, error) {
	s := &stack{}
	if err := s.open(ctx, dir, o); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stack) open(ctx context.Context, dir string, o embedded.Options) (err error) {
	if s.db, err = embedded.Open(ctx, dir, o); err != nil {
		return err
	}
	s.closers = append(s.closers, s.db.Close)
	st, err := storeembedded.Open(ctx, s.db, storeembedded.Options{MaxChanges: 200})
	if err != nil {
		return err
	}
	s.store = st
	s.closers = append(s.closers, st.Close)
	if s.events, err = eventsembedded.Open(ctx, s.db, eventsembedded.Options{}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.events.Close)
	if s.auth, err = auth.Open(ctx, auth.Config{Store: st, MasterKey: masterKey()}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.auth.Close)
	if s.audit, err = audit.New(audit.Options{Store: st, MasterKey: masterKey(), Exists: s.auth.Condition}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.audit.Close)
	if s.config, err = config.New(config.Options{Store: st, MasterKey: masterKey()}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.config.Close)
	s.registry = registry.New(st)
	s.closers = append(s.closers, s.registry.Close)
	if s.blobs, err = blobs.Open(ctx, blobs.Options{Store: st, Part: 1 << 10}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.blobs.Close)
	s.tables = tables.New(st)
	return nil
}

func (s *stack) close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// newDisk returns a disk on which there is a namespace, all of it durable.
func newDisk(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s, err := openStack(t.Context(), embedded.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.auth.CreateNamespace(t.Context(), acme, "alice", "correct horse")
	if err := errors.Join(err, s.close()); err != nil {
		t.Fatal(err)
	}
	return fs
}

// worker makes numbered changes to something that a stack keeps.
type worker interface {
	// step makes the change n, which is there when step has returned nil.
	step(ctx context.Context, s *stack, n int64) error
	// at returns the last change that is there; an error when it is not as it was made.
	// It is given the last one that was acknowledged.
	at(ctx context.Context, s *stack, acked int64) (int64, error)
}

// workers returns one of each kind.
func workers() map[string]worker {
	return map[string]worker{
		"tables":     tablesWorker{},
		"config":     configWorker{},
		"rules":      rulesWorker{},
		"identities": &identityWorker{tokens: map[int64]string{}},
		"blobs":      blobsWorker{},
		"events":     eventsWorker{},
		"leases":     leaseWorker{},
		"audit":      auditWorker{},
	}
}

// tablesWorker keeps a number in two records of a table, which it writes together.
type tablesWorker struct{}

func (tablesWorker) table() tables.Table { return tables.Table{Namespace: acme, Name: "pairs"} }

func (w tablesWorker) step(ctx context.Context, s *stack, n int64) error {
	value := fmt.Appendf(nil, "%d %0*d", n, n%1500, 0)
	_, err := s.tables.Batch(ctx, w.table(), []tables.Op{
		{Kind: tables.Put, Record: tables.Record{Key: "a", Value: value}},
		{Kind: tables.Put, Record: tables.Record{Key: "b", Value: value}},
	})
	return err
}

func (w tablesWorker) at(ctx context.Context, s *stack, _ int64) (int64, error) {
	a, err := s.tables.Get(ctx, w.table(), "a")
	if errors.Is(err, tables.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	b, err := s.tables.Get(ctx, w.table(), "b")
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(a.Value, b.Value) || a.Revision != b.Revision {
		return 0, fmt.Errorf("half of a batch: %.20q and %.20q", a.Value, b.Value)
	}
	text, _, _ := strings.Cut(string(a.Value), " ")
	return strconv.ParseInt(text, 10, 64)
}

// configWorker sets a number, and the same as a secret.
type configWorker struct{}

func (configWorker) step(ctx context.Context, s *stack, n int64) error {
	value := fmt.Sprintf(`{"n": %d, "secret": {"$secret": %d}}`, n, n)
	_, err := s.config.Set(ctx, acme, "w", []byte(value), config.SetOptions{By: "test"})
	return err
}

func (configWorker) at(ctx context.Context, s *stack, _ int64) (int64, error) {
	v, err := s.config.Get(ctx, acme, "w", config.Reveal)
	if errors.Is(err, config.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var n, secret int64
	if _, err := fmt.Sscanf(string(v.JSON), `{"n":%d,"secret":%d}`, &n, &secret); err != nil || n != secret {
		return 0, fmt.Errorf("half of a change: %s, %w", v.JSON, err)
	}
	if v.Revision != n {
		return 0, fmt.Errorf("the revision is %d after %d changes", v.Revision, n)
	}
	return n, nil
}

// rulesWorker replaces a rule by the next.
type rulesWorker struct{}

func (rulesWorker) step(ctx context.Context, s *stack, n int64) error {
	return s.auth.ReplaceRules(ctx, acme, []auth.Rule{{ID: "counter", Resource: fmt.Sprintf("service:n%d:*", n)}})
}

func (rulesWorker) at(ctx context.Context, s *stack, _ int64) (n int64, err error) {
	rules, err := s.auth.Rules(ctx, acme)
	if err != nil {
		return 0, err
	}
	if len(rules) < 7 {
		return 0, fmt.Errorf("the namespace has %d rules", len(rules))
	}
	for _, r := range rules {
		if r.ID == "counter" {
			_, err = fmt.Sscanf(r.Resource, "service:n%d:*", &n)
		}
	}
	return n, err
}

// identityWorker gives instances an identity, and makes that of the one before void.
type identityWorker struct{ tokens map[int64]string }

func (w *identityWorker) step(ctx context.Context, s *stack, n int64) error {
	token, err := s.auth.Identify(ctx, acme, "svc", fmt.Sprintf("i%d", n))
	if err != nil {
		return err
	}
	w.tokens[n] = token
	return s.auth.Forget(ctx, acme, fmt.Sprintf("i%d", n-1))
}

func (w *identityWorker) at(ctx context.Context, s *stack, acked int64) (int64, error) {
	if acked == 0 {
		return 0, nil
	}
	if _, err := s.auth.Refresh(ctx, w.tokens[acked]); err != nil {
		// The next step may have made it void, and not have been acknowledged.
		if _, nextErr := s.auth.Refresh(ctx, w.tokens[acked+1]); w.tokens[acked+1] == "" || nextErr != nil {
			return 0, fmt.Errorf("the identity %d is no good any more: %w", acked, err)
		}
	}
	if before := w.tokens[acked-1]; before != "" {
		if _, err := s.auth.Refresh(ctx, before); err == nil {
			return 0, fmt.Errorf("the identity %d is good again", acked-1)
		}
	}
	return acked, nil
}

// blobsWorker replaces a blob by one of another size.
type blobsWorker struct{}

func (blobsWorker) content(n int64) []byte {
	b := make([]byte, (n*7919)%20_000)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b)
	return b
}

func (w blobsWorker) step(ctx context.Context, s *stack, n int64) error {
	u, err := s.blobs.Create(ctx, acme, blobs.Info{Name: "b", Metadata: map[string]string{"n": strconv.FormatInt(n, 10)}}, nil)
	if err != nil {
		return err
	}
	err = u.Write(ctx, w.content(n))
	if err == nil {
		_, err = u.Commit(ctx, -1, nil)
	}
	if err != nil {
		_ = u.Discard(ctx) // the first error says why
	}
	return err
}

func (w blobsWorker) at(ctx context.Context, s *stack, _ int64) (int64, error) {
	r, err := s.blobs.Read(ctx, acme, "b", 0, 0)
	if errors.Is(err, blobs.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer r.Close()
	n, err := strconv.ParseInt(r.Info.Metadata["n"], 10, 64)
	if err != nil {
		return 0, err
	}
	var all []byte
	for {
		p, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		all = append(all, p...)
	}
	if !bytes.Equal(all, w.content(n)) {
		return 0, fmt.Errorf("blob %d has another content", n)
	}
	return n, nil
}

// eventsWorker publishes numbers.
type eventsWorker struct{}

func (eventsWorker) topic() events.Topic { return events.Topic{Namespace: acme, Name: "numbers"} }

func (w eventsWorker) step(ctx context.Context, s *stack, n int64) error {
	_, err := s.events.Append(ctx, w.topic(), []events.Event{{Payload: strconv.AppendInt(nil, n, 10)}})
	return err
}

func (w eventsWorker) at(ctx context.Context, s *stack, _ int64) (last int64, err error) {
	for {
		list, err := s.events.Read(ctx, w.topic(), events.Range{From: last + 1})
		if errors.Is(err, events.ErrNotFound) || err == nil && len(list) == 0 {
			return last, nil
		}
		if err != nil {
			return 0, err
		}
		for _, e := range list {
			last++
			if string(e.Payload) != strconv.FormatInt(last, 10) || e.Offset != last {
				return 0, fmt.Errorf("event %d is %q", e.Offset, e.Payload)
			}
		}
	}
}

// leaseWorker registers an instance again and again, as another version.
type leaseWorker struct{}

func (leaseWorker) step(ctx context.Context, s *stack, n int64) error {
	in := registry.Instance{ID: "i", Service: "svc", Version: strconv.FormatInt(n, 10), Address: "127.0.0.1:1", Owner: "test"}
	_, err := s.registry.Register(ctx, acme, in, registry.MaxLease)
	return err
}

func (leaseWorker) at(ctx context.Context, s *stack, _ int64) (int64, error) {
	d, err := s.registry.Directory(ctx, acme)
	if err != nil {
		return 0, err
	}
	list := d.Instances("svc")
	if len(list) == 0 {
		return 0, nil
	}
	if left := time.Until(list[0].LeaseExpires); left <= 0 || left > registry.MaxLease {
		return 0, fmt.Errorf("a lease with %s left", left)
	}
	return strconv.ParseInt(list[0].Version, 10, 64)
}

// auditWorker records what somebody did.
type auditWorker struct{}

func (auditWorker) step(ctx context.Context, s *stack, n int64) error {
	_, err := s.audit.Append(ctx, acme, audit.Entry{Kind: audit.Made, Object: strconv.FormatInt(n, 10)})
	return err
}

func (auditWorker) at(ctx context.Context, s *stack, _ int64) (int64, error) {
	report, err := s.audit.Verify(ctx, acme)
	if err == nil && len(report.Problems) > 0 {
		err = errors.New(strings.Join(report.Problems, "; "))
	}
	return report.Last, err
}
