package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/micro/micro/v3/backend/store"
)

// Images returns the references of the images that a namespace needs, ordered: those
// of all releases that are kept.
func (d *Deployer) Images(ctx context.Context, ns string) ([]string, error) {
	images := map[string]bool{}
	for r, err := range d.config.Store.Range(ctx, store.Prefix(ns+"/deploy/release/")) {
		if err != nil {
			return nil, err
		}
		var release Release
		if err := json.Unmarshal(r.Value, &release); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Key, err)
		}
		images[release.Spec.Image] = true
	}
	return slices.Sorted(maps.Keys(images)), nil
}
