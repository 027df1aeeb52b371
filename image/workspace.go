package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// workspace returns how the build finds its modules when it needs the user's
// workspace, and nil when it does not. It does when one of the packages that
// are built is in another module of the workspace, or in one that the workspace
// replaces.
func (b *builder) workspace(ctx context.Context, root string, overrides []Override) (*modules, error) {
	name := b.tools.settings["GOWORK"]
	if name == "" || name == "off" || b.source.root != "" && !within(b.source.root, filepath.Dir(name)) {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, nil //nolint:nilerr // a workspace that cannot be read is none
	}
	work, err := modfile.ParseWork(name, data, nil)
	if err != nil || !uses(work, name, root) || len(work.Use) < 2 && len(work.Replace) == 0 {
		return nil, nil //nolint:nilerr // a workspace that is broken is none
	}
	if err := b.checkWorkspace(work, name); err != nil {
		return nil, err
	}
	m, err := b.workFile(work, name, overrides)
	if err != nil {
		return nil, err
	}
	needed, err := b.needs(ctx, work, m, root)
	if err != nil || !needed {
		return nil, err
	}
	b.report(Event{Stage: Building, Message: "with the workspace " + name})
	return m, nil
}

// uses reports whether a workspace has the module in a directory.
func uses(work *modfile.WorkFile, name, root string) bool {
	for _, u := range work.Use {
		if sameDir(abs(name, u.Path), root) {
			return true
		}
	}
	return false
}

func sameDir(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// abs returns the directory that a path in a go.work means.
func abs(name, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(name), filepath.FromSlash(path))
}

// needs reports whether a package that is built is in another module of the
// workspace, or in one that it replaces. It asks with a copy of the workspace,
// because go may write sums beside it. When go cannot list the packages, the
// build without the workspace says why.
func (b *builder) needs(ctx context.Context, work *modfile.WorkFile, m *modules, root string) (bool, error) {
	out, err := b.tools.run(ctx, command{
		dir: b.dir(), env: append(b.platformEnv(), m.env...), progress: b.report,
		args: []string{"list", "-deps", "-tags=" + buildTags, "-mod=readonly", "-f", "{{with .Module}}{{.Path}} {{.Main}} {{.Dir}}{{end}}", "."},
	})
	if _, ok := errors.AsType[*exitError](err); ok {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	replaced := map[string]bool{}
	for _, r := range work.Replace {
		replaced[r.Old.Path] = true
	}
	for line := range strings.Lines(string(out)) {
		path, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		main, dir, _ := strings.Cut(rest, " ")
		if ok && (replaced[path] || main == "true" && !sameDir(dir, root)) {
			return true, nil
		}
	}
	return false, nil
}

// workFile writes a go.work that means the same as the user's from another
// directory, with the overrides in it.
func (b *builder) workFile(work *modfile.WorkFile, name string, overrides []Override) (*modules, error) {
	out := new(modfile.WorkFile)
	out.Syntax = new(modfile.FileSyntax)
	if work.Go != nil {
		if err := out.AddGoStmt(work.Go.Version); err != nil {
			return nil, err
		}
	}
	if work.Toolchain != nil {
		if err := out.AddToolchainStmt(work.Toolchain.Name); err != nil {
			return nil, err
		}
	}
	for _, u := range work.Use {
		if err := out.AddUse(abs(name, u.Path), ""); err != nil {
			return nil, err
		}
	}
	for _, r := range work.Replace {
		path := r.New.Path
		if r.New.Version == "" {
			path = abs(name, path)
		}
		if err := out.AddReplace(r.Old.Path, r.Old.Version, path, r.New.Version); err != nil {
			return nil, err
		}
	}
	for _, o := range overrides {
		if err := replace(o, out.Replace, out.DropReplace, out.AddReplace); err != nil {
			return nil, err
		}
	}
	out.Cleanup()
	file := filepath.Join(b.work, "go.work")
	if err := os.WriteFile(file, modfile.Format(out.Syntax), 0o644); err != nil {
		return nil, err
	}
	if err := writeSums(filepath.Join(b.work, "go.work.sum"), name+".sum", overrides); err != nil {
		return nil, err
	}
	return &modules{
		flags:   []string{"-mod=readonly"},
		env:     []string{"GOWORK=" + file},
		renamed: map[string]string{file: "go.work", filepath.Join(b.work, "go.work.sum"): "go.work.sum"},
	}, nil
}
