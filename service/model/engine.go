package model

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/micro/micro/v3/service/store"
)

// engine keeps documents with their indexes in a table of the store:
//
//	r/KEY                 the document
//	i/INDEX/VALUE…KEY     a copy of it, for each index
//	u/INDEX/VALUE         a copy of it, for each field that is unique
//
// A copy is found with the index, so that many documents are read at once. All keys of a
// document are written in one batch and have one revision.
type engine struct {
	store  *store.Client
	prefix string // before all keys
}

// document is what is kept under a key.
type document struct {
	key      string // encoded
	json     []byte
	entries  []entry
	revision int64 // 0: it is not there
}

// entry is where an index has a document.
type entry struct {
	index  string
	value  string // encoded
	unique bool
}

func (e engine) record(key string) string { return e.prefix + "r/" + key }

func (e engine) entry(x entry, key string) string {
	if x.unique {
		return e.prefix + "u/" + x.index + "/" + x.value
	}
	return e.prefix + "i/" + x.index + "/" + x.value + key
}

func (e engine) get(ctx context.Context, key string) (document, error) {
	r, err := e.store.Get(ctx, e.record(key))
	if err != nil {
		return document{}, err
	}
	return document{key: key, json: r.Value, revision: r.Revision}, nil
}

func (e engine) unique(ctx context.Context, index, value string) ([]byte, error) {
	r, err := e.store.Get(ctx, e.entry(entry{index, value, true}, ""))
	if err != nil {
		return nil, err
	}
	return r.Value, nil
}

// create writes a document that must not be there.
func (e engine) create(ctx context.Context, d document) error {
	err := e.replace(ctx, document{key: d.key}, d)
	if errors.Is(err, ErrConflict) {
		return ErrExists
	}
	return err
}

// replace writes a document in the place of what is there, [ErrConflict] when that is not
// there any more. [ErrTaken] when another one is in the way.
func (e engine) replace(ctx context.Context, before, after document) error {
	var b store.Batch
	write := func(key string) *store.Record { return &store.Record{Key: key, Value: after.json} }
	b.WriteIf(write(e.record(after.key)), before.revision)
	kept := map[string]bool{}
	var fresh []entry // unique, and must not be there
	for _, x := range before.entries {
		kept[e.entry(x, before.key)] = true
	}
	for _, x := range after.entries {
		key := e.entry(x, after.key)
		switch {
		case kept[key]:
			b.Write(write(key))
			delete(kept, key)
		case x.unique:
			b.WriteIf(write(key), 0)
			fresh = append(fresh, x)
		default:
			b.Write(write(key))
		}
	}
	for key := range kept {
		b.Delete(key)
	}
	_, err := e.store.Commit(ctx, &b)
	if errors.Is(err, ErrConflict) {
		return e.conflict(ctx, before, after.key, fresh)
	}
	return err
}

// conflict finds out which condition of a write did not hold.
func (e engine) conflict(ctx context.Context, before document, key string, fresh []entry) error {
	switch now, err := e.get(ctx, key); {
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	case now.revision != before.revision:
		return ErrConflict
	}
	for _, x := range fresh {
		switch _, err := e.unique(ctx, x.index, x.value); {
		case err == nil:
			return fmt.Errorf("%s: %w", x.index, ErrTaken)
		case !errors.Is(err, ErrNotFound):
			return err
		}
	}
	return ErrConflict // it is gone again
}

// remove removes a document as it was read.
func (e engine) remove(ctx context.Context, d document) error {
	var b store.Batch
	b.DeleteIf(e.record(d.key), d.revision)
	for _, x := range d.entries {
		b.Delete(e.entry(x, d.key))
	}
	_, err := e.store.Commit(ctx, &b)
	return err
}

// selection is a range of an index, or of the documents themselves.
type selection struct {
	index    string // empty: the documents
	unique   bool
	prefix   string // of what the keys have behind the index
	from, to string // behind the prefix; empty: no bound
	desc     bool
	after    string // the key before the first
	limit    uint
	offset   uint
}

// scan yields records with documents in them.
func (e engine) scan(ctx context.Context, s selection) iter.Seq2[*store.Record, error] {
	prefix := e.prefix + "r/"
	switch {
	case s.unique:
		prefix = e.prefix + "u/" + s.index + "/"
	case s.index != "":
		prefix = e.prefix + "i/" + s.index + "/"
	}
	prefix += s.prefix
	opts := []store.Option{store.Prefix(prefix), store.Limit(s.limit), store.Offset(s.offset)}
	from, to := "", ""
	if s.from != "" {
		from = prefix + s.from
	}
	if s.to != "" {
		to = prefix + s.to
	}
	switch {
	case s.after != "" && s.desc:
		to = s.after // it is less than any bound that there was
	case s.after != "":
		from = s.after + "\x00"
	}
	opts = append(opts, store.From(from), store.To(to))
	if s.desc {
		opts = append(opts, store.Reverse())
	}
	return e.store.All(ctx, opts...)
}

// dropOthers removes the entries of all indexes but those with the given names.
func (e engine) dropOthers(ctx context.Context, names map[string]bool) error {
	for _, kind := range []string{"i/", "u/"} {
		for r, err := range e.store.All(ctx, store.Prefix(e.prefix+kind)) {
			if err != nil {
				return err
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(r.Key, e.prefix+kind), "/")
			if names[name] {
				continue
			}
			if err := e.store.Delete(ctx, r.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

func encodeToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

func decodeToken(token string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) == 0 {
		return "", fmt.Errorf("%q is not where a page begins", token)
	}
	return string(b), nil
}
