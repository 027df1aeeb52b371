// Package store defines an ordered, durable key-value store: the one contract
// under accounts, rules, configuration, tables, leases and desired state.
//
//	store.Store       what a driver does
//	storetest.Test    what that means: the conformance suite is the definition
//	store/<driver>    embedded, postgres, …
//
// It is not a cache and has no notion of tenants: whoever composes a key puts
// the namespace first.
package store

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Limits that every driver holds. A request beyond them fails with [ErrTooLarge].
const (
	MaxKey   = 4 << 10 // bytes of a key
	MaxValue = 1 << 20 // bytes of a value
	MaxOps   = 1000    // operations of a transaction, and conditions
	MaxTxn   = 8 << 20 // bytes of all keys and values of a transaction's operations
)

// Errors that callers tell apart with [errors.Is]. Any other error is a failure
// of the engine; what a write that returned one did is unknown.
var (
	ErrNotFound  = errors.New("no such key")
	ErrConflict  = errors.New("the record was changed in between")
	ErrCompacted = errors.New("the changes since that revision are no longer kept")
	ErrTooLarge  = errors.New("larger than the store allows")
	ErrFull      = errors.New("the disk is full")
	ErrClosed    = errors.New("the store is closed")
)

// Store is an ordered map from keys to values. Keys are any bytes and are ordered
// bytewise; the empty key is not allowed ([ErrTooLarge] is not what it gets, but
// an error that says so).
//
// Every transaction that changes something has a revision of its own, and later
// ones have greater ones. What a method returned as done survives a crash of the
// process and a loss of power; nothing that is not so durable is ever shown to a
// reader. Reads and transactions are linearizable.
//
// All methods are safe for concurrent use. They return promptly with the
// context's error when ctx ends; a transaction may have been made then. Values
// passed in are not kept, and values handed out belong to the caller; those that a
// watch yields others may be reading, and they must not be changed.
type Store interface {
	// Get returns the record of a key, [ErrNotFound] when there is none or it
	// has expired.
	Get(ctx context.Context, key string) (Record, error)

	// Range yields the records of r in order, all as of one revision, which is
	// not older than the call. It reads as it is consumed and holds resources
	// until the loop ends. An error is yielded last, with an empty record.
	Range(ctx context.Context, r Range) iter.Seq2[Record, error]

	// Txn makes all of t's operations at once when all of its conditions hold,
	// and returns the revision that they got. When one does not hold it changes
	// nothing and returns [ErrConflict]. A transaction without operations only
	// checks, and returns the newest revision.
	Txn(ctx context.Context, t Txn) (int64, error)

	// Watch yields the changes to keys that begin with prefix, in the order of
	// their revisions, without gap or repetition, until the loop ends; it waits
	// for new ones.
	//
	// With from == 0 it first yields the records that are there, as puts with
	// the revisions that they have, and then one change of kind [Synced]; with
	// from > 0 it begins with the first revision after from, and yields Synced
	// when it has caught up with what was there when it began. [ErrCompacted]
	// means that changes since from are gone, or that the store never came to
	// that revision: begin again with 0. A consumer that is slow holds nobody
	// up; if it falls too far behind it gets ErrCompacted.
	//
	// The changes of a transaction share its revision. Whoever stopped between
	// two of them goes on from the revision before.
	Watch(ctx context.Context, prefix string, from int64) iter.Seq2[Change, error]

	// Close waits for running calls to end and releases the engine. Calls made
	// afterwards return [ErrClosed]; running watches end with it.
	Close() error
}

// Checkpointer is what a [Store] can do whose engine keeps its data in files of this
// machine.
type Checkpointer interface {
	// Checkpoint makes a copy of all data of the engine in a directory that is not
	// there yet, on the same file system, which the engine can be opened in. All that
	// was acknowledged before the call is in it, and nobody waits for it.
	Checkpoint(ctx context.Context, dir string) error
}

// Record is a key with its value.
type Record struct {
	Key      string
	Value    []byte
	Revision int64     // of the transaction that wrote it
	Expires  time.Time // zero: never
}

// Range selects records by their keys.
type Range struct {
	Start    string // the first key, itself included
	End      string // the first key beyond; empty: no bound
	Limit    int    // at most so many; 0: all
	Reverse  bool   // from the last to the first
	KeysOnly bool   // leave the values out
}

// Prefix returns the range of all keys that begin with p.
func Prefix(p string) Range {
	return Range{Start: p, End: PrefixEnd(p)}
}

// PrefixEnd returns the first key after all keys that begin with p; empty when
// there is none, which is the case for an empty prefix and for one of 0xff bytes.
func PrefixEnd(p string) string {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] < 0xff {
			return p[:i] + string([]byte{p[i] + 1})
		}
	}
	return ""
}

// Txn is a set of operations that happen together or not at all. A key may be
// in one operation only.
type Txn struct {
	If []Cond
	Do []Op
}

// Cond holds when the record of Key has the given revision; 0 means that there is
// no such record.
type Cond struct {
	Key      string
	Revision int64
}

// Op is a change of one key.
type Op struct {
	Kind  Kind
	Key   string
	Value []byte
	// TTL makes the record expire so long after the transaction, by a clock
	// that a change of the system's time does not move; 0: never. From then on
	// it is not found, and soon afterwards it is deleted and watchers see that.
	TTL time.Duration
	// Bulk keeps the value of a put out of the changes: a watch shows the change
	// with an empty value, but the record as it is when it begins with 0. It is for
	// large values that nobody follows: they would push the changes of others out.
	Bulk bool
}

// Put returns the operation that sets a key for good.
func Put(key string, value []byte) Op { return Op{Kind: KindPut, Key: key, Value: value} }

// Delete returns the operation that removes a key; it is no error when there is none,
// and no change then.
func Delete(key string) Op { return Op{Kind: KindDelete, Key: key} }

// Kind says what happens, or happened, to a key.
type Kind uint8

// The kinds of operations and changes.
const (
	KindPut    Kind = iota + 1
	KindDelete      // by an operation or because the record expired
	Synced          // only in a watch: what was there has been shown
)

// Change is what a watch yields.
type Change struct {
	Kind Kind
	// Revision is that of the transaction; of Synced, the newest one that has
	// been shown.
	Revision int64
	// More says that further changes of the same transaction follow.
	More bool
	// Record is what was put. Of a deletion it has key and revision only; of
	// Synced nothing.
	Record Record
}
