package embedded

import (
	"context"
	"errors"
	"fmt"

	engine "github.com/micro/micro/v3/backend/embedded"
)

// Counts is what a check has seen.
type Counts struct{ Records, Changes int64 }

// Check reads all that a store has in a database, and calls tell for each record and
// change that is not what was written, or that does not fit to the others. The error is
// that of a database which cannot be read on. Nobody must write meanwhile.
func Check(ctx context.Context, db *engine.DB, tell func(what string, err error)) (Counts, error) {
	var n Counts
	err := db.Each(ctx, engine.Store, string(kindData), func(key, v []byte) error {
		n.Records++
		m, _, err := parseData(key, v)
		if err == nil && m.expires != 0 {
			err = listed(db, expiryKey(m.expires, string(key[2:])))
		}
		if err != nil {
			tell(fmt.Sprintf("the record of the key %q", key[2:]), err)
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	last := position{}
	err = db.Each(ctx, engine.Store, string(kindChange), func(key, v []byte) error {
		n.Changes++
		p, err := parsePosition(key)
		if err == nil {
			_, err = parseChange(key, v)
		}
		follows := p.revision == last.revision+1 && p.index == 0 || p.revision == last.revision && p.index == last.index+1
		if err == nil && last.revision != 0 && !follows {
			err = fmt.Errorf("%w: there is none between %d.%d and it", engine.ErrDamaged, last.revision, last.index)
		}
		if err != nil {
			tell(fmt.Sprintf("the change %d.%d", p.revision, p.index), err)
		}
		last = p
		return nil
	})
	if err != nil {
		return n, err
	}
	// Whether a record has that deadline still, only its own entry must show: see kindExpiry.
	return n, db.Each(ctx, engine.Store, string(kindExpiry), func(key, _ []byte) error {
		if len(key) <= expiryKeyLen {
			tell(fmt.Sprintf("the expiry %x", key), engine.ErrDamaged)
		}
		return nil
	})
}

// listed returns an error unless the index of deadlines has a key.
func listed(db *engine.DB, expiryKey []byte) error {
	_, closer, err := db.Get(expiryKey)
	if errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("%w: it expires, and its time is not known", engine.ErrDamaged)
	}
	if err != nil {
		return err
	}
	return closer.Close()
}
