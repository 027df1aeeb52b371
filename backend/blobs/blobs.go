// Package blobs keeps content of any size under names, for namespaces. It is logic
// over a [store.Store].
//
//	NAMESPACE/blob/name/NAME         what a blob is, and of which upload it is
//	NAMESPACE/blob/part/ID/N         a part of what an upload brought
//	NAMESPACE/blob/upload/ID         that an upload goes on; it expires
//	$system/blob/loose/NAMESPACE/ID  that the parts of an upload may be of no blob
//
// The record of the name makes a blob: it is written when all parts are there, and
// replaced in one step. Parts are never changed. Those that no name stands for any more,
// because their upload ended early or their blob was replaced, are removed by a sweep;
// whoever reads them in this process is waited for.
package blobs

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/internal/pagetoken"
)

// Limits. A request beyond them fails with [ErrInvalid].
const (
	MaxName        = 1024  // bytes of a name
	MaxContentType = 255   // bytes
	MaxMetadata    = 16384 // bytes of all names and values in the metadata
)

const (
	// defaultPart is how much of the content a record has. With a damaged block Pebble
	// tries whether any one bit makes it whole, which takes minutes for large ones.
	defaultPart = 64 << 10
	// partsAtOnce is how many records an upload lays down with one fsync.
	partsAtOnce = 8
)

// Errors that callers tell apart with [errors.Is], beside those of [store].
var (
	// ErrNotFound: there is no blob of that name.
	ErrNotFound = errors.New("no such blob")
	// ErrInvalid marks a request that can never succeed; its text says why.
	ErrInvalid = errors.New("invalid")
	// ErrReplaced ends the reading of a blob that another has replaced, or that was
	// deleted, too long ago.
	ErrReplaced = errors.New("the blob was replaced or deleted while it was read")
	// ErrGone ends an upload that took no part for too long, or whose namespace
	// was deleted.
	ErrGone = errors.New("the upload was given up")
	// ErrQuota: the namespace has no room for more.
	ErrQuota = errors.New("the blobs of the namespace have no more room")
	// ErrDamaged: what is stored is not what was written.
	ErrDamaged = errors.New("the blob is damaged")
)

// invalidError is an [ErrInvalid] that has no text but its own.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func (e invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// Info is what is known of a blob beside its content.
type Info struct {
	Name        string
	Size        int64
	ContentType string            // whatever the writer said
	Metadata    map[string]string // as well
	SHA256      []byte            // of the content
	Modified    time.Time
	Revision    int64 // of the write that made it
}

