package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/micro/micro/v3/cli"
	"github.com/micro/micro/v3/cli/tui"
)

// notice begins each page.
const notice = "<!-- Made by internal/reference of the commands and the .proto files. -->\n\n"

// pages returns the pages of all commands and of the APIs in a serialized
// FileDescriptorSet, by their names.
func pages(schema []byte) (map[string][]byte, error) {
	described, err := apiPages(schema)
	if err != nil {
		return nil, err
	}
	root := commandTree()
	all := map[string][]byte{"README.md": indexPage(root, described)}
	maps.Copy(all, described)
	for _, c := range commandsBelow(root) {
		all[pageName(c)] = commandPage(c)
	}
	all["dashboard-keys.md"] = keysPage("Keys of the dashboard", "What keys do in [micro dashboard](micro-dashboard.md). Those that change something ask first, and do nothing while it is read-only.", cli.DashboardKeys(), dashboardScreens())
	all["form-keys.md"] = keysPage("Keys of the form", "What keys do in [micro call -i](micro-call.md). Those that change something do nothing while it is read-only.", cli.FormKeys(), "")
	return all, nil
}

// keysPage returns a page that says what keys do, with more behind that.
func keysPage(title, about string, groups []tui.KeyGroup, more string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s# %s\n\n%s\n", notice, title, about)
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| key | |\n| --- | --- |\n", g.Title)
		for _, k := range g.Keys {
			help := cell(k.Help)
			if k.Changes {
				help += "; a change"
			}
			fmt.Fprintf(&b, "| %s | %s |\n", cell(k.Names()), help)
		}
	}
	b.WriteString(more)
	return b.Bytes()
}

// dashboardScreens lists the screens of the dashboard.
func dashboardScreens() string {
	var b strings.Builder
	b.WriteString("\n## Screens, and the commands that write the same\n\nEach has `-o json` as well.\n\n| screen | behind `:` | key | without a screen |\n| --- | --- | --- | --- |\n")
	for _, s := range cli.DashboardScreens() {
		word := s.Word
		if word != "" {
			word = "`" + word + "`"
		}
		var plain []string
		for _, command := range s.Plain {
			plain = append(plain, "`"+command+"`")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.Title, word, cell(s.Key), strings.Join(plain, ", "))
	}
	return b.String()
}

// commandTree returns the commands as they are run, with those that cobra adds.
func commandTree() *cobra.Command {
	root := cli.Tree()
	root.InitDefaultHelpCmd()
	return root
}

// commandsBelow returns a command and those below it that help shows.
func commandsBelow(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range shown(c) {
		all = append(all, commandsBelow(sub)...)
	}
	return all
}

// shown returns the commands right below one that help shows.
func shown(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(sub *cobra.Command) bool {
		return !sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand()
	})
}

// dashed returns the words of a command with dashes between them.
func dashed(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func pageName(c *cobra.Command) string { return dashed(c) + ".md" }

// commandPage returns the page of a command.
func commandPage(c *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s# %s\n", notice, c.CommandPath())
	if c.Runnable() {
		fmt.Fprintf(&b, "\n    %s\n", c.UseLine())
	}
	fmt.Fprintf(&b, "\n%s\n", markdown(description(c)))
	if len(c.Aliases) > 0 {
		fmt.Fprintf(&b, "\nAlso: `%s`\n", strings.Join(c.Aliases, "`, `"))
	}
	if c.Example != "" {
		fmt.Fprintf(&b, "\n## Examples\n\n%s\n", indented(c.Example))
	}
	if flags := flagsOf(c); len(flags) > 0 {
		b.WriteString("\n## Flags\n\n| flag | |\n| --- | --- |\n")
		for _, f := range flags {
			fmt.Fprintf(&b, "| `%s` | %s |\n", f.name, strings.ReplaceAll(escape(f.about), "|", `\|`))
		}
	}
	if subs := shown(c); len(subs) > 0 {
		b.WriteString("\n## Commands\n\n")
		for _, sub := range subs {
			fmt.Fprintf(&b, "- [%s](%s): %s\n", sub.CommandPath(), pageName(sub), escape(sub.Short))
		}
	}
	if c.HasParent() {
		fmt.Fprintf(&b, "\nThe flags of every command are at [micro](micro.md). Above: [%s](%s)\n", c.Parent().CommandPath(), pageName(c.Parent()))
	}
	return b.Bytes()
}

// description returns all that a command says of itself.
func description(c *cobra.Command) string {
	if c.Long != "" {
		return strings.TrimSpace(c.Long)
	}
	return c.Short + "."
}

// flag is a flag as people read of it.
type flag struct{ name, about string }

// flagsOf returns the flags of a command that others do not have; of the root those of
// every command.
func flagsOf(c *cobra.Command) []flag {
	var flags []flag
	set := c.LocalNonPersistentFlags()
	if !c.HasParent() {
		set = c.PersistentFlags()
	}
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, about := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		if !slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) {
			about += " (default " + f.DefValue + ")"
		}
		flags = append(flags, flag{name, about})
	})
	return flags
}

// indexPage returns the page that leads to all others.
func indexPage(root *cobra.Command, apis map[string][]byte) []byte {
	var b bytes.Buffer
	b.WriteString(notice + "# Reference\n\nWhat `--help` says of each command, and what the .proto files say of each API. The [guides](../guides/README.md) say what they are for.\n")
	list := func(title, group string) {
		fmt.Fprintf(&b, "\n## %s\n\n", strings.TrimSuffix(title, ":"))
		for _, c := range shown(root) {
			if c.GroupID == group {
				fmt.Fprintf(&b, "- [%s](%s): %s\n", c.CommandPath(), pageName(c), escape(c.Short))
			}
		}
	}
	for _, g := range root.Groups() {
		list(g.Title, g.ID)
	}
	list("More", "")
	b.WriteString("\n## APIs\n\n")
	for _, name := range slices.Sorted(maps.Keys(apis)) {
		fmt.Fprintf(&b, "- [%s](%s)\n", strings.TrimSuffix(name, ".md"), name)
	}
	return b.Bytes()
}
