package image

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/google/go-cmp/cmp"
)

// objects makes objects that no honest git would make.
type objects struct {
	t *testing.T
	*memory.Storage
}

func (o objects) add(kind plumbing.ObjectType, content []byte) plumbing.Hash {
	o.t.Helper()
	e := o.NewEncodedObject()
	e.SetType(kind)
	w, err := e.Writer()
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		o.t.Fatal(err)
	}
	h, err := o.SetEncodedObject(e)
	if err != nil {
		o.t.Fatal(err)
	}
	return h
}

func (o objects) blob(content string) plumbing.Hash {
	return o.add(plumbing.BlobObject, []byte(content))
}

// entry is an entry of a tree: a mode, a name and what it leads to.
type entry struct {
	mode, name string
	hash       plumbing.Hash
}

func (o objects) tree(entries ...entry) plumbing.Hash {
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%s %s\x00%s", e.mode, e.name, e.hash[:])
	}
	return o.add(plumbing.TreeObject, b.Bytes())
}

// write writes a tree and returns the files that there are then, with what they
// hold or where they lead to.
func (o objects) write(ctx context.Context, tree plumbing.Hash, l limits) (map[string]string, []string, error) {
	o.t.Helper()
	dir := filepath.Join(o.t.TempDir(), "root")
	if err := os.Mkdir(dir, 0o755); err != nil {
		o.t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		o.t.Fatal(err)
	}
	defer root.Close()
	c := &checkout{objects: o, root: root, left: l}
	err = c.write(ctx, tree)
	got := map[string]string{}
	if werr := filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.Type() == fs.ModeSymlink {
			target, err := os.Readlink(path)
			got[rel] = "-> " + target
			return err
		}
		data, err := os.ReadFile(path)
		got[rel] = string(data)
		return err
	}); werr != nil {
		o.t.Fatal(werr)
	}
	return got, c.skipped, err
}

var roomy = limits{bytes: 1 << 20, file: 1 << 20, files: 1000}

func TestCheckoutNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", ".git", ".GIT", "../x", "a/b", "/etc", `..\x`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := objects{t, memory.NewStorage()}
			for _, tree := range []plumbing.Hash{
				o.tree(entry{"100644", name, o.blob("x")}),
				o.tree(entry{"40000", "sub", o.tree(entry{"40000", name, o.tree(entry{"100644", "x", o.blob("x")})})}),
			} {
				if got, _, err := o.write(t.Context(), tree, roomy); err == nil || len(got) != 0 {
					t.Errorf("got %v, %v, want an error", got, err)
				}
			}
		})
	}
}

func TestCheckoutLinks(t *testing.T) {
	t.Parallel()
	o := objects{t, memory.NewStorage()}
	link := func(name, target string) entry { return entry{"120000", name, o.blob(target)} }
	got, skipped, err := o.write(t.Context(), o.tree(
		link("absolute", "/etc/passwd"),
		link("above", "../outside"),
		entry{"100644", "file", o.blob("content")},
		link("inside", "sub/file"),
		link("loop", "pool"),
		link("nowhere", "none"),
		link("pool", "loop"),
		entry{"40000", "sub", o.tree(
			entry{"100755", "file", o.blob("program")},
			link("root", ".."),
			link("up", "../file"),
		)},
		// It lies inside when one reads it, and outside when one follows it.
		link("through", "sub/root/../outside"),
		entry{"160000", "module", plumbing.NewHash("01")},
	), roomy)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"file": "content", "sub/file": "program",
		"inside": "-> sub/file", "nowhere": "-> none", "pool": "-> loop", "sub/root": "-> ..", "sub/up": "-> ../file",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"absolute", "above", "loop", "through", "module"} {
		if !slices.ContainsFunc(skipped, func(s string) bool { return strings.HasPrefix(s, name+" is ") }) {
			t.Errorf("nobody was told that %s is left out: %q", name, skipped)
		}
	}
}

