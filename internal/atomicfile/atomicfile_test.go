package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/micro/micro/v3/internal/atomicfile"
)

func TestReplace(t *testing.T) {
	t.Parallel()
	errHalf := errors.New("half of it")
	for name, write := range map[string]func(path, content string) error{
		"Write": func(path, content string) error { return atomicfile.Write(path, []byte(content)) },
		"Cache": func(path, content string) error { return atomicfile.Cache(path, []byte(content)) },
		"Replace": func(path, content string) error {
			return atomicfile.Replace(path, func(w io.Writer) error {
				_, err := io.WriteString(w, content)
				return err
			})
		},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		for _, content := range []string{"one", "", "two and more"} {
			if err := write(path, content); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != content {
				t.Errorf("%s: %q, %v, want %q", name, got, err, content)
			}
		}
		if info, err := os.Stat(path); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		err := atomicfile.Replace(path, func(w io.Writer) error {
			_, _ = io.WriteString(w, "half")
			return errHalf
		})
		if got, _ := os.ReadFile(path); !errors.Is(err, errHalf) || string(got) != "two and more" {
			t.Errorf("%s, then an error: %q, %v", name, got, err)
		}
		if err := write(filepath.Join(dir, "none", "file"), "x"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s in a directory that is not there: %v", name, err)
		}
		if err := write(dir, "x"); err == nil {
			t.Errorf("%s replaced a directory", name)
		}
		for _, d := range []string{dir, filepath.Dir(dir)} {
			if left, _ := filepath.Glob(filepath.Join(d, ".*")); left != nil {
				t.Errorf("%s left %v", name, left)
			}
		}
	}
}
