package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each command of a guide is one that a story runs.
func TestGuidesAreRun(t *testing.T) {
	t.Parallel()
	stories := readAll(t, "../../testdata/script/*.txtar")
	commands := 0
	for line := range strings.Lines(readAll(t, "../../docs/guides/*.md")) {
		command, ok := strings.CutPrefix(line, "    micro ")
		if !ok || strings.Contains(command, "billing") { // which is a server elsewhere
			continue
		}
		commands++
		command = strings.TrimSpace(behind.ReplaceAllString(command, ""))
		run := regexp.MustCompile(`(?m)\bmicro ` + regexp.QuoteMeta(command) + `($|;| [|<>&])`)
		if !run.MatchString(stories) {
			t.Errorf("no story runs `micro %s`", command)
		}
	}
	if commands == 0 {
		t.Error("the guides have no commands")
	}
}

// behind is what a line of a guide has behind a command: a comment, or where its input
// comes from.
var behind = regexp.MustCompile(`( +# .*| <.*)`)

// readAll returns what is in files, without the quotes that guides and stories need
// other ones of.
func readAll(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(strings.NewReplacer("'", "", `"`, "").Replace(string(text)))
	}
	return all.String()
}