// manifest is the record of a name.
type manifest struct {
	Upload      string            `json:"upload"`
	Size        int64             `json:"size"`
	Part        int64             `json:"part"` // the size of all parts but the last
	SHA256      string            `json:"sha256"`
	ContentType string            `json:"type,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Modified    time.Time         `json:"modified"`

	revision int64
}

func (m *manifest) info(name string) (Info, error) {
	sum, err := hex.DecodeString(m.SHA256)
	if err != nil || m.Part <= 0 || m.Size < 0 {
		return Info{}, fmt.Errorf("blob %q: %w: its record makes no sense", name, ErrDamaged)
	}
	return Info{
		Name: name, Size: m.Size, ContentType: m.ContentType, Metadata: m.Metadata,
		SHA256: sum, Modified: m.Modified, Revision: m.revision,
	}, nil
}

// Options are what [Open] needs.
type Options struct {
	Store store.Store
	// Quota is how many bytes the blobs of a namespace may have; 0: no bound.
	Quota int64
	// Part is how many bytes of content a record has, at most [store.MaxValue];
	// 0: 64 KiB. What was written with another is read as it is.
	Part int64
	// Logger is told what nobody else would be; nil: nobody is.
	Logger *slog.Logger
}

// Blobs is safe for concurrent use. Who calls it knows that the namespace exists.
type Blobs struct {
	store store.Store
	log   *slog.Logger
	part  int64
	quota quota
	pins  pins

	sweeper sweeper
}

// Open returns the blobs in a store, and begins to sweep. Close them before the store.
func Open(ctx context.Context, o Options) (*Blobs, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Blobs{store: o.Store, log: o.Logger, part: cmp.Or(o.Part, defaultPart), sweeper: sweeper{wake: make(chan struct{}, 1)}}
	b.quota = quota{limit: o.Quota, sum: b.sum, used: map[string]*usage{}}
	b.pins.uses = map[string]*pin{}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, b.sweeper.stop = context.WithCancel(context.WithoutCancel(ctx))
	b.sweeper.done.Go(func() { b.sweepAlways(ctx) })
	return b, nil
}

// Close ends the sweep.
func (b *Blobs) Close() error {
	b.sweeper.stop()
	b.sweeper.done.Wait()
	return nil
}

func namePrefix(ns string) string     { return ns + "/blob/name/" }
func uploadKey(ns, id string) string  { return ns + "/blob/upload/" + id }
func partPrefix(ns, id string) string { return ns + "/blob/part/" + id + "/" }
func loosePrefix() string             { return "$system/blob/loose/" }
func looseKey(ns, id string) string   { return loosePrefix() + ns + "/" + id }

func partKey(ns, id string, n int64) string { return fmt.Sprintf("%s%016x", partPrefix(ns, id), n) }

// checkName returns an error unless a blob can have the name.
func checkName(name string) error {
	switch {
	case name == "":
		return invalid("an empty name")
	case len(name) > MaxName:
		return invalid("a name of %d bytes, and %d are allowed", len(name), MaxName)
	case !utf8.ValidString(name):
		return invalid("the name %q is not UTF-8", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return invalid("the name %q has a control character", name)
	}
	return nil
}

// check returns an error unless a blob can be written with what i says.
func (i *Info) check() error {
	if err := checkName(i.Name); err != nil {
		return err
	}
	if len(i.ContentType) > MaxContentType || strings.ContainsFunc(i.ContentType, unicode.IsControl) || !utf8.ValidString(i.ContentType) {
		return invalid("a content type has at most %d bytes, and no control characters", MaxContentType)
	}
	size := 0
	for k, v := range i.Metadata {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return invalid("metadata that are not UTF-8")
		}
		size += len(k) + len(v)
	}
	if size > MaxMetadata {
		return invalid("metadata of %d bytes, and %d are allowed", size, MaxMetadata)
	}
	return nil
}

// find returns the record of a name, [ErrNotFound] when there is none.
func (b *Blobs) find(ctx context.Context, ns, name string) (*manifest, error) {
	rec, err := b.store.Get(ctx, namePrefix(ns)+name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return decode(rec)
}

func decode(rec store.Record) (*manifest, error) {
	m := &manifest{revision: rec.Revision}
	if err := json.Unmarshal(rec.Value, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, strconv.Quote(rec.Key), err)
	}
	return m, nil
}

// Stat returns what is known of a blob, [ErrNotFound] when there is none.
func (b *Blobs) Stat(ctx context.Context, ns, name string) (Info, error) {
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	m, err := b.find(ctx, ns, name)
	if err != nil {
		return Info{}, err
	}
	return m.info(name)
}

// maxPageBytes is how much a page may have.
const maxPageBytes = 3 << 20

// List returns the first blobs whose names begin with prefix, ordered by name, at most
// limit, or those behind the page that gave token, and the token of the next page; it is
// empty when there are no more.
func (b *Blobs) List(ctx context.Context, ns, prefix string, limit int, token string) (page []Info, next string, err error) {
	if len(prefix) > MaxName {
		return nil, "", invalid("a prefix of %d bytes, and %d are allowed", len(prefix), MaxName)
	}
	base := namePrefix(ns)
	list := pagetoken.Of(base, prefix)
	r := store.Prefix(base + prefix)
	if token != "" {
		after, ok := list.Parse(token)
		if !ok || len(after) > MaxName {
			return nil, "", invalid("the page token is not one of these blobs: use the one that the page before gave, and change nothing else")
		}
		r.Start = max(r.Start, base+after+"\x00")
	}
	size := 0
	for rec, err := range b.store.Range(ctx, r) {
		if err != nil {
			return nil, "", err
		}
		if size += len(rec.Key) + len(rec.Value); len(page) == limit || len(page) > 0 && size > maxPageBytes {
			return page, list.After(page[len(page)-1].Name), nil
		}
		m, err := decode(rec)
		if err != nil {
			return nil, "", err
		}
		info, err := m.info(rec.Key[len(base):])
		if err != nil {
			return nil, "", err
		}
		page = append(page, info)
	}
	return page, "", nil
}

// Delete removes a blob and reports whether there was one. When revision is not nil
// the blob must have it, else nothing changes and the error is [store.ErrConflict].
func (b *Blobs) Delete(ctx context.Context, ns, name string, revision *int64) (bool, error) {
	if err := checkName(name); err != nil {
		return false, err
	}
	if revision != nil && *revision < 0 {
		return false, invalid("the negative revision %d", *revision)
	}
	for {
		m, err := b.find(ctx, ns, name)
		if errors.Is(err, ErrNotFound) {
			if revision != nil && *revision != 0 {
				return false, store.ErrConflict
			}
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if revision != nil && *revision != m.revision {
			return false, store.ErrConflict
		}
		key := namePrefix(ns) + name
		err = b.quota.change(ns, -m.Size, func() error {
			_, err := b.store.Txn(ctx, store.Txn{
				If: []store.Cond{{Key: key, Revision: m.revision}},
				Do: []store.Op{store.Delete(key), store.Put(looseKey(ns, m.Upload), nil)},
			})
			return err
		})
		if errors.Is(err, store.ErrConflict) {
			continue // to be told apart again
		}
		b.sweepSoon(looseKey(ns, m.Upload))
		return err == nil, err
	}
}
