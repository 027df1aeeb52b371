package embedded_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
)

// TestDeadlines has records written over in all ways, and looks at what the index of
// deadlines holds before and after these.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	leased := func(ttl time.Duration) store.Op { return store.Op{Kind: store.KindPut, Key: "a", TTL: ttl} }
	for name, tt := range map[string]struct {
		do          []store.Op
		kept, found int // deadlines before they have passed, and records afterwards
	}{
		"leased":                    {[]store.Op{leased(time.Hour)}, 1, 0},
		"leased twice in a moment":  {[]store.Op{leased(time.Hour), leased(time.Hour)}, 1, 0},
		"leased for longer":         {[]store.Op{leased(time.Hour), leased(2 * time.Hour)}, 1, 0},
		"made permanent":            {[]store.Op{leased(time.Hour), store.Put("a", nil)}, 1, 1},
		"deleted":                   {[]store.Op{leased(time.Hour), store.Delete("a")}, 0, 0},
		"made permanent, deleted":   {[]store.Op{leased(time.Hour), store.Put("a", nil), store.Delete("a")}, 1, 0},
		"made permanent and leased": {[]store.Op{leased(time.Hour), store.Put("a", nil), leased(time.Hour)}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				db, err := engine.Open(t.Context(), "data", engine.Options{FS: vfs.NewMem()})
				if err != nil {
					t.Fatal(err)
				}
				s, err := embedded.Open(t.Context(), db, embedded.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := errors.Join(s.Close(), db.Close()); err != nil {
						t.Error(err)
					}
				}()
				for _, op := range tt.do {
					if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{op}}); err != nil {
						t.Fatal(err)
					}
				}
				if n := deadlines(t, db); n != tt.kept {
					t.Errorf("%d deadlines are known, want %d", n, tt.kept)
				}
				<-time.After(3 * time.Hour)
				synctest.Wait()
				if n := deadlines(t, db); n != 0 {
					t.Errorf("%d deadlines have passed and are known", n)
				}
				counts, err := embedded.Check(t.Context(), db, func(what string, err error) { t.Errorf("%s: %v", what, err) })
				if err != nil || counts.Records != int64(tt.found) {
					t.Errorf("%d records, %v; want %d", counts.Records, err, tt.found)
				}
			})
		})
	}
}

// deadlines returns how many the index of deadlines has.
func deadlines(t *testing.T, db *engine.DB) (n int) {
	t.Helper()
	err := db.Each(t.Context(), engine.Store, "x", func([]byte, []byte) error {
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
