package embedded_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/internal/crashtest"
)

// TestDamage changes files of a closed database: flips a bit, cuts a file off, fills
// a page with zeros. A store on them may refuse to open, or to read, and must then
// say why; it may not notice what does not matter; it must never show anything else
// than what was written.
func TestDamage(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]bool{"closed": false, "crashed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(crashtest.Seed(t), 0))
			fs, want := written(t, rng, crash)
			trials := 20
			switch {
			case crashtest.Soak():
				trials = 2000
			case crashtest.Race:
				trials = 5
			}
			names, err := fs.List("data")
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(names)
			told := map[string]int{}
			for range trials {
				for _, file := range names {
					left := vfs.NewMem()
					if _, err := vfs.Clone(fs, left, "data", "data"); err != nil {
						t.Fatal(err)
					}
					how, changed := damage(t, left, "data/"+file, rng)
					if !changed {
						continue
					}
					kind := strings.Trim(file, "-0123456789.")
					switch err := readAll(t, left, want); {
					case err == nil:
						told[kind+" harmless"]++
					case errors.Is(err, errWrong):
						t.Errorf("MICRO_SEED=%d: %s, %s: %v", crashtest.Seed(t), file, how, err)
					case !named(err, file):
						t.Errorf("MICRO_SEED=%d: %s, %s: the error does not tell: %v", crashtest.Seed(t), file, how, err)
					default:
						told[kind+" noticed"]++
					}
				}
			}
			t.Log(told)
			for _, kind := range []string{"sst", "log", "MANIFEST"} {
				if told[kind+" noticed"] == 0 && trials >= 20 {
					t.Errorf("no damage to a file of kind %s was noticed", kind)
				}
			}
		})
	}
}

var errWrong = errors.New("the store shows what was not written")

// written returns a database in which there is something in every kind of file.
func written(t *testing.T, rng *rand.Rand, crash bool) (vfs.FS, map[string]string) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: fs, MemTable: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i := range 600 {
		key := fmt.Sprintf("k%03d", rng.IntN(200))
		op := store.Put(key, append(fmt.Appendf(nil, "%d ", i), make([]byte, rng.IntN(600))...))
		if rng.IntN(5) == 0 {
			op = store.Delete(key)
			delete(want, key)
		} else {
			want[key] = string(op.Value)
		}
		if _, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{op}}); err != nil {
			t.Fatal(err)
		}
	}
	if crash {
		// What has been durable for a second is what damage can be told from a
		// crash in.
		<-time.After(1200 * time.Millisecond)
		left := fs.CrashClone(vfs.CrashCloneCfg{})
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
		return left, want
	}
	if err := errors.Join(s.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return fs, want
}

// damage changes a file, and reports how, and whether it is another one now.
func damage(t *testing.T, fs vfs.FS, name string, rng *rand.Rand) (how string, changed bool) {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	old, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if len(old) == 0 {
		return "", false
	}
	data := bytes.Clone(old)
	at := rng.IntN(len(data))
	switch rng.IntN(4) {
	case 0, 1:
		bit := rng.IntN(8)
		data[at] ^= 1 << bit
		how = fmt.Sprintf("bit %d of byte %d of %d flipped", bit, at, len(data))
	case 2:
		if rng.IntN(5) == 0 {
			at = 0
		}
		data = data[:at]
		how = fmt.Sprintf("cut from %d to %d bytes", len(old), at)
	default:
		from := at &^ 4095
		to := min(from+4096, len(data))
		clear(data[from:to])
		how = fmt.Sprintf("bytes from %d to %d of %d zeroed", from, to, len(data))
	}
	f, err = fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return how, !bytes.Equal(old, data)
}

// readAll reads everything in every way and returns the first error, errWrong when it
// is not what was written.
func readAll(t *testing.T, fs vfs.FS, want map[string]string) error {
	t.Helper()
	db, err := engine.Open(t.Context(), "data", engine.Options{FS: fs, Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := embedded.Open(t.Context(), db, embedded.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	var failed error
	for i := range 200 {
		key := fmt.Sprintf("k%03d", i)
		value, there := want[key]
		rec, err := s.Get(t.Context(), key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			if there {
				return fmt.Errorf("%w: %s is not found", errWrong, key)
			}
		case err != nil:
			failed = err
		case !there || string(rec.Value) != value:
			return fmt.Errorf("%w: %s is %.10q", errWrong, key, rec.Value)
		}
	}
	n := 0
	var end error
	for rec, err := range s.Range(t.Context(), store.Range{}) {
		if end = err; err != nil {
			break
		}
		if n++; string(rec.Value) != want[rec.Key] {
			return fmt.Errorf("%w: %s is listed as %.10q", errWrong, rec.Key, rec.Value)
		}
	}
	if end == nil && n != len(want) {
		return fmt.Errorf("%w: %d records are listed, and there are %d", errWrong, n, len(want))
	}
	last := map[string]string{}
	var watched error
	for c, err := range s.Watch(t.Context(), "", 1) {
		if watched = err; err != nil || c.Kind == store.Synced {
			break
		}
		last[c.Record.Key] = string(c.Record.Value)
		if c.Kind == store.KindDelete {
			delete(last, c.Record.Key)
		}
	}
	if watched == nil {
		for key, value := range want {
			// The change of the first revision is not among them.
			if v, ok := last[key]; ok && v != value {
				return fmt.Errorf("%w: the last change of %s is %.10q", errWrong, key, v)
			}
		}
		if len(last) > len(want) || len(last) < len(want)-1 {
			return fmt.Errorf("%w: the changes come to %d records, want %d", errWrong, len(last), len(want))
		}
	}
	return errors.Join(failed, end, watched)
}

// named reports whether an error says which file is damaged. Of a log Pebble knows
// the number.
func named(err error, file string) bool {
	return strings.Contains(err.Error(), file) ||
		strings.HasSuffix(file, ".log") && strings.Contains(err.Error(), strings.TrimSuffix(file, ".log")) ||
		strings.HasSuffix(file, ".log") && strings.Contains(err.Error(), "*.log")
}
