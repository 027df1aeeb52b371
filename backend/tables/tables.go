// Package tables keeps the records of namespaces in tables of databases. It is
// logic over a [store.Store].
//
//	NAMESPACE/store/record/DATABASE 0 TABLE 0 KEY   a record: metadata and value
//	NAMESPACE/store/import/ID/PART                  what an import has brought so far
//
// A table is there as long as it has a record, and so is a database. The one that is
// called like the namespace is empty in keys, so that it is the first in every
// namespace. What a caller gives for a key always stands behind the namespace, the
// database and the table.
package tables

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Limits. A request beyond them fails with [ErrInvalid].
const (
	MaxName     = 64      // bytes of the name of a database, and of a table
	MaxKey      = 3072    // bytes of a key
	MaxValue    = 1000000 // bytes of a value
	MaxMetadata = 16384   // bytes of a record's metadata
	MaxOps      = store.MaxOps

	MinExpiry = time.Millisecond
	MaxExpiry = 100 * 365 * 24 * time.Hour
)

// DefaultTable is the table that is meant when none is named.
const DefaultTable = "default"

// Errors that callers tell apart with [errors.Is], beside those of [store].
var (
	// ErrNotFound: there is no record of that key.
	ErrNotFound = errors.New("no such record")
	// ErrInvalid marks a request that can never succeed; its text says why.
	ErrInvalid = errors.New("invalid")
)

// invalidError is an [ErrInvalid] that has no text but its own.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func (e invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// Record is a key with what is kept under it.
type Record struct {
	Key      string
	Value    []byte
	Metadata []byte    // whatever the caller keeps with the value; nil when nothing
	Revision int64     // of the transaction that wrote it
	Expires  time.Time // zero: never
}

// Table is where a record is. An empty database is the one that is called like the
// namespace, an empty name [DefaultTable]. The namespace must have been checked.
type Table struct{ Namespace, Database, Name string }

// prefix returns what the keys of the table's records begin with.
func (t Table) prefix() (string, error) {
	database, err := databasePrefix(t.Namespace, t.Database)
	if err != nil {
		return "", err
	}
	if t.Name == "" {
		t.Name = DefaultTable
	}
	if err := checkName("table", t.Name); err != nil {
		return "", err
	}
	return database + t.Name + "\x00", nil
}

// databasePrefix returns what the keys of a database's records begin with.
func databasePrefix(ns, database string) (string, error) {
	if database == "" || database == ns {
		return records(ns) + "\x00", nil
	}
	return records(ns) + database + "\x00", checkName("database", database)
}

func records(ns string) string { return ns + "/store/record/" }

// checkName returns an error unless a database or table can have the name. Zero
// bytes, which end names in keys, are among what it refuses.
func checkName(what, name string) error {
	letter := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	}
	ok := name != "" && len(name) <= MaxName && letter(name[0])
	for i := range len(name) {
		ok = ok && (letter(name[i]) || strings.IndexByte("-_.", name[i]) >= 0)
	}
	if !ok {
		return invalid("%q cannot name a %s: use 1 to %d of a-z, A-Z, 0-9, '-', '_' and '.', beginning with a letter or digit", clip(name), what, MaxName)
	}
	return nil
}

// clip shortens what is quoted in an error.
func clip(s string) string {
	if len(s) > MaxName+1 {
		return s[:MaxName] + "…"
	}
	return s
}

func checkKey(key string) error {
	switch {
	case key == "":
		return invalid("an empty key")
	case len(key) > MaxKey:
		return invalid("a key of %d bytes, and %d are allowed", len(key), MaxKey)
	}
	return nil
}

// check returns an error unless the record can be written.
func (r Record) check() error {
	switch {
	case len(r.Value) > MaxValue:
		return invalid("a value of %d bytes, and %d are allowed", len(r.Value), MaxValue)
	case len(r.Metadata) > MaxMetadata:
		return invalid("metadata of %d bytes, and %d are allowed", len(r.Metadata), MaxMetadata)
	}
	return checkKey(r.Key)
}

// format is the first byte of what is stored: then come the length of the metadata,
// the metadata and the value.
const format = 1

// encode returns what is stored of a record.
func (r Record) encode() []byte {
	b := make([]byte, 0, 1+binary.MaxVarintLen32+len(r.Metadata)+len(r.Value))
	b = binary.AppendUvarint(append(b, format), uint64(len(r.Metadata)))
	return append(append(b, r.Metadata...), r.Value...)
}

// decode returns the record that is stored under a key that begins with prefix.
func decode(prefix string, rec store.Record) (Record, error) {
	out := Record{Key: rec.Key[len(prefix):], Revision: rec.Revision, Expires: rec.Expires}
	b := rec.Value
	if len(b) == 0 || b[0] != format {
		return Record{}, fmt.Errorf("the record %q has a format that this server does not know", rec.Key)
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > uint64(len(b)-1-size) {
		return Record{}, fmt.Errorf("the record %q is damaged", rec.Key)
	}
	b = b[1+size:]
	if n > 0 {
		out.Metadata = b[:n:n]
	}
	out.Value = b[n:]
	return out, nil
}

// Tables is safe for concurrent use.
type Tables struct {
	store store.Store
	now   func() time.Time
}

// New returns the tables in a store.
func New(s store.Store) *Tables { return &Tables{store: s, now: time.Now} }

// Get returns the record of a key, [ErrNotFound] when there is none.
func (t *Tables) Get(ctx context.Context, at Table, key string) (Record, error) {
	prefix, err := at.prefix()
	if err != nil {
		return Record{}, err
	}
	if err := checkKey(key); err != nil {
		return Record{}, err
	}
	rec, err := t.store.Get(ctx, prefix+key)
	if errors.Is(err, store.ErrNotFound) {
		return Record{}, ErrNotFound
	}
	if err != nil {
		return Record{}, err
	}
	return decode(prefix, rec)
}

// Kind says what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Put Kind = iota + 1
	Delete
	Check // nothing but hold the record against If
)

