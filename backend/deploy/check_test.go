package deploy_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/store"
)

// A check misses the image of the release that should run as well as that of one that is
// kept to go back to, also of a service that was killed, and tells of each once.
func TestCheckServices(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.apply("v1", 1)
		w.pass(time.Minute)
		w.apply("v2", 1)
		w.pass(time.Minute)
		check := func(missing ...string) (told []string) {
			errGone := errors.New("gone")
			n, err := deploy.CheckServices(w.Context(), w.store, ns, func(ref string) error {
				if slices.Contains(missing, ref) {
					return errGone
				}
				return nil
			}, func(service string, err error) { told = append(told, service+": "+err.Error()) })
			if n != 1 || err != nil {
				w.Errorf("%d services, %v", n, err)
			}
			return told
		}
		for _, tt := range []struct{ missing, want []string }{
			{nil, nil},
			{[]string{"v2"}, []string{"shop: release 2 needs the image v2: gone"}},
			{[]string{"v1"}, []string{"shop: release 1 needs the image v1: gone"}},
			{[]string{"v1", "v2"}, []string{"shop: release 2 needs the image v2: gone", "shop: release 1 needs the image v1: gone"}},
		} {
			if got := check(tt.missing...); !slices.Equal(got, tt.want) {
				w.Errorf("without %q it tells %q, want %q", tt.missing, got, tt.want)
			}
		}
		w.delete()
		w.pass(time.Minute)
		if got, want := check("v1"), []string{"shop: release 1 needs the image v1: gone"}; !slices.Equal(got, want) {
			w.Errorf("of a service that was killed it tells %q, want %q", got, want)
		}
		for rec, err := range w.store.Range(w.Context(), store.Prefix(ns+"/deploy/release/shop/")) {
			if err != nil {
				w.Fatal(err)
			}
			if _, err := w.store.Txn(w.Context(), store.Txn{Do: []store.Op{store.Put(rec.Key, rec.Value[1:])}}); err != nil {
				w.Fatal(err)
			}
			break
		}
		if got := check(); len(got) != 1 {
			w.Errorf("of a record that makes no sense it tells %q", got)
		}
	})
}
