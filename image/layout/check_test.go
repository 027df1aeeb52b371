package layout_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/micro/micro/v3/image/layout"
)

// check returns what a check of a directory tells.
func check(t *testing.T, dir string) (told []string) {
	t.Helper()
	_, _, err := layout.New(dir, "").Check(t.Context(), func(file string, err error) {
		told = append(told, fmt.Sprintf("%s: %v", filepath.ToSlash(file), err))
	})
	if err != nil {
		t.Fatal(err)
	}
	return told
}

// Whatever happens to a file of a layout, a check names it; a copy is as good as what it
// was made of, and neither changes with the other.
func TestCheckAndCopy(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "one")
	l := layout.New(dir, "")
	if err := l.CopyTo(dir + ".none"); err != nil {
		t.Errorf("a copy of what is not there: %v", err)
	}
	desc := store(t, l, "latest", v1.Platform{OS: "linux", Architecture: "amd64"}, blob{types.OCILayer, gzipped(t, "layer"), "layer"})
	if told := check(t, dir); told != nil {
		t.Errorf("a whole layout: %q", told)
	}
	var files []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && e.Name() != "oci-layout" {
			files = append(files, strings.TrimPrefix(path, dir+string(filepath.Separator)))
		}
		return err
	})
	if err != nil || len(files) != 4 {
		t.Fatalf("files %q, %v, want a layer, a configuration, a manifest and an index", files, err)
	}
	for i, file := range files {
		for how, damage := range map[string]func(string) error{
			"cut off": func(p string) error { return os.Truncate(p, 10) },
			"emptied": func(p string) error { return os.Truncate(p, 0) },
			"a bit flipped": func(p string) error {
				b, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				b[len(b)/2] ^= 1
				return os.WriteFile(p, b, 0o600)
			},
			"removed": os.Remove,
		} {
			copied := fmt.Sprintf("%s.%d.%s", dir, i, how)
			if err := l.CopyTo(copied); err != nil {
				t.Fatal(err)
			}
			if told := check(t, copied); told != nil {
				t.Fatalf("a copy: %q", told)
			}
			path := filepath.Join(copied, file)
			b, err := os.ReadFile(path)
			if err == nil {
				err = errors.Join(os.Remove(path), os.WriteFile(path, b, 0o600)) // one of its own
			}
			if err := errors.Join(err, damage(path)); err != nil {
				t.Fatal(err)
			}
			told := strings.Join(check(t, copied), "\n")
			named := strings.Contains(told, filepath.ToSlash(file)) || strings.Contains(told, desc.Digest.String())
			if file == "index.json" && how == "removed" {
				named = true // without an index there are no manifests, and nothing is missing
			}
			if !named {
				t.Errorf("%s %s: %q does not tell it", file, how, told)
			}
		}
	}
	if told := check(t, dir); told != nil {
		t.Errorf("after its copies were damaged: %q", told)
	}
}
