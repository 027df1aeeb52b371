package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The pages must be what commands and .proto files say now.
func TestFresh(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{directory, filepath.Dir(apis)} {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join("../..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := run(root, &out); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("the reference is not up to date; run `make gen`:\n%s", &out)
	}
}

// A page of a command that is gone goes, and what differs is written.
func TestRun(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, filepath.Dir(apis)), os.DirFS(filepath.Join("../..", filepath.Dir(apis)))); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, directory)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"micro-gone.md", "micro-run.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := run(root, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"removed docs/reference/micro-gone.md\n", "wrote docs/reference/micro-run.md\n", "wrote docs/reference/micro.store.v1.md\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it said\n%s\nwant %q in it", &out, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "micro-gone.md")); err == nil {
		t.Error("the page of a command that is gone is still there")
	}
	out.Reset()
	if err := run(root, &out); err != nil || out.Len() > 0 {
		t.Errorf("the second time it said %q, %v", &out, err)
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a *b* <c> `d` \\": "a \\*b\\* \\<c> \\`d\\` \\\\",
		"if_revision '_'":  `if_revision '\_'`,
		"_a_":              `\_a\_`,
	} {
		if got := escape(text); got != want {
			t.Errorf("escape(%q) = %q, want %q", text, got, want)
		}
	}
	if got, want := markdown("a\nb\n\n  c\n    d\n"), "a\nb\n\n    c\n      d"; got != want {
		t.Errorf("markdown = %q, want %q", got, want)
	}
}

// The formatter has nothing to say of the manual pages.
func TestMan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := writeMan(dir); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(names) < 50 {
		t.Fatalf("there are %d pages: %v", len(names), err)
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		if os.Getenv("MICRO_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), groff, append([]string{"-k", "-man", "-Tutf8", "-ww"}, names...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%.2000s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "warning") && strings.Contains(line, ".1:") {
			t.Error(line)
		}
	}
	if text := string(out); !strings.Contains(text, "micro-store-write") || !strings.Contains(text, "Write a record") {
		t.Errorf("the pages are formatted as\n%.2000s", text)
	}
}
