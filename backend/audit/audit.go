// Package audit keeps who did what: for each namespace a chain of entries, each of
// which carries the SHA-256 of the one before. It is logic over a [store.Store].
//
//	NAMESPACE/audit/entry/SEQUENCE  an entry
//	NAMESPACE/audit/head            where the chain ends and begins, sealed
//
// An entry that was removed, altered or moved is found by [Log.Verify]: inside of the
// chain by the hashes, at its ends by the head, which only who has the master key can
// write. Who can write to the store can put an older chain back with its head; against
// that helps only to compare with a hash that was noted elsewhere.
//
// It holds no values, and decides nothing: what is recorded is the server's business.
package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/internal/seal"
)

// ErrNotFound is returned when there is no such namespace.
var ErrNotFound = errors.New("no such namespace")

// Kind says what an entry is about.
type Kind string

// The kinds of entries.
const (
	Begun   Kind = "begun"   // a call that is about to be made; an entry of kind Ended follows
	Ended   Kind = "ended"   // how the call of an entry before has ended
	Made    Kind = "made"    // a call, with how it has ended
	Refused Kind = "refused" // a call that was not made, since the caller may not
	Missed  Kind = "missed"  // so many refused calls were not recorded one by one
	Damaged Kind = "damaged" // the head was lost, or written by somebody else
)

// Entry is what is known of a call, or of some.
type Entry struct {
	Sequence  int64     `json:"seq"`             // 1, 2, 3 … in its log
	Before    []byte    `json:"before"`          // SHA-256 of the entry before
	Log       string    `json:"log"`             // the namespace whose log it is in
	Time      time.Time `json:"time"`            // when it was made
	Kind      Kind      `json:"kind"`            //
	Request   string    `json:"req,omitempty"`   // the id of the call
	Account   string    `json:"by,omitempty"`    // NAMESPACE/ACCOUNT; empty: nobody who is known
	Service   bool      `json:"svc,omitempty"`   // the account is that of a service
	Token     string    `json:"token,omitempty"` // the name of the API token that has proven it
	Address   string    `json:"from,omitempty"`  // of the client
	Namespace string    `json:"ns,omitempty"`    // that the call is about
	Method    string    `json:"do,omitempty"`    // Service.Method
	Object    string    `json:"what,omitempty"`  // the name of what it is about
	Outcome   string    `json:"out,omitempty"`   // OK, or the reason of the error; empty: not known
	Of        int64     `json:"of,omitempty"`    // of Ended: the entry of the call
	Count     int64     `json:"n,omitempty"`     // of Missed
}

// OK is the outcome of a call that went well.
const OK = "OK"

// maxText is how many bytes of a text are kept: strangers write some of them.
const maxText = 256

// clean bounds the texts of an entry.
func (e *Entry) clean() {
	for _, s := range []*string{&e.Request, &e.Account, &e.Token, &e.Address, &e.Namespace, &e.Method, &e.Object, &e.Outcome} {
		*s = clip(*s)
	}
}

func clip(s string) string {
	const more = "…"
	if len(s) > maxText {
		s = s[:maxText-len(more)] + more // a rune that is cut is replaced below
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Options are what [New] needs.
type Options struct {
	Store store.Store
	// MasterKey has 32 bytes; the heads are sealed with a key that is derived from it.
	MasterKey []byte
	// Exists returns a condition that holds for as long as there is a namespace, and
	// ErrNotFound when there is none: nothing is left behind by what is deleted.
	Exists func(ctx context.Context, namespace string) (store.Cond, error)
	// Entries and Age bound what is kept of each log; 0: not bounded.
	Entries int64
	Age     time.Duration
	// Now tells the time; time.Now when nil.
	Now func() time.Time
}

// Log is the log of every namespace. All methods are safe for concurrent use.
type Log struct {
	options Options
	store   store.Store
	box     seal.Box
	now     func() time.Time

	mu     sync.Mutex
	chains map[string]*chain
	closed bool
	wg     sync.WaitGroup // of what writes
}

// New returns the log that a store holds. Close it before the store.
func New(o Options) (*Log, error) {
	box, err := seal.NewBox(o.MasterKey, "micro audit heads")
	if err != nil {
		return nil, err
	}
	l := &Log{options: o, store: o.Store, box: box, now: o.Now, chains: map[string]*chain{}}
	if l.now == nil {
		l.now = time.Now
	}
	return l, nil
}

// Close writes what is still to be written. Nothing is recorded afterwards.
func (l *Log) Close() error {
	l.mu.Lock()
	chains := slices.Collect(maps.Values(l.chains))
	l.mu.Unlock()
	for _, c := range chains {
		c.flush()
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wg.Wait()
	return nil
}

// begin reports whether something may still be written, which is counted in l.wg then.
func (l *Log) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.wg.Add(1)
	}
	return !l.closed
}

// chain returns the chain of a namespace.
func (l *Log) chain(ns string) *chain {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.chains[ns]
	if c == nil {
		c = &chain{log: l, ns: ns, strangers: newBucket(strangersFree, strangersEvery), members: newBucket(membersFree, membersEvery)}
		l.chains[ns] = c
	}
	return c
}

// forget has the next one who needs it read a chain anew.
func (l *Log) forget(c *chain) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.chains[c.ns] == c {
		delete(l.chains, c.ns)
	}
}

// Append records something in the log of a namespace, which is durable when Append
// returns, and returns its sequence. Many at once share their writes.
// [ErrNotFound] when there is no such namespace.
func (l *Log) Append(ctx context.Context, ns string, e Entry) (int64, error) {
	w := l.chain(ns).add(e)
	if err := w.wait(ctx); err != nil {
		return 0, err
	}
	return w.entry.Sequence, nil
}

// Note records a refused call soon, and does not wait for it. Who is refused often is
// not recorded each time, and counted: those of strangers are bounded by themselves, so
// that nobody who is no member of the namespace hides what its members try.
func (l *Log) Note(ns string, e Entry, stranger bool) { l.chain(ns).note(e, stranger) }

// Prune removes what is older, or more, than is kept. It is done whenever something is
// recorded, too.
func (l *Log) Prune(ctx context.Context, ns string) error {
	c := l.chain(ns)
	err := c.add(Entry{}).wait(ctx)
	if c.idle() {
		l.forget(c) // there may be many in which nothing is ever recorded
	}
	return err
}

func prefix(ns string) string      { return ns + "/audit/" }
func entryPrefix(ns string) string { return prefix(ns) + "entry/" }
func headKey(ns string) string     { return prefix(ns) + "head" }

func entryKey(ns string, sequence int64) string {
	return fmt.Sprintf("%s%019d", entryPrefix(ns), sequence)
}

// hashOf returns the hash of an entry as it is stored.
func hashOf(stored []byte) []byte {
	sum := sha256.Sum256(stored)
	return sum[:]
}
