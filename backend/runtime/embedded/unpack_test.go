package embedded

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/runtimetest"
)

// Entries of layers, in short.

func file(name, content string) runtimetest.File {
	return runtimetest.File{Header: tar.Header{Name: name, Mode: 0o644}, Content: []byte(content)}
}

func folder(name string) runtimetest.File {
	return runtimetest.File{Header: tar.Header{Name: name + "/", Typeflag: tar.TypeDir}}
}

func symlink(name, target string) runtimetest.File {
	return runtimetest.File{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}}
}

func hardlink(name, target string) runtimetest.File {
	return runtimetest.File{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}}
}

func special(name string, kind byte) runtimetest.File {
	return runtimetest.File{Header: tar.Header{Name: name, Typeflag: kind}}
}

type layer = []runtimetest.File

// unpackAll unpacks layers into a folder of a folder, and returns what is in the
// outer one then: contents of files, targets of links, "dir".
func unpackAll(t *testing.T, l limits, layers ...layer) (map[string]string, error) {
	t.Helper()
	outer := t.TempDir()
	if err := os.WriteFile(filepath.Join(outer, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(outer, "root")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(inner)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	u := &unpacker{root: root, limits: l}
	for _, files := range layers {
		r, err := runtimetest.Layer(t, files...)()
		if err != nil {
			t.Fatal(err)
		}
		if err := u.layer(t.Context(), r); err != nil {
			return tree(t, outer), err
		}
	}
	return tree(t, outer), nil
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = strings.TrimPrefix(filepath.ToSlash(rel), "root/")
		switch {
		case e.IsDir():
			found[rel] = "dir"
		case e.Type() == fs.ModeSymlink:
			target, err := os.Readlink(name)
			found[rel] = "-> " + target
			return err
		default:
			text, err := os.ReadFile(name)
			found[rel] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		layers []layer
		want   map[string]string
	}{
		{"files", []layer{{folder("a"), file("a/b", "1"), file("./c", "2"), file("/d", "3")}}, map[string]string{
			"a": "dir", "a/b": "1", "c": "2", "d": "3",
		}},
		{"missing folders", []layer{{file("a/b/c", "1")}}, map[string]string{"a": "dir", "a/b": "dir", "a/b/c": "1"}},
		{"later layers win", []layer{{file("a", "1"), file("b", "1")}, {file("a", "2")}}, map[string]string{"a": "2", "b": "1"}},
		{"file in place of a folder", []layer{{file("a/b", "1")}, {file("a", "2")}}, map[string]string{"a": "2"}},
		{"folder in place of a file", []layer{{file("a", "1")}, {folder("a"), file("a/b", "2")}}, map[string]string{"a": "dir", "a/b": "2"}},
		{"folder stays", []layer{{file("a/b", "1")}, {folder("a")}}, map[string]string{"a": "dir", "a/b": "1"}},
		{"file in place of a link does not follow it", []layer{{file("x", "1"), symlink("a", "x")}, {file("a", "2")}}, map[string]string{"a": "2", "x": "1"}},
		{"through a link inside", []layer{{folder("usr/bin"), symlink("bin", "usr/bin")}, {file("bin/sh", "1")}}, map[string]string{
			"usr": "dir", "usr/bin": "dir", "bin": "-> usr/bin", "usr/bin/sh": "1",
		}},
		{"through an absolute link", []layer{{folder("usr/bin"), symlink("bin", "/usr/bin")}, {file("bin/sh", "1")}}, map[string]string{
			"usr": "dir", "usr/bin": "dir", "bin": "-> usr/bin", "usr/bin/sh": "1",
		}},
		{"absolute link in a folder", []layer{{symlink("etc/a/b", "/secret")}}, map[string]string{
			"etc": "dir", "etc/a": "dir", "etc/a/b": "-> ../../secret",
		}},
		{"link that leads upward", []layer{{symlink("a", "../secret"), symlink("b/c", "../../../../etc/passwd")}}, map[string]string{
			"a": "-> secret", "b": "dir", "b/c": "-> ../etc/passwd",
		}},
		{"link to the root", []layer{{symlink("a/b", "/")}}, map[string]string{"a": "dir", "a/b": "-> .."}},
		{"link to nothing", []layer{{symlink("a", "none/x")}}, map[string]string{"a": "-> none/x"}},
		{"hard link", []layer{{file("a", "1")}, {hardlink("b/c", "a"), hardlink("d", "/a")}}, map[string]string{
			"a": "1", "b": "dir", "b/c": "1", "d": "1",
		}},
		{"written hard link leaves the other", []layer{{file("a", "1"), hardlink("b", "a")}, {file("b", "2")}}, map[string]string{"a": "1", "b": "2"}},
		{"devices are left out", []layer{{special("null", tar.TypeChar), special("sda", tar.TypeBlock), special("pipe", tar.TypeFifo), file("a", "1")}}, map[string]string{"a": "1"}},
		{"whiteout", []layer{{file("a/b", "1"), file("a/c", "1")}, {file("a/.wh.b", "")}}, map[string]string{"a": "dir", "a/c": "1"}},
		{"whiteout of a folder", []layer{{file("a/b/c", "1"), file("d", "1")}, {file(".wh.a", "")}}, map[string]string{"d": "1"}},
		{"whiteout of a link", []layer{{file("a", "1"), symlink("b", "a")}, {file(".wh.b", "")}}, map[string]string{"a": "1"}},
		{"whiteout of nothing", []layer{{file(".wh.a", "")}}, map[string]string{}},
		{"whiteout spares its own layer", []layer{{file("a/b", "1"), file("a/c", "1")}, {file("a/b", "2"), file(".wh.a", "")}}, map[string]string{"a": "dir", "a/b": "2"}},
		{"opaque", []layer{{file("a/b", "1"), file("a/c/d", "1")}, {file("a/x", "2"), file("a/.wh..wh..opq", ""), file("a/y", "2")}}, map[string]string{
			"a": "dir", "a/x": "2", "a/y": "2",
		}},
		{"opaque root", []layer{{file("a/b", "1"), file("c", "1")}, {file(".wh..wh..opq", ""), file("d", "2")}}, map[string]string{"d": "2"}},
		{"a builder's own whiteouts", []layer{{file("a", "1")}, {file(".wh..wh.aufs", "")}}, map[string]string{"a": "1"}},
		{"strange names", []layer{{file("a\nb", "1"), file("ä \xff", "2"), file("...", "3"), file("-rf", "4")}}, map[string]string{
			"a\nb": "1", "ä \xff": "2", "...": "3", "-rf": "4",
		}},
		{"root itself", []layer{{folder("."), file("a", "1")}}, map[string]string{"a": "1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := unpackAll(t, defaultLimits, tt.layers...)
			if err != nil {
				t.Fatalf("unpack: %v", err)
			}
			tt.want["secret"], tt.want["root"] = "secret", "dir"
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	small := limits{entries: 10, bytes: 1000, names: 500, path: 100, component: 50, depth: 5, trailer: 100}
	many := make(layer, 11)
	for i := range many {
		many[i] = file(string(rune('a'+i)), "")
	}
	long := make(layer, 6)
	for i := range long {
		long[i] = file(strings.Repeat("x", 45)+"/"+strings.Repeat("y", 45)+"/"+string(rune('a'+i)), "")
	}
	for _, tt := range []struct {
		name   string
		layers []layer
	}{
		{"upward", []layer{{file("../secret", "x")}}},
		{"upward inside", []layer{{file("a/../../secret", "x")}}},
		{"upward and back", []layer{{file("a/../b", "x")}}},
		{"absolute and upward", []layer{{file("/../secret", "x")}}},
		{"whiteout upward", []layer{{file("../.wh.secret", "")}}},
		{"whiteout of itself", []layer{{file("a/.wh..", "")}}},
		{"whiteout of the parent", []layer{{file("a/.wh...", "")}}},
		{"whiteout of no name", []layer{{file("a/.wh.", "")}}},
		{"hard link upward", []layer{{hardlink("a", "../secret")}}},
		{"hard link to nothing", []layer{{hardlink("a", "none")}}},
		{"hard link to a folder", []layer{{folder("a"), hardlink("b", "a")}}},
		{"hard link to itself", []layer{{file("a", "1"), hardlink("a", "a")}}},
		{"through a link to a file", []layer{{file("a", "1"), symlink("b", "a"), file("b/c", "x")}}},
		{"through a loop", []layer{{symlink("a", "b"), symlink("b", "a"), file("a/c", "x")}}},
		{"through a link that climbs in steps", []layer{{folder("a/b"), symlink("a/b/up", "../.."), symlink("c", "a/b/up/.."), file("c/secret", "x")}}},
		{"below a file", []layer{{file("a", "1"), file("a/b", "2")}}},
		{"link without a target", []layer{{symlink("a", "")}}},
		{"unknown kind", []layer{{special("a", 'Z')}}},
		{"too many", []layer{many}},
		{"too many in all layers", []layer{many[:6], many[5:]}},
		{"too large", []layer{{file("a", strings.Repeat("x", 600)), file("b", strings.Repeat("x", 600))}}},
		{"too deep", []layer{{file("1/2/3/4/5/6", "x")}}},
		{"long name", []layer{{file(strings.Repeat("x", 51), "x")}}},
		{"long path", []layer{{file(strings.Repeat("x/", 51)+"x", "x")}}},
		{"long names together", []layer{long[:3], long[3:]}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := unpackAll(t, small, tt.layers...)
			if !errors.Is(err, runtime.ErrImage) {
				t.Errorf("unpack: got error %v, want %v", err, runtime.ErrImage)
			}
			if got["secret"] != "secret" {
				t.Errorf("the file outside is %q now", got["secret"])
			}
			if t.Failed() {
				t.Logf("there is: %q", got)
			}
		})
	}
}

// TestUnpackBomb checks that what only claims to be large costs nothing.
func TestUnpackBomb(t *testing.T) {
	t.Parallel()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "a", Size: 10 << 30, Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	u := &unpacker{root: root, limits: defaultLimits}
	if err := u.layer(t.Context(), &archive); !errors.Is(err, runtime.ErrImage) {
		t.Errorf("unpack: got error %v, want %v", err, runtime.ErrImage)
	}
	if _, err := root.Stat("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
}

// TestUnpackBroken checks what is not the image's fault.
func TestUnpackBroken(t *testing.T) {
	t.Parallel()
	r, err := runtimetest.Layer(t, file("a", strings.Repeat("x", 5000)))()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // a table's
		r    io.Reader
		want error
	}{
		{"cut off in a header", t.Context(), bytes.NewReader(whole[:100]), io.ErrUnexpectedEOF},
		{"cut off in a file", t.Context(), bytes.NewReader(whole[:1000]), io.ErrUnexpectedEOF},
		{"reader fails", t.Context(), io.MultiReader(bytes.NewReader(whole[:1000]), readFunc(func([]byte) (int, error) { return 0, broken })), broken},
		{"reader fails at its end", t.Context(), io.MultiReader(bytes.NewReader(whole), readFunc(func([]byte) (int, error) { return 0, broken })), broken},
		{"context ended", ended, bytes.NewReader(whole), context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root, err := os.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			u := &unpacker{root: root, limits: defaultLimits}
			err = u.layer(tt.ctx, tt.r)
			if !errors.Is(err, tt.want) || errors.Is(err, runtime.ErrImage) {
				t.Errorf("unpack: got error %v, want %v and not %v", err, tt.want, runtime.ErrImage)
			}
		})
	}
	endless := io.MultiReader(bytes.NewReader(whole), readFunc(func(b []byte) (int, error) { return len(b), nil }))
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	u := &unpacker{root: root, limits: defaultLimits}
	if err := u.layer(t.Context(), endless); !errors.Is(err, runtime.ErrImage) {
		t.Errorf("unpack without an end: got error %v, want %v", err, runtime.ErrImage)
	}
}

func FuzzUnpack(f *testing.F) {
	for _, files := range []layer{
		{folder("a"), file("a/b", "1"), symlink("c", "/a"), file("c/d", "2"), hardlink("e", "a/b")},
		{file("a/.wh.b", ""), file("a/.wh..wh..opq", ""), special("x", tar.TypeChar)},
		{symlink("a", ".."), file("a/secret", "x"), file("../secret", "x")},
	} {
		r, err := runtimetest.Layer(f, files...)()
		if err != nil {
			f.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		outer := t.TempDir()
		if err := os.WriteFile(filepath.Join(outer, "secret"), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(outer, "root"), 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(filepath.Join(outer, "root"))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		u := &unpacker{root: root, limits: limits{entries: 100, bytes: 1 << 20, names: 10_000, path: 1000, component: 255, depth: 10, trailer: 1 << 20}}
		for _, text := range [][]byte{one, two} {
			_ = u.layer(t.Context(), bytes.NewReader(text)) // whatever it says
		}
		entries, err := os.ReadDir(outer)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(outer, "secret"))
		if err != nil || string(text) != "secret" || len(entries) != 2 {
			t.Errorf("outside: %v, %q, %v", err, text, entries)
		}
	})
}
