package blobs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// How long an upload may rest before its parts are removed, and how often the record
// that keeps them is renewed.
const (
	uploadTTL   = 10 * time.Minute
	uploadRenew = time.Minute
)

// Upload is a blob in the making. Nobody sees it before [Upload.Commit]. Use it from
// one goroutine, and call [Upload.Discard] when done with it.
type Upload struct {
	blobs *Blobs
	ns    string
	id    string
	info  Info
	cond  *int64 // the revision that the blob must have; nil: any

	ttl      time.Duration
	revision int64     // of the record that says that it goes on; 0: no part was laid down
	renewed  time.Time // when it was written
	rest     []byte    // that was not laid down yet
	parts    int64     // that were
	size     int64     // of all that was written
	sum      hash.Hash
	done     bool
}

// Create begins to write a blob, of which name, content type and metadata count. When
// revision is not nil the blob must have it when it is committed; 0: there must be none.
func (b *Blobs) Create(ctx context.Context, ns string, info Info, revision *int64) (*Upload, error) {
	if err := info.check(); err != nil {
		return nil, err
	}
	if revision != nil && *revision < 0 {
		return nil, invalid("the negative revision %d", *revision)
	}
	u := &Upload{blobs: b, ns: ns, id: strings.ToLower(rand.Text()), info: info, cond: revision, ttl: uploadTTL, sum: sha256.New()}
	if err := u.conflict(ctx); err != nil { // before the content comes, and again in the end
		return nil, err
	}
	return u, nil
}

// conflict returns [store.ErrConflict] when the blob has not the revision that it must
// have.
func (u *Upload) conflict(ctx context.Context) error {
	if u.cond == nil {
		return nil
	}
	m, err := u.blobs.find(ctx, u.ns, u.info.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		m = &manifest{}
	case err != nil:
		return err
	}
	if m.revision != *u.cond {
		return store.ErrConflict
	}
	return nil
}

// Write appends p to the content. It returns when all but the last parts are durable;
// with [ErrGone] when the upload has been given up, and [ErrQuota].
func (u *Upload) Write(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		room := partsAtOnce*int(u.blobs.part) - len(u.rest)
		if room == 0 {
			if err := u.flush(ctx); err != nil {
				return err
			}
			continue
		}
		n := min(len(p), room)
		if err := u.blobs.quota.reserve(ctx, u.ns, int64(n)); err != nil {
			return err
		}
		u.rest = append(u.rest, p[:n]...)
		u.sum.Write(p[:n])
		u.size += int64(n)
		p = p[n:]
	}
	return nil
}

// putParts returns the operations that lay down what is left.
func (u *Upload) putParts() (ops []store.Op) {
	for part := range slices.Chunk(u.rest, int(u.blobs.part)) {
		key := partKey(u.ns, u.id, u.parts+int64(len(ops)))
		ops = append(ops, store.Op{Kind: store.KindPut, Key: key, Value: part, Bulk: true})
	}
	return ops
}

// flush lays parts down, all of them as long as each has to be. Before the first one nothing is known of the
// upload in the store.
func (u *Upload) flush(ctx context.Context) error {
	t := store.Txn{
		If: []store.Cond{{Key: uploadKey(u.ns, u.id), Revision: u.revision}},
		Do: u.putParts(),
	}
	parts := len(t.Do)
	renew := u.revision == 0 || time.Since(u.renewed) > uploadRenew
	if renew {
		t.Do = append(t.Do, store.Op{Kind: store.KindPut, Key: uploadKey(u.ns, u.id), TTL: u.ttl})
	}
	if u.revision == 0 {
		t.Do = append(t.Do, store.Put(looseKey(u.ns, u.id), nil))
	}
	revision, err := u.blobs.store.Txn(ctx, t)
	if errors.Is(err, store.ErrConflict) {
		return ErrGone
	}
	if err != nil {
		return err
	}
	if renew {
		u.revision, u.renewed = revision, time.Now()
	}
	u.parts += int64(parts)
	u.rest = u.rest[:0]
	return nil
}

// Commit makes the blob of what was written, in the place of the one that has the
// name. When sum is not empty it must be the SHA-256 of the content, and size its
// length unless that is negative. [store.ErrConflict] as [Blobs.Create] says; the blob
// that was there stays then, as it does with any error.
func (u *Upload) Commit(ctx context.Context, size int64, sum []byte) (Info, error) {
	digest := u.sum.Sum(nil)
	switch {
	case size >= 0 && size != u.size:
		return Info{}, invalid("%d bytes have come, and %d were said", u.size, size)
	case len(sum) > 0 && !bytes.Equal(sum, digest):
		return Info{}, invalid("the content has the SHA-256 %x, and %x was said", digest, sum)
	}
	m := manifest{
		Upload: u.id, Size: u.size, Part: u.blobs.part, SHA256: hex.EncodeToString(digest),
		ContentType: u.info.ContentType, Metadata: u.info.Metadata, Modified: time.Now().UTC(),
	}
	value, err := json.Marshal(m)
	if err != nil {
		return Info{}, err
	}
	for {
		m.revision, err = u.replace(ctx, value)
		if !errors.Is(err, store.ErrConflict) || u.cond != nil {
			break
		}
	}
	if err != nil {
		return Info{}, err
	}
	u.end()
	return m.info(u.info.Name)
}

// replace puts the record of the name, and sets the parts loose that it stood for.
func (u *Upload) replace(ctx context.Context, value []byte) (int64, error) {
	old, err := u.blobs.find(ctx, u.ns, u.info.Name)
	if errors.Is(err, ErrNotFound) {
		old, err = &manifest{}, nil
	}
	if err != nil {
		return 0, err
	}
	if u.cond != nil && *u.cond != old.revision {
		return 0, store.ErrConflict
	}
	key := namePrefix(u.ns) + u.info.Name
	t := store.Txn{
		If: []store.Cond{{Key: uploadKey(u.ns, u.id), Revision: u.revision}, {Key: key, Revision: old.revision}},
		Do: append(u.putParts(), store.Put(key, value), store.Delete(uploadKey(u.ns, u.id)), store.Delete(looseKey(u.ns, u.id))),
	}
	if old.Upload != "" {
		t.Do = append(t.Do, store.Put(looseKey(u.ns, old.Upload), nil))
	}
	var revision int64
	err = u.blobs.quota.change(u.ns, u.size-old.Size, func() error {
		var err error
		revision, err = u.blobs.store.Txn(ctx, t)
		return err
	})
	if errors.Is(err, store.ErrConflict) && u.revision != 0 {
		if _, gone := u.blobs.store.Get(ctx, uploadKey(u.ns, u.id)); errors.Is(gone, store.ErrNotFound) {
			return 0, ErrGone
		}
	}
	if err == nil && old.Upload != "" {
		u.blobs.sweepSoon(looseKey(u.ns, old.Upload))
	}
	return revision, err
}

// end says that nothing more comes.
func (u *Upload) end() {
	u.done = true
	u.blobs.quota.release(u.ns, u.size)
}

// Discard removes what was laid down of an upload that was not committed. What it
// cannot remove the sweep does, when the upload has expired.
func (u *Upload) Discard(ctx context.Context) error {
	if u.done {
		return nil
	}
	u.end()
	if u.revision == 0 {
		return nil
	}
	defer u.blobs.sweepSoon(looseKey(u.ns, u.id))
	_, err := u.blobs.store.Txn(ctx, store.Txn{Do: []store.Op{store.Delete(uploadKey(u.ns, u.id))}})
	return err
}
