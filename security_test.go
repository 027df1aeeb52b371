package micro_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each promise of docs/SECURITY.md names what tests it, and that is there.
func TestSecurityIsTested(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, promises, _ := strings.Cut(string(text), "## Promises\n")
	promises, _, found := strings.Cut(promises, "\n## ")
	if !found {
		t.Fatal("docs/SECURITY.md has no promises")
	}
	var tests strings.Builder
	err = filepath.WalkDir("backend", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		tests.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for promise := range strings.SplitSeq(promises, "\n- ") {
		if promise = strings.TrimSpace(promise); promise == "" {
			continue
		}
		names := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(promise, -1)
		if story := regexp.MustCompile("the story `([a-z_]+)`").FindStringSubmatch(promise); story != nil {
			if _, err := os.Stat(filepath.Join("testdata/script", story[1]+".txtar")); err != nil {
				t.Errorf("%.60s…: %v", promise, err)
			}
		} else if len(names) == 0 {
			t.Errorf("%.60s…: nothing tests it", promise)
		}
		for _, name := range names {
			if !strings.Contains(tests.String(), "func "+name+"(") {
				t.Errorf("%.60s…: there is no %s", promise, name)
			}
		}
	}
}
