package tables_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/tables"
)

// tenant makes random calls in its namespace and notes what it sees of them. Names
// and keys are few, so that tenants would meet if they could.
type tenant struct {
	ns     string
	rnd    *rand.Rand
	tables *tables.Tables
	tokens []string
	seen   []string
}

func (n *tenant) note(format string, args ...any) {
	n.seen = append(n.seen, fmt.Sprintf(format, args...))
}

func (n *tenant) pick(from ...string) string { return from[n.rnd.IntN(len(from))] }

// step makes one call. Revisions are not noted: they are of the whole server.
func (n *tenant) step(t *testing.T) {
	t.Helper()
	at := tables.Table{Namespace: n.ns, Database: n.pick("", "a", "acme", "globex"), Name: n.pick("", "default", "t")}
	key := n.pick("a", "b", "a/b", "\x00", "\xff", "../globex", "acme/store/record/")
	ctx := t.Context()
	switch n.rnd.IntN(8) {
	case 0, 1, 2:
		_, err := n.tables.Batch(ctx, at, []tables.Op{{Kind: tables.Put, Record: tables.Record{Key: key, Value: []byte(n.ns + key)}}})
		n.note("put %v", err)
	case 3:
		found, err := n.tables.Delete(ctx, at, key, nil)
		n.note("delete %v %v", found, err)
	case 4:
		rec, err := n.tables.Get(ctx, at, key)
		n.note("get %q %v", rec.Value, err)
	case 5:
		page, next, err := n.tables.Page(ctx, at, tables.Selection{Prefix: n.pick("", "a")}, 1+n.rnd.IntN(3), n.pick(append(n.tokens, "")...))
		for _, r := range page {
			n.note("page %q %q", r.Key, r.Value)
		}
		n.note("page %v %q", err, next)
		if next != "" {
			n.tokens = append(n.tokens, next)
		}
	case 6:
		names, next, err := n.tables.Tables(ctx, n.ns, at.Database, 2, "")
		databases, _, _ := n.tables.Databases(ctx, n.ns, 5, "")
		n.note("names %q %q %q %v", names, next, databases, err)
	case 7:
		_, entries, err := n.tables.Export(ctx, n.ns, "", "")
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range entries {
			n.note("export %q %q %q %q %v", e.Database, e.Table, e.Record.Key, e.Record.Value, err)
		}
	}
}

// What a tenant sees is what it would see if there was no other.
func TestTenantsDoNotInterfere(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("MICRO_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("MICRO_SEED=%d", seed)
	const steps = 1000
	run := func(otherNS string, others int) []string {
		ts, _ := open(t)
		mine := &tenant{ns: "acme", rnd: rand.New(rand.NewPCG(seed, 1)), tables: ts}
		other := &tenant{ns: otherNS, rnd: rand.New(rand.NewPCG(seed, 2)), tables: ts}
		for range steps {
			for range others {
				other.step(t)
			}
			mine.step(t)
		}
		return mine.seen
	}
	alone := run("globex", 0)
	if diff := cmp.Diff(alone, run("globex", 2)); diff != "" {
		t.Errorf("seen alone (-) and with another (+):\n%s", diff)
	}
	// The control: two that are the same namespace do meet.
	if cmp.Diff(alone, run("acme", 2)) == "" {
		t.Error("who shares a namespace sees nothing of the other: this test shows nothing")
	}
}