func TestCheckoutLimits(t *testing.T) {
	t.Parallel()
	o := objects{t, memory.NewStorage()}
	// Ten trees of ten trees of ten trees: 10^12 files of one byte.
	bomb := o.tree(entry{"100644", "f", o.blob("x")})
	deep := bomb
	for range 12 {
		var entries []entry
		for i := range 10 {
			entries = append(entries, entry{"40000", fmt.Sprint("d", i), bomb})
		}
		bomb = o.tree(entries...)
	}
	for range 100 {
		deep = o.tree(entry{"40000", "d", deep})
	}
	var many []entry
	for i := range 20 {
		many = append(many, entry{"100644", strconv.Itoa(i), o.blob(strings.Repeat("x", 100))})
	}
	for _, test := range []struct {
		name   string
		tree   plumbing.Hash
		limits limits
		want   error
	}{
		{"trees of trees", bomb, roomy, ErrTooLarge},
		{"deep", deep, roomy, ErrTooLarge},
		{"large file", o.tree(entry{"100644", "x", o.blob("12345")}), limits{bytes: 100, file: 4, files: 9}, ErrTooLarge},
		{"large files", o.tree(many...), limits{bytes: 1000, file: 1000, files: 99}, ErrTooLarge},
		{"long link", o.tree(entry{"120000", "x", o.blob(strings.Repeat("x", 5000))}), roomy, ErrTooLarge},
		{"same name twice", o.tree(many[0], many[0]), roomy, fs.ErrExist},
		{"file and link", o.tree(entry{"120000", "x", o.blob("..")}, entry{"40000", "x", o.tree(many[0])}), roomy, fs.ErrExist},
		{"no such blob", o.tree(entry{"100644", "x", plumbing.NewHash("01")}), roomy, plumbing.ErrObjectNotFound},
		{"no such tree", o.tree(entry{"40000", "x", plumbing.NewHash("01")}), roomy, plumbing.ErrObjectNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := objects{t, o.Storage}
			if _, _, err := o.write(t.Context(), test.tree, test.limits); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := o.write(ctx, bomb, roomy); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// packObject is an object of a pack. Its length can be a lie.
type packObject struct {
	kind    plumbing.ObjectType
	length  int
	base    plumbing.Hash // of a delta
	content []byte
}

func pack(t *testing.T, list ...packObject) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("PACK")
	_ = binary.Write(&b, binary.BigEndian, []uint32{2, uint32(len(list))})
	for _, o := range list {
		first, rest := byte(o.kind)<<4|byte(o.length&15), o.length>>4
		for rest > 0 {
			b.WriteByte(first | 0x80)
			first, rest = byte(rest&0x7f), rest>>7
		}
		b.WriteByte(first)
		if o.kind == plumbing.REFDeltaObject {
			b.Write(o.base[:])
		}
		z := zlib.NewWriter(&b)
		if _, err := z.Write(o.content); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sum := plumbing.NewHasher(plumbing.BlobObject, 0) // any 20 bytes will do
	h := sum.Sum()
	b.Write(h[:])
	return b.Bytes()
}

func TestScan(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 4<<20)
	// A delta of some bytes that makes 2 GiB of its base.
	delta, err := hex.DecodeString("0180808080088080")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		pack []byte
		want error // nil: none; errAny: any
	}{
		{"small", pack(t, packObject{kind: plumbing.BlobObject, length: 1, content: []byte("x")}), nil},
		{"large blob", pack(t, packObject{kind: plumbing.BlobObject, length: len(zeros), content: zeros}), ErrTooLarge},
		{"large blob that says that it is small", pack(t, packObject{kind: plumbing.BlobObject, length: 1, content: zeros}), errAny},
		{"10 GB of zeros", pack(t, packObject{kind: plumbing.BlobObject, length: 10 << 30, content: zeros}), ErrTooLarge},
		{"large result of a delta", pack(t, packObject{kind: plumbing.REFDeltaObject, length: len(delta), content: delta}), ErrTooLarge},
		{"cut", pack(t, packObject{kind: plumbing.BlobObject, length: len(zeros), content: zeros})[:30], errAny},
		{"no pack", []byte("hello"), errAny},
		{"empty", nil, errAny},
		{"more objects than there are", []byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"), errAny},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := scan(t.Context(), bytes.NewReader(test.pack), 1<<20)
			if test.want == errAny && err != nil { //nolint:errorlint // a mark in the table
				return
			}
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

var errAny = errors.New("any error")

func FuzzScan(f *testing.F) {
	t := new(testing.T)
	f.Add(pack(t, packObject{kind: plumbing.BlobObject, length: 1, content: []byte("x")}))
	f.Add(pack(t, packObject{kind: plumbing.REFDeltaObject, length: 4, content: []byte{1, 1, 1, 'x'}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := scan(t.Context(), bytes.NewReader(data), 1<<10); err != nil {
			return
		}
		// What passes is read without harm, if with an error.
		dir := t.TempDir()
		s, err := unpack(t.Context(), bytes.NewReader(data), dir, limits{bytes: 1 << 20, file: 1 << 10, files: 10}, func(int64) {})
		if err == nil {
			_ = s.Close()
		}
	})
}
