package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/micro/micro/v3/internal/sdk"
)

// announcement is the path of a module that requires the SDK and has no replace
// line, as if the SDK were published.
const announcement = "testdata/services/announcement"

// sdkModule returns the go.mod and go.sum of the SDK, by their paths in the
// repository, and those of the announcement's module, which are made from them.
// They have what the SDK needs, in the versions that the repository is built and
// tested with.
func sdkModule(ctx context.Context, repo fs.FS) (_ map[string][]byte, err error) {
	files := make(map[string][]byte)
	for _, dir := range []string{"service", "proto"} {
		sub, err := fs.Sub(repo, dir)
		if err != nil {
			return nil, err
		}
		source, err := sdk.Source(sub)
		if err != nil {
			return nil, err
		}
		for name, content := range source {
			files[filepath.Join(dir, name)] = content
		}
	}
	if files["go.mod"], err = withoutComments(repo); err != nil {
		return nil, err
	}
	if files["go.sum"], err = fs.ReadFile(repo, "go.sum"); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "micro-sdk-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return nil, err
		}
	}
	tidy := exec.CommandContext(ctx, "go", "mod", "tidy")
	tidy.Dir = dir
	tidy.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := tidy.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go mod tidy of the SDK: %w\n%s", err, out)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	user, err := userMod(mod)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"internal/sdk/go.mod.txt": mod,
		"internal/sdk/go.sum.txt": sum,
		announcement + "/go.mod":  user,
		announcement + "/go.sum":  sum,
	}, nil
}

// userMod returns the go.mod of the announcement's module.
func userMod(mod []byte) ([]byte, error) {
	f, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		return nil, err
	}
	if err := f.AddModuleStmt("github.com/micro/services"); err != nil {
		return nil, err
	}
	f.SetRequireSeparateIndirect(append(f.Require, &modfile.Require{Mod: module.Version{Path: sdk.Path, Version: "v3.0.0"}}))
	f.Cleanup()
	return f.Format()
}

// withoutComments returns the repository's go.mod with nothing but what it
// requires.
func withoutComments(repo fs.FS) ([]byte, error) {
	text, err := fs.ReadFile(repo, "go.mod")
	if err != nil {
		return nil, err
	}
	from, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return nil, err
	}
	to := new(modfile.File)
	if err := errors.Join(to.AddModuleStmt(sdk.Path), to.AddGoStmt(from.Go.Version)); err != nil {
		return nil, err
	}
	var requires []*modfile.Require
	for _, r := range from.Require {
		requires = append(requires, &modfile.Require{Mod: r.Mod, Indirect: r.Indirect})
	}
	to.SetRequireSeparateIndirect(requires)
	return to.Format()
}
