package blobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// Export takes the blobs of a namespace out of its records, as they are at one moment.
// What it has to remember are the names.
type Export struct {
	ns    string
	names map[string]Info // by upload, of those whose content has not come

	current string // the upload whose content comes
	info    Info
	left    int64
	sum     hash.Hash
}

// NewExport returns an export of a namespace.
func NewExport(ns string) *Export { return &Export{ns: ns, names: map[string]Info{}} }

// Take takes the next record of the namespace, of all that there are, in the order of
// their keys. It returns what is known of a blob when its content begins, and the next
// piece of that; neither for a record of something else.
func (e *Export) Take(rec store.Record) (begins *Info, piece []byte, err error) {
	if name, ok := strings.CutPrefix(rec.Key, namePrefix(e.ns)); ok {
		return e.name(name, rec)
	}
	rest, ok := strings.CutPrefix(rec.Key, e.ns+"/blob/part/")
	if !ok {
		return nil, nil, nil
	}
	id, _, _ := strings.Cut(rest, "/")
	if id != e.current {
		if err := e.ended(); err != nil {
			return nil, nil, err
		}
		info, ok := e.names[id]
		if !ok {
			return nil, nil, nil // of no blob
		}
		delete(e.names, id)
		e.current, e.info, e.left, e.sum = id, info, info.Size, sha256.New()
		begins = &info
	}
	if e.left -= int64(len(rec.Value)); e.left < 0 {
		return nil, nil, e.damaged()
	}
	e.sum.Write(rec.Value)
	return begins, rec.Value, nil
}

func (e *Export) name(name string, rec store.Record) (*Info, []byte, error) {
	m, err := decode(rec)
	if err != nil {
		return nil, nil, err
	}
	info, err := m.info(name)
	if err != nil {
		return nil, nil, err
	}
	if info.Size == 0 {
		return &info, nil, nil
	}
	e.names[m.Upload] = info
	return nil, nil, nil
}

// ended compares what came of a blob with what was written.
func (e *Export) ended() error {
	if e.sum != nil && (e.left != 0 || !bytes.Equal(e.sum.Sum(nil), e.info.SHA256)) {
		return e.damaged()
	}
	e.current, e.sum = "", nil
	return nil
}

func (e *Export) damaged() error {
	return fmt.Errorf("blob %q: %w: it is not what was written", e.info.Name, ErrDamaged)
}

// Close returns an error unless all of every blob has come.
func (e *Export) Close() error {
	if err := e.ended(); err != nil {
		return err
	}
	for _, info := range e.names {
		return fmt.Errorf("blob %q: %w: its content is missing", info.Name, ErrDamaged)
	}
	return nil
}

// Park lays down all that has come, so that nothing of it is in memory, and gives the
// upload so long until it is committed. Nothing can be written any more.
func (u *Upload) Park(ctx context.Context, ttl time.Duration) error {
	u.ttl = ttl
	u.renewed = time.Time{}
	if u.size == 0 {
		return nil
	}
	err := u.flush(ctx)
	u.rest = nil
	return err
}
