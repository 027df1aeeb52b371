package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/micro/micro/v3/backend"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/tables"
	"github.com/micro/micro/v3/image/layout"
	"github.com/micro/micro/v3/internal/crashtest"
)

// TestDamage changes files of the data directory of a server: flips a bit, cuts a file
// off, fills a page with zeros. Whatever a server then shows is what was written, or an
// error; and what it does not show, `micro server check` has found and named. What the
// check does not find has done no harm.
func TestDamage(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]bool{"closed": false, "crashed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trials := 150
			switch {
			case crashtest.Soak():
				trials = 10_000
			case crashtest.Race:
				trials = 30
			}
			rng := rand.New(rand.NewPCG(crashtest.Seed(t), 0))
			root := filepath.Join(t.TempDir(), "whole")
			image := written(t, root, crash)
			if told := checkDir(t, root); len(told) > 0 {
				t.Fatalf("nothing is damaged, and a check tells %q", told)
			}
			if err := readAll(t, copied(t, root, ""), image); err != nil {
				t.Fatalf("nothing is damaged: %v", err)
			}
			files, counts := list(t, root), map[string]int{}
			for i := range trials {
				file := files[i%len(files)]
				dir := copied(t, root, file)
				how, changed := damage(t, filepath.Join(dir, file), rng)
				if !changed {
					continue
				}
				kind := strings.Trim(filepath.Base(file), "-0123456789.abcdef")
				told := checkDir(t, dir)
				err := readAll(t, dir, image)
				trial := fmt.Sprintf("MICRO_SEED=%d, trial %d: %s, %s", crashtest.Seed(t), i, file, how)
				switch {
				case errors.Is(err, errWrong):
					t.Errorf("%s: %v", trial, err)
				case len(told) > 0 && !named(told, file):
					t.Errorf("%s: a check does not name it: %q", trial, told)
				case len(told) == 0 && err != nil:
					t.Errorf("%s: a check finds nothing, and then %v", trial, err)
				case len(told) > 0:
					counts[kind+" found"]++
				default:
					counts[kind+" harmless"]++
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			t.Log(counts)
			if counts["sst found"] == 0 || counts["MANIFEST found"] == 0 || crash && counts["log found"] == 0 {
				t.Errorf("of some kind of file nothing was found: %v", counts)
			}
		})
	}
}

// TestDamageNoticed changes a value where the checksums are changed as well: if nothing
// is noticed then, TestDamage shows nothing.
func TestDamageNoticed(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "whole")
	image := written(t, root, false)
	s := openDir(t, root)
	if err := (tablesWorker{}).step(t.Context(), s, 1); err != nil {
		t.Fatal(err)
	}
	_, err := s.tables.Batch(t.Context(), record(3), []tables.Op{{Kind: tables.Put, Record: tables.Record{Key: "k", Value: []byte("wrong")}}})
	if err := errors.Join(err, s.close()); err != nil {
		t.Fatal(err)
	}
	if err := readAll(t, root, image); !errors.Is(err, errWrong) {
		t.Errorf("a value that was not written: %v", err)
	}
}

var errWrong = errors.New("what is shown was not written")

// What written writes, by numbers.
const (
	manyRecords = 60
	manyEvents  = 60
	manyBlobs   = 5
)

func record(i int) tables.Table { return tables.Table{Namespace: acme, Name: fmt.Sprintf("t%d", i)} }

