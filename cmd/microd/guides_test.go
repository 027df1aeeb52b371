package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each command of a guide is one that a story runs.
func TestGuidesAreRun(t *testing.T) {
	t.Parallel()
	stories, err := filepath.Glob("../../testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var run strings.Builder
	for _, name := range stories {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		run.Write(b)
	}
	for _, guide := range []string{"access", "events", "images", "running", "store"} {
		text, err := os.ReadFile(filepath.Join("../../docs/guides", guide+".md"))
		if err != nil {
			t.Fatal(err)
		}
		commands := 0
		for line := range strings.Lines(string(text)) {
			command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    micro ")
			if !ok {
				continue
			}
			commands++
			command, _, _ = strings.Cut(command, "  #")
			command, _, _ = strings.Cut(strings.TrimSpace(command), " <")
			if !slices.ContainsFunc([]string{"\n", " &", " >"}, func(end string) bool { return strings.Contains(run.String(), "micro "+command+end) }) {
				t.Errorf("%s.md: no story runs `micro %s`", guide, command)
			}
		}
		if commands == 0 {
			t.Errorf("%s.md has no commands", guide)
		}
	}
}
