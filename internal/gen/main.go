// Gen regenerates what is generated in this repository: Go code from .proto
// files, the schema of the server's APIs, and the go.mod and go.sum of the SDK. It is run in the repository's
// root:
//
//	go run ./internal/gen
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/micro/micro/v3/generator"
)

// apis is what the server tells of its own APIs: their schema with comments, which
// generated code does not have.
const apis = "backend/server/apis.binpb"

// protoDirs are the directories with .proto files.
var protoDirs = []string{"proto", "service/testdata/greet", announcement + "/helloworld", "generator/testdata/kitchen", "bench/peer"}

func main() {
	if err := run(context.Background(), ".", os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // it is a main
	}
}

// run regenerates in the copy of the repository in root, and tells what changed.
func run(ctx context.Context, root string, out io.Writer) error {
	files, err := sdkModule(ctx, os.DirFS(root))
	if err != nil {
		return err
	}
	if files[apis], err = generator.Describe(ctx, filepath.Join(root, "proto")); err != nil {
		return err
	}
	for name, content := range files {
		old, err := os.ReadFile(filepath.Join(root, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if bytes.Equal(old, content) {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, name), content, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(out, "wrote", name)
	}
	for _, dir := range protoDirs {
		result, err := generator.Gen(ctx, filepath.Join(root, dir))
		if err != nil {
			return err
		}
		for _, note := range result.Notes {
			fmt.Fprintln(out, note)
		}
		for _, name := range result.Written {
			fmt.Fprintln(out, "wrote", filepath.Join(dir, name))
		}
	}
	return nil
}
