package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is generated must be what it is generated from now.
func TestFresh(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs the go command")
	}
	root := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "LICENSE"} {
		content, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range append([]string{"service", "internal/sdk", announcement, "backend/server"}, protoDirs...) {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join("../..", dir))); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), root, &out); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(out.Bytes(), []byte("wrote ")) {
		t.Errorf("generated files are not up to date; run `go run ./internal/gen`:\n%s", &out)
	}
}
