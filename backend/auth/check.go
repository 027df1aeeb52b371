package auth

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/micro/micro/v3/backend/store"
)

// Check reads the accounts, rules and signing keys of a store and calls tell for each
// record that makes no sense, or that was encrypted with another master key. It returns
// the namespaces that there are.
func Check(ctx context.Context, s store.Store, masterKey []byte, tell func(record string, err error)) (namespaces []string, err error) {
	box, err := newSecrets(masterKey)
	if err != nil {
		return nil, err
	}
	for rec, err := range s.Range(ctx, store.Prefix(indexPrefix)) {
		if err != nil {
			return nil, err
		}
		namespaces = append(namespaces, strings.TrimPrefix(rec.Key, indexPrefix))
	}
	keys := 0
	for rec, err := range s.Range(ctx, store.Prefix(keyPrefix)) {
		if err != nil {
			return nil, err
		}
		keys++
		k, err := decodeJSON[signingKey](rec)
		if err == nil {
			_, err = box.open(rec.Key, k.Seed)
		}
		if err != nil {
			tell(rec.Key, err)
		}
	}
	if keys == 0 && len(namespaces) > 0 {
		tell(keyPrefix, errors.New("there is no signing key"))
	}
	for _, ns := range namespaces {
		for rec, err := range s.Range(ctx, store.Prefix(ns+"/auth/")) {
			if err != nil {
				return nil, err
			}
			if len(rec.Value) > 0 && !json.Valid(rec.Value) {
				tell(rec.Key, errors.New("it is no JSON"))
			}
		}
	}
	return namespaces, nil
}
