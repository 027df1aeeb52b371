package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/store"
)

const grace = time.Hour

// collect collects in a namespace, and returns how many schemas are left.
func collect(t *testing.T, r *registry.Registry, s store.Store) int {
	t.Helper()
	if err := r.CollectSchemas(t.Context(), ns, grace); err != nil {
		t.Fatal(err)
	}
	return len(keys(t, s, ns+"/registry/schema/"))
}

// TestCollectSchemas keeps what is spoken, and the rest for as long as the grace.
func TestCollectSchemas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		r := newRegistry(t, s)
		put := func(ns, files string) string {
			t.Helper()
			digest, err := r.PutSchema(t.Context(), ns, []byte(files))
			if err != nil {
				t.Fatal(err)
			}
			return digest
		}
		spoken, unspoken := put(ns, "spoken"), put(ns, "unspoken")
		put("other", "unspoken")
		in := shop("a")
		in.Schema = spoken
		renew := func() {
			t.Helper()
			register(t, r, ns, in, registry.MaxLease)
		}
		renew()
		equal := func(what string, got, want int) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %d schemas are left, want %d", what, got, want)
			}
		}
		equal("at first", collect(t, r, s), 2)
		<-time.After(grace - time.Minute)
		renew()
		equal("within the grace", collect(t, r, s), 2)
		// Whoever puts it again is about to register an instance that speaks it.
		put(ns, "unspoken")
		<-time.After(2 * time.Minute)
		renew()
		equal("after it was put again", collect(t, r, s), 2)
		<-time.After(grace)
		renew()
		equal("after the grace", collect(t, r, s), 1)
		if _, err := r.Schema(t.Context(), ns, unspoken); err == nil {
			t.Error("what nobody speaks is there still")
		}
		if _, err := r.Schema(t.Context(), "other", unspoken); err != nil {
			t.Errorf("that of the other namespace: %v", err)
		}

		// One that is spoken again in time stays.
		in.Schema = put(ns, "next")
		renew()
		equal("with two", collect(t, r, s), 2)
		<-time.After(grace / 2)
		in.Schema = spoken
		renew()
		equal("with the first again", collect(t, r, s), 2)
		<-time.After(grace)
		renew()
		equal("in the end", collect(t, r, s), 1)
		if _, err := r.Schema(t.Context(), ns, spoken); err != nil {
			t.Errorf("what is spoken: %v", err)
		}
	})
}

// TestCollectManySchemas collects more than a transaction holds.
func TestCollectManySchemas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t)
		var ops []store.Op
		for i := range store.MaxOps + 500 {
			ops = append(ops, store.Put(fmt.Sprintf("%s/registry/schema/sha256:%064x", ns, i), nil))
		}
		for _, part := range [][]store.Op{ops[:store.MaxOps], ops[store.MaxOps:]} {
			if _, err := s.Txn(t.Context(), store.Txn{Do: part}); err != nil {
				t.Fatal(err)
			}
		}
		r := newRegistry(t, s)
		var left []int
		for range 4 {
			left = append(left, collect(t, r, s))
			<-time.After(grace)
		}
		if diff := cmp.Diff([]int{store.MaxOps + 500, 500, 0, 0}, left); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		if got := keys(t, s, strings.TrimSuffix(ns, "e")); len(got) > 0 {
			t.Errorf("left: %q", got)
		}
	})
}
