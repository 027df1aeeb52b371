package store

import (
	"context"
	"errors"
	"io"
	"iter"

	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// maxPage is the largest page that the server gives.
const maxPage = 1000

// each calls page until there are no more, and f with each item behind the offset
// until the limit is reached or f returns false.
func each[T any](s selection, page func(size int32, token string) (items []T, next string, err error), f func(T) bool) error {
	skip, taken := s.offset, uint(0)
	for token := ""; ; {
		size := uint(maxPage)
		if s.limit > 0 {
			size = min(size, skip+s.limit-taken)
		}
		items, next, err := page(int32(size), token) //nolint:gosec // at most maxPage
		if err != nil {
			return err
		}
		for _, item := range items {
			if skip > 0 {
				skip--
				continue
			}
			if taken++; !f(item) || taken == s.limit {
				return nil
			}
		}
		if token = next; token == "" {
			return nil
		}
	}
}

// Get returns the record of a key, [ErrNotFound] when there is none.
func (c *Client) Get(ctx context.Context, key string) (*Record, error) {
	rsp, err := c.api.Read(ctx, &storev1.ReadRequest{Database: c.database, Table: c.table, Key: []byte(key)})
	if err != nil {
		return nil, wrap(err, "read %q", key)
	}
	if len(rsp.GetRecords()) != 1 {
		return nil, wrap(errors.New("the server sent no record"), "read %q", key)
	}
	return fromProto(rsp.GetRecords()[0]), nil
}

// Read returns the record of a key, or with [Prefix], [Suffix], [From] or [To], or an
// empty key, those that the options select, ordered by key. [ErrNotFound] when the key has none.
func (c *Client) Read(ctx context.Context, key string, opts ...Option) ([]*Record, error) {
	s := selectionOf(opts)
	c = c.of(s)
	if s.keyIsPrefix {
		s.prefix = key
	}
	if s.keyIsSuffix {
		s.suffix = key
	}
	if key != "" && s.prefix == "" && s.suffix == "" && s.from == "" && s.to == "" {
		r, err := c.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		return []*Record{r}, nil
	}
	var records []*Record
	err := c.each(ctx, s, func(r *Record) bool {
		records = append(records, r)
		return true
	})
	return records, err
}

// All yields the records that the options select, ordered by key, as [Client.Read]
// returns them; it asks for them page by page. An error is yielded last.
func (c *Client) All(ctx context.Context, opts ...Option) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		s := selectionOf(opts)
		if err := c.of(s).each(ctx, s, func(r *Record) bool { return yield(r, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

func (c *Client) each(ctx context.Context, s selection, f func(*Record) bool) error {
	err := each(s, func(size int32, token string) ([]*storev1.Record, string, error) {
		rsp, err := c.api.Read(ctx, &storev1.ReadRequest{
			Database: c.database, Table: c.table,
			Prefix: []byte(s.prefix), Suffix: []byte(s.suffix), Start: []byte(s.from), End: []byte(s.to),
			Order: s.protoOrder(), PageSize: size, PageToken: token,
		})
		return rsp.GetRecords(), rsp.GetNextPageToken(), err
	}, func(r *storev1.Record) bool { return f(fromProto(r)) })
	return wrap(err, "read")
}

// List returns the keys of all records, or of those that the options select, in order.
func (c *Client) List(ctx context.Context, opts ...Option) ([]string, error) {
	s := selectionOf(opts)
	c = c.of(s)
	var keys []string
	err := each(s, func(size int32, token string) ([][]byte, string, error) {
		rsp, err := c.api.List(ctx, &storev1.ListRequest{
			Database: c.database, Table: c.table,
			Prefix: []byte(s.prefix), Suffix: []byte(s.suffix), Start: []byte(s.from), End: []byte(s.to),
			Order: s.protoOrder(), PageSize: size, PageToken: token,
		})
		return rsp.GetKeys(), rsp.GetNextPageToken(), err
	}, func(k []byte) bool {
		keys = append(keys, string(k))
		return true
	})
	return keys, wrap(err, "list")
}

// Write sets a record and returns its revision.
func (c *Client) Write(ctx context.Context, r *Record, opts ...WriteOption) (int64, error) {
	rec, expiry, err := r.toProto()
	if err != nil {
		return 0, wrap(err, "write %q", r.Key)
	}
	req := &storev1.WriteRequest{Database: c.database, Table: c.table, Record: rec, Expiry: expiry}
	for _, o := range opts {
		o(req)
	}
	rsp, err := c.api.Write(ctx, req)
	return rsp.GetRevision(), wrap(err, "write %q", r.Key)
}

// Delete removes the record of a key. It is no error when there is none.
func (c *Client) Delete(ctx context.Context, key string) error {
	_, err := c.api.Delete(ctx, &storev1.DeleteRequest{Database: c.database, Table: c.table, Key: []byte(key)})
	return wrap(err, "delete %q", key)
}

// Batch is a set of changes that are made together or not at all. Its zero value is
// empty. A key may be in it once.
type Batch struct {
	ops []*storev1.Operation
	err error
}

// Write adds the writing of a record.
func (b *Batch) Write(r *Record) { b.write(r, nil) }

// WriteIf adds the writing of a record that must have a revision; 0: there must be none.
func (b *Batch) WriteIf(r *Record, revision int64) { b.write(r, &revision) }

func (b *Batch) write(r *Record, revision *int64) {
	rec, expiry, err := r.toProto()
	if err != nil {
		b.err = errors.Join(b.err, wrap(err, "write %q", r.Key))
	}
	b.ops = append(b.ops, &storev1.Operation{
		Kind:       &storev1.Operation_Put{Put: &storev1.Put{Record: rec, Expiry: expiry}},
		IfRevision: revision,
	})
}

// Delete adds the removal of a record.
func (b *Batch) Delete(key string) {
	b.ops = append(b.ops, &storev1.Operation{Kind: &storev1.Operation_Delete{Delete: []byte(key)}})
}

// DeleteIf adds the removal of a record that must have a revision.
func (b *Batch) DeleteIf(key string, revision int64) {
	b.ops = append(b.ops, &storev1.Operation{Kind: &storev1.Operation_Delete{Delete: []byte(key)}, IfRevision: &revision})
}

// Check adds the condition that a record has a revision; 0: that there is none.
func (b *Batch) Check(key string, revision int64) {
	b.ops = append(b.ops, &storev1.Operation{Kind: &storev1.Operation_Check{Check: []byte(key)}, IfRevision: &revision})
}

// Commit makes the changes of a batch, and returns the revision that they have.
// [ErrConflict] when a record has not the revision that it must have.
func (c *Client) Commit(ctx context.Context, b *Batch) (int64, error) {
	if b.err != nil {
		return 0, b.err
	}
	rsp, err := c.api.Batch(ctx, &storev1.BatchRequest{Database: c.database, Table: c.table, Operations: b.ops})
	return rsp.GetRevision(), wrap(err, "commit")
}

// Change is what a watch yields.
type Change struct {
	Record *Record // of a deletion only key and revision
	// Deleted says that the record was removed, or has expired.
	Deleted bool
	// Synced says that what was there when the watch began has been yielded, up to
	// Revision; there is no record.
	Synced   bool
	Revision int64
	// More says that further changes that were made at once with this one follow.
	More bool
}

// Watch yields the records whose keys begin with prefix, then a change that is
// synced, and then every change in order, until the loop ends; with a revision other
// than 0 only the changes after it. An error is yielded last: [ErrCompacted] means
// that the watch has to begin again with 0.
func (c *Client) Watch(ctx context.Context, prefix string, from int64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.api.Watch(ctx, &storev1.WatchRequest{
			Database: c.database, Table: c.table, Prefix: []byte(prefix), FromRevision: from,
		})
		for err == nil {
			var rsp *storev1.WatchResponse
			if rsp, err = stream.Recv(); err != nil {
				break
			}
			change := Change{
				Deleted:  rsp.GetChange() == storev1.Change_CHANGE_DELETE,
				Synced:   rsp.GetChange() == storev1.Change_CHANGE_SYNCED,
				Revision: rsp.GetRevision(),
				More:     rsp.GetMore(),
			}
			if rsp.GetRecord() != nil {
				change.Record = fromProto(rsp.GetRecord())
			}
			if !yield(change, nil) {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // a watch does not end by itself
		}
		yield(Change{}, wrap(err, "watch %q", prefix))
	}
}
