package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/cli"
	"github.com/micro/micro/v3/cli/front"
)

// Three places know which words are commands, since none may see the others: the
// command tree, the front, which looks for a service of any other name, and the
// server, which lets no service have the name of one.
func TestCommandsAreKnownEverywhere(t *testing.T) {
	t.Parallel()
	commands := cli.Commands()
	for _, word := range commands {
		if !front.IsCommand(word) {
			t.Errorf("%q is a command, and cli/front looks for a service of that name", word)
		}
	}
	// What begins with '_' cannot name a service anyway.
	visible := slices.DeleteFunc(commands, func(word string) bool { return strings.HasPrefix(word, "_") })
	if diff := cmp.Diff(visible, server.Commands()); diff != "" {
		t.Errorf("commands of the tree (-) and names that backend/server reserves for them (+):\n%s", diff)
	}
	if diff := cmp.Diff(cli.Planned(), server.Planned()); diff != "" {
		t.Errorf("names that cli keeps for commands to come (-) and that backend/server does (+):\n%s", diff)
	}
	// The front knows no word that is none.
	for _, word := range []string{"helloworld", "micro", "microd", "", "-h", "Run", "runs", "config", "registry"} {
		if !slices.Contains(commands, word) && front.IsCommand(word) {
			t.Errorf("%q is no command, and cli/front takes it for one", word)
		}
	}
}

// Completion says of each command what its help says.
func TestSummariesAreTrue(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, s := range front.Summaries() {
		got[s.Name] = s.Short
	}
	if diff := cmp.Diff(cli.Summaries(), got); diff != "" {
		t.Errorf("commands of the tree (-) and those that cli/front completes (+):\n%s", diff)
	}
	if !slices.IsSortedFunc(front.Summaries(), func(a, b front.Summary) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("cli/front does not list commands by their names")
	}
}
