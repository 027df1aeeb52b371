package embedded

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/store"
)

// TestTail adds groups of all sizes, and asks for every part of what there was: it is
// given whole or not at all, and the newest is there.
func TestTail(t *testing.T) {
	t.Parallel()
	var tl tail
	if _, ok := tl.part("", 1, 1); ok {
		t.Error("an empty tail has something")
	}
	var all []store.Change
	revision, given := int64(7), 0
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // no secret
	for range 60 {
		var changes []store.Change
		bytes := 0
		size := 1 << random.IntN(17)
		for range 1 + random.IntN(20) {
			revision++
			for range 1 + random.IntN(3) {
				rec := store.Record{Key: fmt.Sprintf("%d/%d", random.IntN(2), len(all)), Value: make([]byte, random.IntN(size))}
				bytes += len(rec.Key) + len(rec.Value)
				changes = append(changes, store.Change{Kind: store.KindPut, Revision: revision, Record: rec})
			}
		}
		all = append(all, changes...)
		tl.add(changes, revision, bytes)
		if _, ok := tl.part("", revision, revision); ok != (bytes <= tailBytes) {
			t.Errorf("of a group of %d bytes the newest is there: %v", bytes, ok)
		}
		for _, prefix := range []string{"", "1/"} {
			for range 10 {
				start := revision - random.Int64N(min(revision, 3000)) + 1
				end := start + random.Int64N(20)
				got, ok := tl.part(prefix, start, end)
				if !ok {
					continue
				}
				var want []store.Change
				for _, c := range all {
					if c.Revision >= start && c.Revision <= end && strings.HasPrefix(c.Record.Key, prefix) {
						want = append(want, c)
					}
				}
				if end > revision {
					t.Fatalf("the tail has revision %d, and the newest is %d", end, revision)
				}
				if len(want)+len(got) > 0 && !reflect.DeepEqual(want, got) {
					t.Fatalf("changes %d to %d of %q (-want +got):\n%s", start, end, prefix, cmp.Diff(want, got))
				}
				given += len(got)
			}
		}
		if r := tl.newest.Load(); r.bytes > tailBytes || len(r.changes) > tailChanges {
			t.Fatalf("the tail has %d changes of %d bytes", len(r.changes), r.bytes)
		}
	}
	if given == 0 {
		t.Error("the tail gave nothing")
	}
}
