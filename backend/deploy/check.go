package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/micro/micro/v3/backend/store"
)

// CheckServices reads what should run in a namespace, and the releases that are kept to go
// back to. It calls tell for each service whose records make no sense, or an image of
// which is not there. It returns how many services there are.
func CheckServices(ctx context.Context, s store.Store, ns string, hasImage func(ref string) error, tell func(service string, err error)) (services int, err error) {
	check := func(r Release) error {
		if err := hasImage(r.Spec.Image); err != nil {
			return fmt.Errorf("release %d needs the image %s: %w", r.Number, r.Spec.Image, err)
		}
		return nil
	}
	current := map[string]int64{} // the releases that have been looked at, by service
	prefix := serviceKey(ns, "")
	for rec, err := range s.Range(ctx, store.Prefix(prefix)) {
		if err != nil {
			return services, err
		}
		services++
		name := strings.TrimPrefix(rec.Key, prefix)
		var d desired
		if err = json.Unmarshal(rec.Value, &d); err == nil && !d.Deleted {
			current[name] = d.Number
			err = check(d.Release)
		}
		if err != nil {
			tell(name, err)
		}
	}
	prefix = releasesPrefix(ns)
	for rec, err := range s.Range(ctx, store.Prefix(prefix)) {
		if err != nil {
			return services, err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(rec.Key, prefix), "/")
		var r Release
		if err = json.Unmarshal(rec.Value, &r); err == nil && r.Number != current[name] {
			err = check(r)
		}
		if err != nil {
			tell(name, err)
		}
	}
	return services, nil
}
