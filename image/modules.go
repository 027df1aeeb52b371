package image

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/sumdb/dirhash"
)

// modules says how a build finds its modules.
type modules struct {
	flags   []string
	env     []string
	renamed map[string]string           // files of this package that stand for files of the user's
	resolve func(context.Context) error // fills in versions that are missing; nil: nothing may be missing
}

// clean puts the names of the user's files into a line in the place of ours.
func (m *modules) clean(line string) string {
	for ours, theirs := range m.renamed {
		line = strings.ReplaceAll(line, ours, theirs)
	}
	return line
}

// modules finds out where the build's modules come from. Where an override
// counts, it writes files for go that say so in the place of go.mod and go.sum.
func (b *builder) modules(ctx context.Context) (*modules, error) {
	root := b.tools.modRoot()
	if root == "" || b.source.root != "" && !within(b.source.root, root) {
		return nil, &BuildError{
			Place: b.place(), Lines: []string{"go.mod file not found in the directory or one above it"},
			Hint: "go mod init " + b.name,
		}
	}
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	mod, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return nil, &BuildError{Place: b.place(), Lines: strings.Split(err.Error(), "\n")}
	}
	if err := b.checkStranger(root, mod); err != nil {
		return nil, err
	}
	overrides := b.effective(mod)
	for _, o := range overrides {
		if err := b.download(ctx, o); err != nil {
			return nil, err
		}
	}
	if w, err := b.workspace(ctx, root, overrides); w != nil || err != nil {
		return w, err
	}
	if len(overrides) == 0 {
		return &modules{}, nil
	}
	return b.modFile(mod, root, overrides)
}

// within reports whether a path is root or below it.
func within(root, path string) bool {
	if resolved, err := filepath.EvalSymlinks(root); err == nil {
		root = resolved
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	rel, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(rel)
}

// effective returns the overrides of modules that a go.mod requires.
func (b *builder) effective(mod *modfile.File) []Override {
	var used []Override
	for _, o := range b.options.Overrides {
		for _, r := range mod.Require {
			if r.Mod.Path == o.Module {
				used = append(used, o)
				break
			}
		}
	}
	return used
}

// modFile writes a go.mod and a go.sum with the overrides in them.
func (b *builder) modFile(mod *modfile.File, root string, overrides []Override) (*modules, error) {
	for _, o := range overrides {
		if err := replace(o, mod.Replace, mod.DropReplace, mod.AddReplace); err != nil {
			return nil, err
		}
		if err := o.unpin(mod); err != nil {
			return nil, err
		}
	}
	mod.Cleanup()
	data, err := mod.Format()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.work, "go.mod")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return nil, err
	}
	if err := writeSums(filepath.Join(b.work, "go.sum"), filepath.Join(root, "go.sum"), overrides); err != nil {
		return nil, err
	}
	m := &modules{
		flags:   []string{"-modfile=" + file, "-mod=readonly"},
		renamed: map[string]string{"-modfile=" + file + " ": "", file: "go.mod", filepath.Join(b.work, "go.sum"): "go.sum"},
	}
	m.resolve = func(ctx context.Context) error { return b.resolve(ctx, m, file) }
	return m, nil
}

// resolve fills in the versions that an override asks for into a go.mod of ours.
// What no module of the source provides it does not add: the version would be
// another tomorrow, and go says what is missing when nobody does.
func (b *builder) resolve(ctx context.Context, m *modules, file string) error {
	list := func(args ...string) ([]byte, error) {
		return b.tools.run(ctx, command{
			dir: b.dir(), args: append([]string{"list", "-mod=mod", "-modfile=" + file}, args...),
			env: b.platformEnv(), progress: b.report,
		})
	}
	var failed *exitError
	out, err := list("-m", "-f={{.Path}}", "all")
	if errors.As(err, &failed) {
		return b.failure(failed, m)
	}
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for path := range strings.Lines(string(out)) {
		known[strings.TrimSpace(path)] = true
	}
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := list("-deps", "-tags="+buildTags, "-f=", "."); err != nil && !errors.As(err, &failed) {
		return err
	}
	after, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	mod, err := modfile.Parse(file, after, nil)
	if err != nil {
		return err
	}
	for _, r := range mod.Require {
		if !known[r.Mod.Path] {
			return os.WriteFile(file, before, 0o644)
		}
	}
	return nil
}

