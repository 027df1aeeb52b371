package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestTestimony(t *testing.T) {
	t.Parallel()
	want := testimony{generation: 7, batch: 1 << 60, manifest: "MANIFEST-000012", size: 345, sum: 0xabc}
	line := want.format()
	slot := append([]byte(line), make([]byte, 100)...)
	got, ok := parseTestimony(slot)
	if !ok || got != want {
		t.Errorf("got %+v, %v, want %+v", got, ok, want)
	}
	for i := range line[:len(line)-1] {
		for bit := range 8 {
			slot[i] ^= 1 << bit
			if got, ok := parseTestimony(slot); ok && got != want {
				t.Errorf("with bit %d of byte %d flipped: %+v", bit, i, got)
			}
			slot[i] ^= 1 << bit
		}
	}
}

func FuzzTestimony(f *testing.F) {
	f.Add([]byte(testimony{generation: 1, batch: 2, manifest: "MANIFEST-000001", size: 3, sum: 4}.format()))
	f.Add([]byte("micro witness 1: check 00000000\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, slot []byte) {
		if got, ok := parseTestimony(slot); ok {
			if again, ok := parseTestimony([]byte(got.format())); !ok || again != got {
				t.Errorf("%q is %+v, which comes back as %+v, %v", slot, got, again, ok)
			}
		}
	})
}

// replace changes a file.
func replace(t *testing.T, fs vfs.FS, name string, change func([]byte) []byte) {
	t.Helper()
	data, err := readFile(fs, name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(change(data))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// only returns the name of the one file with a prefix or suffix that has content.
func only(t *testing.T, fs vfs.FS, part string) string {
	t.Helper()
	names, err := fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, n := range names {
		data, err := readFile(fs, "data/"+n)
		if err == nil && strings.Contains(n, part) && !strings.HasPrefix(n, "marker") && len(data) > 0 {
			found = append(found, n)
		}
	}
	if len(found) != 1 {
		t.Fatalf("files with %q: %q, want one", part, found)
	}
	return "data/" + found[0]
}

// TestWitness cuts off what Pebble alone does not miss.
func TestWitness(t *testing.T) {
	t.Parallel()
	half := func(b []byte) []byte { return b[:len(b)/2] }
	for _, c := range []struct {
		name   string
		change func(t *testing.T, fs vfs.FS)
		want   error
		text   string
	}{
		{"as it was", func(*testing.T, vfs.FS) {}, nil, ""},
		{"half of the log", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			replace(t, fs, only(t, fs, ".log"), half)
		}, ErrDamaged, "missing from the end of its log"},
		{"no log", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			if err := fs.Remove(only(t, fs, ".log")); err != nil {
				t.Fatal(err)
			}
		}, ErrDamaged, "missing from the end of its log"},
		{"half of the manifest", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			replace(t, fs, only(t, fs, "MANIFEST"), half)
		}, ErrDamaged, "data/MANIFEST-000001 is not what was written"},
		{"half of the witness", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			replace(t, fs, "data/WITNESS", half)
		}, nil, ""},
		{"no witness", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			if err := fs.Remove("data/WITNESS"); err != nil {
				t.Fatal(err)
			}
		}, nil, ""},
		{"an illegible witness", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			replace(t, fs, "data/WITNESS", func(b []byte) []byte { return bytes.Repeat([]byte("?"), len(b)) })
		}, nil, "WITNESS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			db := openTest(t, fs)
			const n = 100
			for i := range n {
				if err := set(db, fmt.Sprintf("a%d", i), "x"); err != nil {
					t.Fatal(err)
				}
			}
			closeTest(t, db)
			c.change(t, fs)
			var log bytes.Buffer
			db, err := Open(t.Context(), "data", Options{FS: fs, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if c.want != nil {
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %v, want %v with %q", err, c.want, c.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(log.String(), c.text) || c.text == "" && log.Len() > 0 {
				t.Errorf("it logged %q, want %q", log.String(), c.text)
			}
			for i := range n {
				if get(t, db, fmt.Sprintf("a%d", i)) != "x" {
					t.Errorf("write %d is missing", i)
				}
			}
			closeTest(t, db)
		})
	}
}

// TestWitnessKeepsUp has the log be damaged some time after a crash.
func TestWitnessKeepsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		db := openTest(t, fs)
		if err := set(db, "a1", "x"); err != nil {
			t.Fatal(err)
		}
		early := fs.CrashClone(vfs.CrashCloneCfg{})
		<-time.After(witnessDelay)
		synctest.Wait()
		late := fs.CrashClone(vfs.CrashCloneCfg{})
		closeTest(t, db)
		for name, fs := range map[string]*vfs.MemFS{"early": early, "late": late} {
			replace(t, fs, only(t, fs, ".log"), func([]byte) []byte { return nil })
			db, err := Open(t.Context(), "data", Options{FS: fs})
			if name == "late" && !errors.Is(err, ErrDamaged) {
				t.Errorf("without its log: %v, want %v", err, ErrDamaged)
			}
			// At first it looks like a crash before the write.
			if name == "early" && err != nil {
				t.Error(err)
			}
			if err == nil {
				closeTest(t, db)
			}
		}
	})
}

// TestLedger writes more than the ledger keeps, and makes a gap in it.
func TestLedger(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openTest(t, fs)
	const n = 100
	for range n {
		if err := set(db, "a", strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	closeTest(t, db)
	db = openTest(t, fs)
	if db.ledger.last != n {
		t.Errorf("the last number is %d, want %d", db.ledger.last, n)
	}
	if kept := len(db.ledger.marks); kept < 30 || kept > 36 {
		t.Errorf("%d MiB are kept, want 32", kept)
	}
	if err := db.pebble.Delete(ledgerKey(n-10), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	closeTest(t, db)
	_, err := Open(t.Context(), "data", Options{FS: fs})
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "the batches from 90 to 90 are missing") {
		t.Errorf("with a gap: %v, want %v", err, ErrDamaged)
	}
}
