package tables

import (
	"context"
	"strings"

	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/internal/pagetoken"
)

// A page ends when the server has done so much for it, whatever it has found.
const (
	maxPageBytes     = 3 << 20  // of what is returned
	maxExamined      = 10000    // keys
	maxExaminedBytes = 16 << 20 // of values
)

// Selection says which records of a table are meant, by their keys.
type Selection struct {
	Prefix, Suffix string
	Start          string // the first key, itself included
	End            string // the first key beyond; empty: no bound
	Reverse        bool   // from the last to the first
	KeysOnly       bool   // leave values and metadata out
}

// Page returns the first records of a selection that a table has now, at most limit,
// or those behind the page that gave token, and the token of the next page; it is
// empty when there are no more. A page may be short, or empty, and not be the last.
func (t *Tables) Page(ctx context.Context, at Table, s Selection, limit int, token string) (page []Record, next string, err error) {
	base, err := at.prefix()
	if err != nil {
		return nil, "", err
	}
	for _, part := range []string{s.Prefix, s.Suffix, s.Start, s.End} {
		if len(part) > MaxKey {
			return nil, "", invalid("a bound of %d bytes, and keys have at most %d", len(part), MaxKey)
		}
	}
	order := "asc"
	if s.Reverse {
		order = "desc"
	}
	list := pagetoken.Of(base, s.Prefix, s.Suffix, s.Start, s.End, order)
	after, err := parseToken(list, token)
	if err != nil {
		return nil, "", err
	}
	r := store.Range{
		Start:    base + max(s.Prefix, s.Start),
		End:      store.PrefixEnd(base + s.Prefix),
		Reverse:  s.Reverse,
		KeysOnly: s.KeysOnly,
	}
	if s.End != "" {
		r.End = min(r.End, base+s.End)
	}
	switch {
	case token == "":
	case s.Reverse:
		r.End = min(r.End, base+after)
	default:
		r.Start = max(r.Start, base+after+"\x00")
	}
	var last string
	returned, examined, examinedBytes := 0, 0, 0
	for rec, err := range t.store.Range(ctx, r) {
		if err != nil {
			return nil, "", err
		}
		size := len(rec.Key) + len(rec.Value)
		if len(page) == limit || len(page) > 0 && returned+size > maxPageBytes || examined == maxExamined || examinedBytes >= maxExaminedBytes {
			return page, list.After(last), nil
		}
		examined++
		examinedBytes += size
		last = rec.Key[len(base):]
		if !strings.HasSuffix(last, s.Suffix) {
			continue
		}
		out := Record{Key: last, Revision: rec.Revision, Expires: rec.Expires}
		if !s.KeysOnly {
			if out, err = decode(base, rec); err != nil {
				return nil, "", err
			}
		}
		page = append(page, out)
		returned += size
	}
	return page, "", nil
}

// Tables returns the names of the tables of a database, as [Tables.Page] does.
func (t *Tables) Tables(ctx context.Context, ns, database string, limit int, token string) (names []string, next string, err error) {
	prefix, err := databasePrefix(ns, database)
	if err != nil {
		return nil, "", err
	}
	return t.names(ctx, prefix, limit, token)
}

// Databases returns the names of the databases of a namespace, the one that is
// called like it first, as [Tables.Page] does.
func (t *Tables) Databases(ctx context.Context, ns string, limit int, token string) (names []string, next string, err error) {
	names, next, err = t.names(ctx, records(ns), limit, token)
	if len(names) > 0 && names[0] == "" {
		names[0] = ns
	}
	return names, next, err
}

// names returns what stands between prefix and the next zero byte, each once. It
// takes a step for each name, however many records it has.
func (t *Tables) names(ctx context.Context, prefix string, limit int, token string) (names []string, next string, err error) {
	list := pagetoken.Of(prefix)
	after, err := parseToken(list, token)
	if err != nil {
		return nil, "", err
	}
	r := store.Prefix(prefix)
	r.Limit, r.KeysOnly = 1, true
	if token != "" {
		r.Start = prefix + after + "\x01"
	}
	for {
		name, found := "", false
		for rec, err := range t.store.Range(ctx, r) {
			if err != nil {
				return nil, "", err
			}
			name, _, found = strings.Cut(rec.Key[len(prefix):], "\x00")
		}
		switch {
		case !found:
			return names, "", nil
		case len(names) == limit:
			return names, list.After(names[limit-1]), nil
		}
		names = append(names, name)
		r.Start = prefix + name + "\x01"
	}
}

func parseToken(list pagetoken.List, token string) (last string, err error) {
	if token == "" {
		return "", nil
	}
	last, ok := list.Parse(token)
	if !ok || len(last) > MaxKey {
		return "", invalid("the page token is not one of these records: use the one that the page before gave, and change nothing else")
	}
	return last, nil
}
