package tables

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Entry is a record and where it belongs. The database is empty where it is the one
// that is called like the namespace.
type Entry struct {
	Database, Table string
	Record          Record
}

// Export yields the records of a namespace, of a database when one is given, and of
// a table of it when one is, as they are at one moment. All up to the revision is
// among them. It holds resources of the store until the loop ends.
func (t *Tables) Export(ctx context.Context, ns, database, table string) (revision int64, entries iter.Seq2[Entry, error], err error) {
	prefix := records(ns)
	switch {
	case table != "":
		prefix, err = Table{ns, database, table}.prefix()
	case database != "":
		prefix, err = databasePrefix(ns, database)
	}
	if err != nil {
		return 0, nil, err
	}
	if revision, err = t.store.Txn(ctx, store.Txn{}); err != nil {
		return 0, nil, err
	}
	return revision, func(yield func(Entry, error) bool) {
		for rec, err := range t.store.Range(ctx, store.Prefix(prefix)) {
			var e Entry
			if err == nil {
				e, err = EntryOf(ns, rec)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}, nil
}

// Prefix returns what the keys of all records of a namespace begin with.
func Prefix(ns string) string { return records(ns) }

// EntryOf returns what is stored under a key that begins with [Prefix].
func EntryOf(ns string, rec store.Record) (Entry, error) {
	base := records(ns)
	db, rest, _ := strings.Cut(rec.Key[len(base):], "\x00")
	name, _, _ := strings.Cut(rest, "\x00")
	r, err := decode(base+db+"\x00"+name+"\x00", rec)
	return Entry{Database: db, Table: name, Record: r}, err
}

// Limits of imports.
const (
	MaxImport = 1 << 30 // bytes, where nobody says something else
	// ImportTTL is how long an import may take until it is committed. What it has
	// brought expires then, whatever became of the server.
	ImportTTL = time.Hour

	partOps   = store.MaxOps - 1 // and one that removes the part
	partBytes = store.MaxValue
)

// Import brings records into a namespace in two steps: they are laid down beside
// the tables first, durably, and written when all are there. Use it from one
// goroutine, and call [Import.Discard] when done with it.
type Import struct {
	// Limit is how many bytes it may have.
	Limit  int64
	tables *Tables
	ns     string
	prefix string // of its parts' keys

	part  []byte // in the making: keys, values and deadlines, one after the other
	ops   int    // in it
	parts int    // that were laid down
	gone  int    // of these, written
	size  int64
	count int64
}

// NewImport returns an import into a namespace that has nothing yet.
func (t *Tables) NewImport(ns string) *Import {
	return &Import{Limit: MaxImport, tables: t, ns: ns, prefix: ns + "/store/import/" + strings.ToLower(rand.Text()) + "/"}
}

func (i *Import) partKey(n int) string { return fmt.Sprintf("%s%08d", i.prefix, n) }

// Count returns how many records were added.
func (i *Import) Count() int64 { return i.count }

// Add adds a record. Of two with the same key the later counts.
func (i *Import) Add(ctx context.Context, e Entry) error {
	base, err := Table{i.ns, e.Database, e.Table}.prefix()
	if err != nil {
		return err
	}
	if err := e.Record.check(); err != nil {
		return err
	}
	key := strings.TrimPrefix(base, records(i.ns)) + e.Record.Key
	value := e.Record.encode()
	var deadline int64
	if !e.Record.Expires.IsZero() {
		deadline = e.Record.Expires.UnixMilli()
	}
	size := len(key) + len(value) + 3*binary.MaxVarintLen64
	if i.size += int64(size); i.size > i.Limit {
		return invalid("an import of more than %d bytes", i.Limit)
	}
	if i.ops == partOps || len(i.part)+size > partBytes {
		if err := i.flush(ctx); err != nil {
			return err
		}
	}
	i.part = append(binary.AppendUvarint(i.part, uint64(len(key))), key...)
	i.part = append(binary.AppendUvarint(i.part, uint64(len(value))), value...)
	i.part = binary.AppendVarint(i.part, deadline)
	i.ops++
	i.count++
	return nil
}

// flush lays the part in the making down.
func (i *Import) flush(ctx context.Context) error {
	if i.ops == 0 {
		return nil
	}
	op := store.Op{Kind: store.KindPut, Key: i.partKey(i.parts), Value: i.part, TTL: ImportTTL, Bulk: true}
	if _, err := i.tables.store.Txn(ctx, store.Txn{Do: []store.Op{op}}); err != nil {
		return err
	}
	i.parts++
	i.part, i.ops = i.part[:0], 0
	return nil
}

// Commit writes what was added, part by part, each at once, and returns how many
// records it wrote and how many it left out because they have expired. An error
// that comes after the first part says that there were others before.
func (i *Import) Commit(ctx context.Context) (written, expired int64, err error) {
	if err := i.flush(ctx); err != nil {
		return 0, 0, err
	}
	for ; i.gone < i.parts; i.gone++ {
		w, e, err := i.write(ctx, i.partKey(i.gone))
		if err != nil && i.gone > 0 {
			err = fmt.Errorf("%d of %d records are written, import again to make it whole: %w", written, i.count, err)
		}
		if err != nil {
			return written, expired, err
		}
		written, expired = written+w, expired+e
	}
	return written, expired, nil
}

// write writes the records of a part and removes it.
func (i *Import) write(ctx context.Context, key string) (written, expired int64, err error) {
	rec, err := i.tables.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return 0, 0, invalid("the import took longer than %s", ImportTTL)
	}
	if err != nil {
		return 0, 0, err
	}
	txn := store.Txn{If: []store.Cond{{Key: key, Revision: rec.Revision}}, Do: []store.Op{store.Delete(key)}}
	position := map[string]int{} // of a key's operation
	now := i.tables.now()
	for b := rec.Value; len(b) > 0; {
		var k, v []byte
		var deadline int64
		if k, b, err = cutBytes(b); err == nil {
			v, b, err = cutBytes(b)
		}
		n := 0
		if err == nil {
			deadline, n = binary.Varint(b)
		}
		if err != nil || n <= 0 {
			return 0, 0, fmt.Errorf("the part %q of an import is damaged", key)
		}
		b = b[n:]
		op := store.Op{Kind: store.KindPut, Key: records(i.ns) + string(k), Value: v}
		if deadline != 0 {
			if op.TTL = time.UnixMilli(deadline).Sub(now); op.TTL <= 0 {
				expired++
				continue
			}
		}
		written++
		if at, twice := position[op.Key]; twice {
			txn.Do[at] = op
			continue
		}
		position[op.Key] = len(txn.Do)
		txn.Do = append(txn.Do, op)
	}
	_, err = i.tables.store.Txn(ctx, txn)
	return written, expired, err
}

func cutBytes(b []byte) (head, tail []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, errors.New("cut off")
	}
	b = b[size:]
	return b[:n], b[n:], nil
}

// Discard removes what was laid down and not written. What it cannot remove
// expires.
func (i *Import) Discard(ctx context.Context) error {
	for ; i.gone < i.parts; i.gone++ {
		if _, err := i.tables.store.Txn(ctx, store.Txn{Do: []store.Op{store.Delete(i.partKey(i.gone))}}); err != nil {
			return err
		}
	}
	return nil
}