// replace puts an override in the place of every replacement of its module.
func replace(o Override, replaced []*modfile.Replace, drop func(path, version string) error, add func(path, version, newPath, newVersion string) error) error {
	for _, r := range replaced {
		if r.Old.Path == o.Module {
			if err := drop(r.Old.Path, r.Old.Version); err != nil {
				return err
			}
		}
	}
	return add(o.Module, "", o.Module, o.Version)
}

// unpin drops replacements of modules that the override needs by versions that are older
// than it needs, as services of Micro 3 have one of google.golang.org/grpc: nothing would
// compile. What a fork or a directory replaces is left to them.
func (o Override) unpin(mod *modfile.File) error {
	name, err := o.file(".mod")
	if err != nil {
		return err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("module %s@%s: %w", o.Module, o.Version, err)
	}
	own, err := modfile.ParseLax(name, data, nil)
	if err != nil {
		return err
	}
	for _, need := range own.Require {
		for _, r := range mod.Replace {
			if r.Old.Path != need.Mod.Path || r.New.Path != r.Old.Path || semver.Compare(r.New.Version, need.Mod.Version) >= 0 {
				continue
			}
			if err := mod.DropReplace(r.Old.Path, r.Old.Version); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSums writes the user's sums, and behind them those of the overrides and
// of what they need.
func writeSums(file, users string, overrides []Override) error {
	data, err := os.ReadFile(users)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, '\n')
	}
	for _, o := range overrides {
		sums, err := o.sums()
		if err != nil {
			return fmt.Errorf("module %s@%s: %w", o.Module, o.Version, err)
		}
		data = append(data, sums...)
	}
	return os.WriteFile(file, data, 0o644)
}

// file returns the path of one of the files of the override's version.
func (o Override) file(suffix string) (string, error) {
	path, err := module.EscapePath(o.Module)
	if err != nil {
		return "", err
	}
	version, err := module.EscapeVersion(o.Version)
	if err != nil {
		return "", err
	}
	return filepath.Join(o.ProxyDir, filepath.FromSlash(path), "@v", version+suffix), nil
}

// sums returns the lines of a go.sum for the override, and those of its own
// go.sum.
func (o Override) sums() ([]byte, error) {
	name, err := o.file(".zip")
	if err != nil {
		return nil, err
	}
	zipSum, err := dirhash.HashZip(name, dirhash.Hash1)
	if err != nil {
		return nil, err
	}
	mod, err := o.file(".mod")
	if err != nil {
		return nil, err
	}
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { return os.Open(mod) })
	if err != nil {
		return nil, err
	}
	sums := fmt.Appendf(nil, "%s %s %s\n%s %s/go.mod %s\n", o.Module, o.Version, zipSum, o.Module, o.Version, modSum)
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	f, err := z.Open(o.Module + "@" + o.Version + "/go.sum")
	if errors.Is(err, fs.ErrNotExist) {
		return sums, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	own, err := io.ReadAll(io.LimitReader(f, 4<<20))
	return append(sums, own...), err
}

// download puts an override into the module cache unless it is there. The user's
// settings would look for it elsewhere, and need not change for it.
func (b *builder) download(ctx context.Context, o Override) error {
	cached, err := Override{Module: o.Module, Version: o.Version, ProxyDir: filepath.Join(b.tools.settings["GOMODCACHE"], "cache", "download")}.file(".ziphash")
	if err != nil {
		return fmt.Errorf("module %s@%s: %w", o.Module, o.Version, err)
	}
	if _, err := os.Stat(cached); err == nil {
		return nil
	}
	dir, err := filepath.Abs(o.ProxyDir)
	if err != nil {
		return err
	}
	dir = filepath.ToSlash(dir)
	if !strings.HasPrefix(dir, "/") {
		dir = "/" + dir // C:/…
	}
	proxy := url.URL{Scheme: "file", Path: dir}
	_, err = b.tools.run(ctx, command{
		dir: b.work, args: []string{"mod", "download", o.Module + "@" + o.Version},
		env: []string{"GOPROXY=" + proxy.String(), "GONOPROXY=none", "GOPRIVATE=", "GONOSUMDB=" + o.Module, "GOSUMDB=off"},
	})
	if failed, ok := errors.AsType[*exitError](err); ok {
		return fmt.Errorf("module %s@%s: %w", o.Module, o.Version, failed)
	}
	return err
}
