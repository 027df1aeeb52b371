package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// writeMan writes a manual page for each command into a directory, which is made. The
// pages have no date: the same source gives the same bytes.
func writeMan(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range commandsBelow(commandTree()) {
		if err := os.WriteFile(filepath.Join(dir, dashed(c)+".1"), manPage(c), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// manPage returns the manual page of a command.
func manPage(c *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %s 1 \"\" micro \"micro manual\"\n.SH NAME\n%s \\- %s\n", roff(strings.ToUpper(dashed(c))), roff(dashed(c)), roff(c.Short))
	if c.Runnable() {
		fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	}
	b.WriteString(".SH DESCRIPTION\n")
	for part, code := range paragraphs(description(c)) {
		if code {
			fmt.Fprintf(&b, ".PP\n.EX\n%s\n.EE\n", roff(part))
		} else {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(part))
		}
	}
	if flags := flagsOf(c); len(flags) > 0 {
		b.WriteString(".SH OPTIONS\n")
		for _, f := range flags {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(f.name), roff(f.about))
		}
	}
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.EX\n%s\n.EE\n", roff(c.Example))
	}
	var others []string
	if c.HasParent() {
		others = append(others, dashed(c.Parent()))
	}
	for _, sub := range shown(c) {
		others = append(others, dashed(sub))
	}
	fmt.Fprintf(&b, ".SH SEE ALSO\n")
	for i, name := range others {
		end := ","
		if i == len(others)-1 {
			end = ""
		}
		fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(name), end)
	}
	return b.Bytes()
}

// roff keeps the formatter from taking something in a text for its own.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`, "^", `\(ha`, "`", `\(ga`, "'", `\(aq`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