func recordValue(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%d ", i), 300) }

func blobValue(i int) []byte { return blobsWorker{}.content(int64(i*7 + 3)) }

func topic() events.Topic { return events.Topic{Namespace: acme, Name: "orders"} }

// written writes something of everything to a data directory, and returns the image that
// is in it. A directory that was crashed is as a server leaves it that was killed.
func written(t *testing.T, dir string, crash bool) (image string) {
	t.Helper()
	ctx, from := t.Context(), dir
	if crash {
		from = dir + ".live"
	}
	for _, d := range []string{dir, from} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(from, "master.key"), masterKey(), 0o600); err != nil {
		t.Fatal(err)
	}
	image = writeImage(t, filepath.Join(from, "images", acme, "svc"))
	s := openDir(t, from)
	_, err := s.auth.CreateNamespace(ctx, acme, "alice", "correct horse")
	for i := range manyRecords {
		if err == nil {
			_, err = s.tables.Batch(ctx, record(i), []tables.Op{{Kind: tables.Put, Record: tables.Record{Key: "k", Value: recordValue(i)}}})
		}
	}
	for i := range manyEvents {
		if err == nil {
			_, err = s.events.Append(ctx, topic(), []events.Event{{Payload: recordValue(i)}})
		}
	}
	for i := range manyBlobs {
		var u *blobs.Upload
		if err == nil {
			u, err = s.blobs.Create(ctx, acme, blobs.Info{Name: fmt.Sprintf("b%d", i)}, nil)
		}
		if err == nil {
			err = u.Write(ctx, blobValue(i))
		}
		if err == nil {
			_, err = u.Commit(ctx, -1, nil)
		}
	}
	if err == nil {
		_, err = s.config.Set(ctx, acme, "a", []byte(`{"b": 1, "key": {"$secret": "s3cr3t"}}`), config.SetOptions{By: "test"})
	}
	if err == nil {
		service := fmt.Sprintf(`{"number": 1, "spec": {"image": %q, "instances": 1}}`, acme+"/svc@"+image)
		_, err = s.store.Txn(ctx, store.Txn{Do: []store.Op{store.Put(acme+"/deploy/service/svc", []byte(service))}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if crash {
		// What has been durable for a second is what damage can be told from a crash in.
		<-time.After(1200 * time.Millisecond)
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	return image
}

func openDir(t *testing.T, dir string) *stack {
	t.Helper()
	s, err := openDataDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openDataDir(ctx context.Context, dir string) (*stack, error) {
	return openStackIn(ctx, filepath.Join(dir, "store"), embedded.Options{MemTable: 64 << 10, Fatal: func(error) {}})
}

// writeImage puts an image into a layout and returns its digest.
func writeImage(t *testing.T, dir string) string {
	t.Helper()
	l := layout.New(dir, "")
	content := bytes.Repeat([]byte("layer "), 3000)
	diff := layout.Digest(content)
	file, err := json.Marshal(v1.ConfigFile{
		OS: runtime.GOOS, Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diff}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{content, file} {
		if err := l.AddBlob(layout.Digest(b), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(file)), Digest: layout.Digest(file)},
		Layers: []v1.Descriptor{{MediaType: types.OCIUncompressedLayer, Size: int64(len(content)), Digest: diff}},
	})
	if err != nil {
		t.Fatal(err)
	}
	desc, err := l.PutManifest(m, types.OCIManifestSchema1, "latest")
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest.String()
}

// list returns the files below a directory that can be damaged.
func list(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.EqualFold(e.Name(), "lock") {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		files = append(files, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

// copied returns a copy of a data directory, which shares no file with it that a server
// changes, nor the one that will be damaged.
func copied(t *testing.T, dir, damaged string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		target := filepath.Join(to, rel)
		if err != nil || e.IsDir() {
			return errors.Join(err, os.MkdirAll(target, 0o700))
		}
		if rel != damaged && (strings.HasSuffix(rel, ".sst") || strings.HasPrefix(rel, "images")) {
			return os.Link(path, target)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// damage changes a file, and reports how, and whether it is another one now.
func damage(t *testing.T, path string, rng *rand.Rand) (how string, changed bool) {
	t.Helper()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(old) == 0 {
		return "", false
	}
	data, at := bytes.Clone(old), rng.IntN(len(old))
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
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return how, !bytes.Equal(old, data)
}

// checkDir returns what a check tells of a data directory.
func checkDir(t *testing.T, dir string) (told []string) {
	t.Helper()
	report, err := backend.Check(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		told = append(told, p.File+": "+p.What)
	}
	return told
}

// named reports whether something that was told names a file. Of a log Pebble knows the
// number, and a damaged key or index is told by what needs it.
func named(told []string, file string) bool {
	base := filepath.Base(file)
	return slices.ContainsFunc(told, func(s string) bool {
		switch {
		case strings.Contains(s, base):
			return true
		case strings.HasSuffix(base, ".log"):
			return strings.Contains(s, strings.TrimSuffix(base, ".log")) || strings.Contains(s, "*.log")
		case base == "master.key":
			return strings.Contains(s, "master key")
		case base == "index.json" || base == "oci-layout":
			return strings.HasPrefix(s, "images")
		default:
			return strings.HasPrefix(base, "marker.") && strings.HasPrefix(s, "store")
		}
	})
}

// readAll reads everything as a server does and returns the first error, errWrong when
// something is not what was written.
func readAll(t *testing.T, dir, image string) error {
	t.Helper()
	ctx := t.Context()
	s, err := openDataDir(ctx, dir)
	if err != nil {
		return err
	}
	var failed []error
	wrong := func(what string, got []byte) error { return fmt.Errorf("%w: %s is %.20q", errWrong, what, got) }
	for i := range manyRecords {
		rec, err := s.tables.Get(ctx, record(i), "k")
		switch {
		case errors.Is(err, tables.ErrNotFound):
			failed = append(failed, wrong(fmt.Sprintf("record %d", i), nil))
		case err != nil:
			failed = append(failed, err)
		case !bytes.Equal(rec.Value, recordValue(i)):
			failed = append(failed, wrong(fmt.Sprintf("record %d", i), rec.Value))
		}
	}
	for i := range manyBlobs {
		got, err := readBlob(ctx, s, fmt.Sprintf("b%d", i))
		switch {
		case errors.Is(err, blobs.ErrNotFound):
			failed = append(failed, wrong(fmt.Sprintf("blob %d", i), nil))
		case err != nil:
			failed = append(failed, err)
		case !bytes.Equal(got, blobValue(i)):
			failed = append(failed, wrong(fmt.Sprintf("blob %d", i), got))
		}
	}
	failed = append(failed, readEvents(ctx, s, wrong), readConfig(ctx, s, dir, wrong), readImage(dir, image))
	return errors.Join(append(failed, s.close())...)
}

func readBlob(ctx context.Context, s *stack, name string) (all []byte, err error) {
	r, err := s.blobs.Read(ctx, acme, name, 0, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		p, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p...)
	}
}

func readEvents(ctx context.Context, s *stack, wrong func(string, []byte) error) error {
	n := 0
	for {
		list, err := s.events.Read(ctx, topic(), events.Range{From: int64(n + 1)})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			if n++; !bytes.Equal(e.Payload, recordValue(n-1)) {
				return wrong(fmt.Sprintf("event %d", n), e.Payload)
			}
		}
	}
	if n != manyEvents {
		return wrong(fmt.Sprintf("the last of %d events", manyEvents), fmt.Append(nil, n))
	}
	return nil
}

// readConfig reads the configuration with the key that is in the directory.
func readConfig(ctx context.Context, s *stack, dir string, wrong func(string, []byte) error) error {
	key, err := os.ReadFile(filepath.Join(dir, "master.key"))
	if err != nil {
		return err
	}
	c, err := config.New(config.Options{Store: s.store, MasterKey: key})
	if err != nil {
		return err
	}
	v, err := c.Get(ctx, acme, "a", config.Reveal)
	if errors.Is(err, config.ErrNotFound) || err == nil && string(v.JSON) != `{"b":1,"key":"s3cr3t"}` {
		err = wrong("the configuration", v.JSON)
	}
	return errors.Join(err, c.Close())
}

// readImage reads the image that is needed.
func readImage(dir, digest string) error {
	image, err := layout.New(filepath.Join(dir, "images", acme, "svc"), "").Image(digest, runtime.GOOS+"/"+runtime.GOARCH, 1<<20)
	if err != nil {
		return err
	}
	r, err := image.Layers[0].Open()
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r) // its digest is compared
	return errors.Join(err, r.Close())
}
