package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/micro/micro/v3/backend/store"
)

// CheckServices reads what should run in a namespace and calls tell for each service whose
// record makes no sense, or whose image is not there. It returns how many there are.
func CheckServices(ctx context.Context, s store.Store, ns string, hasImage func(ref string) error, tell func(service string, err error)) (services int, err error) {
	prefix := serviceKey(ns, "")
	for rec, err := range s.Range(ctx, store.Prefix(prefix)) {
		if err != nil {
			return services, err
		}
		services++
		var d desired
		if err = json.Unmarshal(rec.Value, &d); err == nil && !d.Deleted {
			if err = hasImage(d.Spec.Image); err != nil {
				err = fmt.Errorf("release %d needs the image %s: %w", d.Number, d.Spec.Image, err)
			}
		}
		if err != nil {
			tell(strings.TrimPrefix(rec.Key, prefix), err)
		}
	}
	return services, nil
}
