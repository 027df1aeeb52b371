// Reference writes the pages about commands and APIs that are in this repository, from
// the commands themselves and from the comments in .proto files. It is run in the
// repository's root, after internal/gen, which makes the code that it needs to compile:
//
//	go run ./internal/reference
//	go run ./internal/reference man DIR      # manual pages, for a release
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

const (
	// directory is where the pages are.
	directory = "docs/reference"
	// apis is the schema of the server's APIs, with comments.
	apis = "backend/server/apis.binpb"
)

func main() {
	work := func() error { return run(".", os.Stderr) }
	if len(os.Args) == 3 && os.Args[1] == "man" {
		work = func() error { return writeMan(os.Args[2]) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // it is a main
	}
}

// run writes the pages in the copy of the repository in root, removes those that have
// nothing to tell of any more, and says what changed.
func run(root string, out io.Writer) error {
	schema, err := os.ReadFile(filepath.Join(root, apis))
	if err != nil {
		return err
	}
	all, err := pages(schema)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, directory)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range all {
		old, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if bytes.Equal(old, content) {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(out, "wrote", path.Join(directory, name))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if all[e.Name()] != nil {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
		fmt.Fprintln(out, "removed", path.Join(directory, e.Name()))
	}
	return nil
}