// Op is a change of one record, or a condition on it.
type Op struct {
	Kind   Kind
	Record Record        // of all but Put only the key counts; the revision and Expires never do
	Expiry time.Duration // of Put: how long the record lasts; 0: for good
	If     *int64        // the revision that the record must have now; 0: there is none; nil: any
}

func (op Op) check() error {
	switch {
	case op.Kind == Check && op.If == nil:
		return invalid("a check without a revision")
	case op.If != nil && *op.If < 0:
		return invalid("the negative revision %d", *op.If)
	case op.Kind == Put && op.Expiry != 0 && (op.Expiry < MinExpiry || op.Expiry > MaxExpiry):
		return invalid("an expiry of %s; it is between %s and %d days", op.Expiry, MinExpiry, MaxExpiry/(24*time.Hour))
	case op.Kind == Put:
		return op.Record.check()
	case op.Kind != Delete && op.Kind != Check:
		return invalid("an operation that does nothing")
	}
	return checkKey(op.Record.Key)
}

// Batch makes all operations at once, and returns the revision that they got; that
// of the newest write of any table when they change nothing. When a condition
// does not hold it changes nothing and returns [store.ErrConflict].
func (t *Tables) Batch(ctx context.Context, at Table, ops []Op) (int64, error) {
	prefix, err := at.prefix()
	if err != nil {
		return 0, err
	}
	if len(ops) > MaxOps {
		return 0, invalid("a batch of %d operations, and %d are allowed", len(ops), MaxOps)
	}
	seen := make(map[string]bool, len(ops))
	var txn store.Txn
	for _, op := range ops {
		if err := op.check(); err != nil {
			return 0, err
		}
		key := prefix + op.Record.Key
		if seen[key] {
			return 0, invalid("two operations on the key %q", clip(op.Record.Key))
		}
		seen[key] = true
		if op.If != nil {
			txn.If = append(txn.If, store.Cond{Key: key, Revision: *op.If})
		}
		switch op.Kind {
		case Put:
			txn.Do = append(txn.Do, store.Op{Kind: store.KindPut, Key: key, Value: op.Record.encode(), TTL: op.Expiry})
		case Delete:
			txn.Do = append(txn.Do, store.Delete(key))
		case Check:
		}
	}
	return t.store.Txn(ctx, txn)
}

// Delete removes a record and reports whether there was one. When revision is not
// nil the record must have it, else nothing changes and the error is
// [store.ErrConflict].
func (t *Tables) Delete(ctx context.Context, at Table, key string, revision *int64) (bool, error) {
	for {
		rec, err := t.Get(ctx, at, key)
		found := err == nil
		if err != nil && !errors.Is(err, ErrNotFound) {
			return false, err
		}
		if revision == nil && !found {
			return false, nil
		}
		// What was there is what is deleted, so that it is counted once.
		want := revision
		if want == nil {
			want = &rec.Revision
		}
		_, err = t.Batch(ctx, at, []Op{{Kind: Delete, Record: Record{Key: key}, If: want}})
		if revision == nil && errors.Is(err, store.ErrConflict) {
			continue
		}
		return found && err == nil, err
	}
}

// DeleteAll removes all records whose keys begin with a prefix, and returns how
// many there were: in parts of [MaxOps], each at once. Records that are written
// meanwhile may stay.
func (t *Tables) DeleteAll(ctx context.Context, at Table, prefix string) (deleted int64, err error) {
	base, err := at.prefix()
	if err != nil {
		return 0, err
	}
	r := store.Prefix(base + prefix)
	r.Limit, r.KeysOnly = MaxOps, true
	for {
		var txn store.Txn
		for rec, err := range t.store.Range(ctx, r) {
			if err != nil {
				return deleted, err
			}
			txn.Do = append(txn.Do, store.Delete(rec.Key))
			r.Start = rec.Key + "\x00"
		}
		if len(txn.Do) == 0 {
			return deleted, nil
		}
		if _, err := t.store.Txn(ctx, txn); err != nil {
			return deleted, err
		}
		deleted += int64(len(txn.Do))
	}
}

// Change is what a watch yields, as of [store.Change].
type Change struct {
	Kind     store.Kind
	Revision int64
	More     bool
	Record   Record
}

// Watch yields the changes to records of a table whose keys begin with prefix, as
// [store.Store.Watch] says.
func (t *Tables) Watch(ctx context.Context, at Table, prefix string, from int64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		base, err := at.prefix()
		switch {
		case err != nil:
		case len(prefix) > MaxKey:
			err = invalid("a prefix of %d bytes, and %d are allowed", len(prefix), MaxKey)
		case from < 0:
			err = invalid("the negative revision %d", from)
		}
		if err != nil {
			yield(Change{}, err)
			return
		}
		for c, err := range t.store.Watch(ctx, base+prefix, from) {
			if err != nil {
				yield(Change{}, err)
				return
			}
			out := Change{Kind: c.Kind, Revision: c.Revision, More: c.More}
			switch c.Kind {
			case store.KindPut:
				if out.Record, err = decode(base, c.Record); err != nil {
					yield(Change{}, err)
					return
				}
			case store.KindDelete:
				out.Record = Record{Key: c.Record.Key[len(base):], Revision: c.Revision}
			case store.Synced:
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}
