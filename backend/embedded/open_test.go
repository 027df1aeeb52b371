package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// holder is a process that holds a directory until its input ends.
const holder = "MICRO_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holder); dir != "" {
		if err := hold(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func hold(dir string) error {
	db, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, db.Close())
}

func openTest(t *testing.T, fs vfs.FS) *DB {
	t.Helper()
	db, err := Open(t.Context(), "data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closeTest(t *testing.T, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// set makes one batch durable.
func set(db *DB, key, value string) error {
	b := db.pebble.NewBatch()
	defer b.Close()
	if err := b.Set([]byte(key), []byte(value), nil); err != nil {
		return err
	}
	return db.apply(b)
}

func get(t *testing.T, db *DB, key string) string {
	t.Helper()
	v, c, err := db.Get([]byte(key))
	if errors.Is(err, ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return string(v)
}

func TestOpenAgain(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string]vfs.FS{"disk": vfs.Default, "memory": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "deep", "down")
			for i := range 3 {
				db, err := Open(t.Context(), dir, Options{FS: fs})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Open(t.Context(), dir, Options{FS: fs}); !errors.Is(err, ErrInUse) {
					t.Errorf("a second time: %v, want %v", err, ErrInUse)
				}
				if got, want := get(t, db, "ak"), strings.Repeat("x", i); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if err := set(db, "ak", strings.Repeat("x", i+1)); err != nil {
					t.Fatal(err)
				}
				closeTest(t, db)
			}
		})
	}
}

func TestOpenByAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), holder+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v, want %v with the name of the directory", err, ErrInUse)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	closeTest(t, db)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, fs vfs.FS, name, text string) {
		t.Helper()
		if err := fs.MkdirAll(fs.PathDir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write([]byte(text))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	ours := func(t *testing.T, fs vfs.FS) {
		t.Helper()
		closeTest(t, openTest(t, fs))
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, fs vfs.FS)
		want error
		text string
	}{
		{"a directory of somebody else", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			write(t, fs, "data/notes.txt", "milk, eggs")
			write(t, fs, "data/photo.jpg", "")
		}, ErrForeign, `"notes.txt"`},
		{"a database of somebody else", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			db, err := pebble.Open("data", &pebble.Options{FS: fs, Logger: pebbleLogger{newHalt(nil, nil)}})
			if err == nil {
				err = db.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}, ErrForeign, "000002.log"},
		{"a file", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			write(t, fs, "data", "")
		}, nil, "not a directory"},
		{"a newer format", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			ours(t, fs)
			line := fmt.Sprintf(formatText, format+1)
			write(t, fs, "data/FORMAT", line+", check "+formatCheck(line))
		}, ErrForeign, "a newer micro made it, with format 2"},
		{"a FORMAT with a flipped bit", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			ours(t, fs)
			line := fmt.Sprintf(formatText, format)
			write(t, fs, "data/FORMAT", fmt.Sprintf(formatText, format^4)+", check "+formatCheck(line))
		}, ErrDamaged, "FORMAT"},
		{"a FORMAT of something else", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			ours(t, fs)
			write(t, fs, "data/FORMAT", "1.44 MB")
		}, ErrForeign, "FORMAT"},
		{"a newer Pebble", func(t *testing.T, fs vfs.FS) {
			t.Helper()
			ours(t, fs)
			write(t, fs, "data/marker.format-version.000999.999", "")
		}, nil, "999"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			c.make(t, fs)
			before, _ := fs.List("data")
			_, err := Open(t.Context(), "data", Options{FS: fs})
			if err == nil {
				t.Fatal("it was opened")
			}
			if c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) ||
				!strings.HasPrefix(err.Error(), "open data: ") {
				t.Errorf("got %v, want %v with %q", err, c.want, c.text)
			}
			after, _ := fs.List("data")
			slices.Sort(before)
			slices.Sort(after)
			if !slices.Equal(before, after) {
				t.Errorf("it held %q and holds %q now", before, after)
			}
		})
	}
}

func TestOpenCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, "data", Options{FS: vfs.NewMem()}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// TestOpenCrashes cuts the power at every operation of making a database, and of
// opening one again: whatever of what was not synced is there, the next time it opens.
func TestOpenCrashes(t *testing.T) {
	t.Parallel()
	type state struct {
		fs     *vfs.MemFS
		expect string // what must be there
	}
	for n := int64(1); ; n++ {
		rng := rand.New(rand.NewPCG(uint64(n), 0))
		fs := vfs.NewCrashableMem()
		var ios atomic.Int64
		var left []state
		var known atomic.Pointer[string] // what was acknowledged
		acknowledged := func(s string) { known.Store(&s) }
		acknowledged("")
		faulty := errorfs.Wrap(fs, errorfs.InjectorFunc(func(errorfs.Op) error {
			if ios.Add(1) == n {
				expect := *known.Load()
				for _, percent := range []int{0, 50, 50, 50, 100} {
					cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}
					left = append(left, state{fs.CrashClone(cfg), expect})
				}
			}
			return nil
		}))
		for i := range 2 {
			db := openTest(t, faulty)
			if err := set(db, "ak", strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
			acknowledged(strconv.Itoa(i))
			closeTest(t, db)
		}
		if left == nil {
			t.Logf("%d operations", n)
			return
		}
		for i, s := range left {
			db, err := Open(t.Context(), "data", Options{FS: s.fs})
			if err != nil {
				t.Errorf("after a cut at operation %d, state %d: %v", n, i, err)
				continue
			}
			if got := get(t, db, "ak"); got < s.expect {
				t.Errorf("after a cut at operation %d, state %d: got %q, want %q", n, i, got, s.expect)
			}
			closeTest(t, db)
		}
	}
}
