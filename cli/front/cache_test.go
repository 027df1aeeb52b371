package front

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/envs"
)

// far is an environment.
func far() envs.Env { return envs.Env{Name: "far", Address: "far.example.com"} }

// otherTable returns a table of another schema than that of features.
func otherTable(t *testing.T) []byte {
	t.Helper()
	return compiled(t, parseSchema(t, &descriptorpb.FileDescriptorProto{Name: new("other.proto"), Syntax: new("proto3")}))
}

func TestCache(t *testing.T) {
	t.Parallel()
	c := Cache{Dir: filepath.Join(t.TempDir(), "not", "there")}
	if _, ok := c.Lookup(far(), "micro", "features"); ok {
		t.Fatal("an empty cache knows a service")
	}
	schema := features(t)
	put, err := c.Put(far(), "micro", "features", compiled(t, schema))
	if err != nil {
		t.Fatal(err)
	}
	if put.Digest != schema.Digest() {
		t.Errorf("Put: digest %q, want that of the schema, %q", put.Digest, schema.Digest())
	}
	got, ok := c.Lookup(far(), "micro", "features")
	if !ok || got.Digest != schema.Digest() || got.Table.Source() != put.Table.Source() {
		t.Errorf("Lookup = %+v, %t", got, ok)
	}
	for what, e := range map[string]envs.Env{
		"another environment": {Name: "near", Address: far().Address},
		"another address":     {Name: far().Name, Address: "evil.example.com"},
	} {
		if _, ok := c.Lookup(e, "micro", "features"); ok {
			t.Errorf("%s knows the service", what)
		}
	}
	for _, place := range [][2]string{{"other", "features"}, {"micro", "other"}, {"", "features"}, {"micro", ""}, {"micro", "../micro/features"}, {"..", "features"}} {
		if _, ok := c.Lookup(far(), place[0], place[1]); ok {
			t.Errorf("%q in namespace %q is known", place[1], place[0])
		}
	}

	other, err := c.Put(far(), "micro", "features", otherTable(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := c.Lookup(far(), "micro", "features"); !ok || got.Digest != other.Digest {
		t.Errorf("Lookup after another Put = %+v, %t; want %s", got, ok, other.Digest)
	}
	c.Forget(far(), "micro", "features")
	if _, ok := c.Lookup(far(), "micro", "features"); ok {
		t.Error("a service that was forgotten is known")
	}
	c.Forget(far(), "micro", "features") // no trace of it
	c.Forget(far(), "../..", "..")
}

// A name that cannot be a file is not kept, and the schema is good nevertheless.
func TestCacheNames(t *testing.T) {
	t.Parallel()
	c := Cache{Dir: t.TempDir()}
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, ".hidden", "a\x00", "a\n", "naïve", strings.Repeat("a", 201), "C:x", "a b"} {
		for _, place := range [][2]string{{name, "features"}, {"micro", name}} {
			if entry, err := c.Put(far(), place[0], place[1], otherTable(t)); err != nil || entry.Table == nil {
				t.Errorf("Put(%q): %v", place, err)
			}
			if _, ok := c.Lookup(far(), place[0], place[1]); ok {
				t.Errorf("%q was kept", place)
			}
		}
	}
	if files, _ := os.ReadDir(c.Dir); len(files) != 0 {
		t.Errorf("the cache has %v", files)
	}
	for _, name := range []string{"a", "helloworld", "my-service_2.v1", strings.Repeat("a", 200)} {
		if _, err := c.Put(far(), name, name, otherTable(t)); err != nil {
			t.Error(err)
		}
		if _, ok := c.Lookup(far(), name, name); !ok {
			t.Errorf("%q was not kept", name)
		}
	}
}

// cacheFiles returns the files of a cache: that of the name and that of the table.
func cacheFiles(t *testing.T, c Cache) (name, table string) {
	t.Helper()
	err := filepath.WalkDir(c.Dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if strings.HasPrefix(p, filepath.Join(c.Dir, "names")) {
				name = p
			} else {
				table = p
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return name, table
}

// Whatever happened to its files, a cache knows the right schema or none, and a Put
// repairs it.
func TestCacheDamaged(t *testing.T) {
	t.Parallel()
	whole := compiled(t, features(t))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	digest := features(t).Digest()
	named := func(digest, table string) []byte { return fmt.Appendf(nil, `{"digest":%q,"table":%q}`, digest, table) }
	raw := sha256.Sum256(whole)
	sum := "sha256:" + hex.EncodeToString(raw[:])
	tests := []struct {
		name, file string // what is damaged: name or table
		content    []byte
	}{
		{"no table", "table", nil},
		{"empty table", "table", []byte{}},
		{"table cut off", "table", whole[:len(whole)-1]},
		{"half a table", "table", whole[:len(whole)/2]},
		{"a bit of the table", "table", flipped},
		{"a table of another version", "table", append([]byte("MICROTBL\xff"), whole[9:]...)},
		{"a table of another schema", "table", otherTable(t)},
		{"a foreign table", "table", []byte("SQLite format 3\x00")},
		{"no name", "name", nil},
		{"empty name", "name", []byte{}},
		{"no digest", "name", named("", sum)},
		{"the digest of another schema", "name", named(sum, sum)},
		{"no digest of the table", "name", named(digest, "")},
		{"a digest that is a path", "name", named(digest, "sha256:../"+sum[10:])},
		{"a digest in upper case", "name", named(digest, "sha256:"+strings.ToUpper(sum[7:]))},
		{"the digest of a table that is not there", "name", named(digest, "sha256:"+strings.Repeat("0", 64))},
		{"a name cut off", "name", named(digest, sum)[:40]},
		{"a name of an older version", "name", []byte(digest)},
		{"an origin without a service", "name", fmt.Appendf(nil, `{"digest":%q,"table":%q,"origin":{}}`, digest, sum)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Cache{Dir: t.TempDir()}
			if _, err := c.Put(far(), "micro", "features", whole); err != nil {
				t.Fatal(err)
			}
			name, table := cacheFiles(t, c)
			file := map[string]string{"name": name, "table": table}[tt.file]
			var err error
			if tt.content == nil {
				err = os.Remove(file)
			} else {
				err = os.WriteFile(file, tt.content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if entry, ok := c.Lookup(far(), "micro", "features"); ok {
				t.Errorf("Lookup = %+v", entry)
			}
			if _, err := c.Put(far(), "micro", "features", whole); err != nil {
				t.Fatal(err)
			}
			if entry, ok := c.Lookup(far(), "micro", "features"); !ok || entry.Digest != digest {
				t.Errorf("Lookup after another Put = %+v, %t", entry, ok)
			}
		})
	}
}

func TestCachePutDamaged(t *testing.T) {
	t.Parallel()
	c := Cache{Dir: t.TempDir()}
	if _, err := c.Put(far(), "micro", "features", []byte("no table")); err == nil {
		t.Error("Put took what is no table")
	}
	if files, _ := os.ReadDir(c.Dir); len(files) != 0 {
		t.Errorf("the cache has %v", files)
	}
}

// A cache that cannot be written is none.
func TestCacheUnwritable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "cache"), "\x00"} {
		c := Cache{Dir: dir}
		entry, err := c.Put(far(), "micro", "features", otherTable(t))
		if err != nil || entry.Table == nil {
			t.Errorf("Put into %q: %v", dir, err)
		}
		if _, ok := c.Lookup(far(), "micro", "features"); ok {
			t.Errorf("%q keeps something", dir)
		}
		c.Forget(far(), "micro", "features")
	}
}

func TestCacheConcurrent(t *testing.T) {
	t.Parallel()
	c := Cache{Dir: t.TempDir()}
	tables := [][]byte{compiled(t, features(t)), otherTable(t)}
	var digests []string
	for _, table := range tables {
		entry, err := c.Put(far(), "micro", "features", table)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, entry.Digest)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 20 {
				if _, err := c.Put(far(), "micro", "features", tables[i%2]); err != nil {
					t.Error(err)
				}
				if entry, ok := c.Lookup(far(), "micro", "features"); !ok || !slices.Contains(digests, entry.Digest) {
					t.Errorf("Lookup = %+v, %t", entry, ok)
				}
			}
		})
	}
	group.Wait()
	if leftovers, _ := filepath.Glob(filepath.Join(c.Dir, "*", "*", ".*-*")); leftovers != nil {
		t.Errorf("there are %v", leftovers)
	}
}
