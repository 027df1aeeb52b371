package config

import (
	"context"
	"fmt"

	"github.com/micro/micro/v3/backend/store"
)

// Check reads the configuration of a namespace with its history, and calls tell for each
// record that makes no sense, or has a secret that was encrypted with another master key
// or for another place. It returns how many values there are now.
func Check(ctx context.Context, s store.Store, masterKey []byte, ns string, tell func(record string, err error)) (values int, err error) {
	c, err := New(Options{Store: s, MasterKey: masterKey})
	if err != nil {
		return 0, err
	}
	opens := func(at string, l *leaf) error {
		if l == nil || !l.secret() {
			return nil
		}
		_, err := c.open(ns, at, *l)
		return err
	}
	for rec, err := range s.Range(ctx, store.Prefix(nowKey(ns))) {
		if err != nil {
			return values, err
		}
		d, err := decodeDocument(rec)
		for at, l := range d.Leaves {
			values++
			if err == nil {
				err = opens(at, &l)
			}
		}
		if err != nil {
			tell(rec.Key, err)
		}
	}
	last := int64(0)
	for rec, err := range s.Range(ctx, store.Prefix(historyPrefix(ns))) {
		if err != nil {
			return values, err
		}
		e, err := decodeEntry(rec)
		for _, change := range e.Changes {
			for _, l := range []*leaf{change.Before, change.After} {
				if err == nil {
					err = opens(change.Path, l)
				}
			}
		}
		if err == nil && last != 0 && e.Revision != last+1 {
			err = fmt.Errorf("the revisions from %d to %d are missing", last+1, e.Revision-1)
		}
		if err != nil {
			tell(rec.Key, err)
		}
		last = e.Revision
	}
	return values, nil
}
