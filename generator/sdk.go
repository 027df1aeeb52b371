package generator

import (
	"errors"
	"fmt"
	goversion "go/version"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/micro/micro/v3/internal/sdk"
)

// goMod returns the go.mod file of a project: what the SDK requires, and where
// the SDK is.
func goMod(opts Options) ([]byte, error) {
	f, err := modfile.Parse("go.mod", sdk.ProjectMod(), nil)
	if err != nil {
		return nil, err
	}
	f.SetRequireSeparateIndirect(append(f.Require, &modfile.Require{Mod: module.Version{Path: sdk.Path, Version: opts.SDKVersion}}))
	if err := errors.Join(f.AddModuleStmt(opts.Module), replaceSDK(f, opts.SDKDir)); err != nil {
		return nil, err
	}
	f.Cleanup()
	return f.Format()
}

// replaceSDK adds the line that says where the SDK is.
func replaceSDK(f *modfile.File, dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("the directory of the SDK must be an absolute path, not %q", dir)
	}
	if err := f.AddReplace(sdk.Path, "", dir, ""); err != nil {
		return err
	}
	last := f.Replace[len(f.Replace)-1]
	last.Syntax.Before = []modfile.Comment{{Token: "// Where micro unpacked its SDK. A build by micro uses its own, wherever it is."}}
	return nil
}

// PointToSDK makes the go.mod of a project that [New] made, on this machine or
// another, point to an SDK that is unpacked in sdkDir, an absolute path. It
// reports whether it changed something. It leaves a go.mod alone that does not
// point to an unpacked SDK, such as one that its owner let point elsewhere. When
// the SDK requires other modules than before, `go mod tidy` has to follow.
func PointToSDK(dir, version, sdkDir string) (changed bool, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	text, err := root.ReadFile("go.mod")
	if err != nil {
		return false, err
	}
	f, err := modfile.Parse(filepath.Join(dir, "go.mod"), text, nil)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(f.Replace, func(r *modfile.Replace) bool { return r.Old.Path == sdk.Path })
	if i < 0 || !strings.HasPrefix(baseName(f.Replace[i].New.Path), sdk.VersionPrefix) {
		return false, nil
	}
	if err := errors.Join(f.AddRequire(sdk.Path, version), f.AddReplace(sdk.Path, f.Replace[i].Old.Version, sdkDir, "")); err != nil {
		return false, err
	}
	now, err := f.Format()
	if err != nil || string(now) == string(text) {
		return false, err
	}
	return true, replaceFile(root, File{Path: "go.mod", Content: now})
}

// baseName returns the last element of a path of this machine or another.
func baseName(p string) string {
	return p[strings.LastIndexAny(p, `/\`)+1:]
}

// adoptModule makes a go.mod of a template, and its go.sum, those of a project. The SDK,
// where it is required, is the one of opts.
func adoptModule(mod, sum []byte, opts Options) (newMod, newSum []byte, notes []string, err error) {
	f, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := f.AddModuleStmt(opts.Module); err != nil {
		return nil, nil, nil, err
	}
	if requires(f, sdk.Path) {
		if err := useSDK(f, opts); err != nil {
			return nil, nil, nil, err
		}
		sum = mergeSums(sum, sdk.ProjectSum())
		if path, _ := sdk.Divided(); requires(f, path) {
			sum = mergeSums(sum, []byte(sdk.DividedSum))
		}
	} else if len(sum) == 0 {
		sum = sdk.ProjectSum() // it needs the same, or something less
	}
	for _, r := range f.Replace {
		if strings.HasPrefix(r.New.Path, "../") {
			notes = append(notes, fmt.Sprintf("go.mod replaces %s by %s, which is not part of the template", r.Old.Path, r.New.Path))
		}
	}
	f.Cleanup()
	newMod, err = f.Format()
	return newMod, sum, notes, err
}

// requires reports whether a go.mod requires a module.
func requires(f *modfile.File, path string) bool {
	return slices.ContainsFunc(f.Require, func(r *modfile.Require) bool { return r.Mod.Path == path })
}

// useSDK makes a go.mod require the SDK of opts, and what that requires in at least the
// same versions. What replaces any of them goes.
func useSDK(f *modfile.File, opts Options) error {
	own, err := modfile.Parse("go.mod", sdk.ProjectMod(), nil)
	if err != nil {
		return err
	}
	if compareGo(f.Go, own.Go) < 0 {
		if err := f.AddGoStmt(own.Go.Version); err != nil {
			return err
		}
	}
	if path, version := sdk.Divided(); requires(f, path) {
		own.Require = append(own.Require, &modfile.Require{Mod: module.Version{Path: path, Version: version}})
	}
	for _, need := range own.Require {
		i := slices.IndexFunc(f.Require, func(r *modfile.Require) bool { return r.Mod.Path == need.Mod.Path })
		switch {
		case i < 0:
			f.AddNewRequire(need.Mod.Path, need.Mod.Version, true)
		case semver.Compare(f.Require[i].Mod.Version, need.Mod.Version) < 0:
			if err := f.AddRequire(need.Mod.Path, need.Mod.Version); err != nil {
				return err
			}
		}
	}
	for _, r := range slices.Clone(f.Replace) {
		needed := slices.ContainsFunc(own.Require, func(n *modfile.Require) bool { return n.Mod.Path == r.Old.Path })
		if !needed && r.Old.Path != sdk.Path {
			continue
		}
		if err := f.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return err
		}
	}
	return errors.Join(f.AddRequire(sdk.Path, opts.SDKVersion), replaceSDK(f, opts.SDKDir))
}

// compareGo compares the versions of Go of two go.mod files, of which the second has one.
func compareGo(a, b *modfile.Go) int {
	if a == nil {
		return -1
	}
	return goversion.Compare("go"+a.Version, "go"+b.Version)
}

// mergeSums returns the lines of two go.sum files.
func mergeSums(a, b []byte) []byte {
	lines := strings.SplitAfter(strings.TrimRight(string(a), "\n")+"\n"+string(b), "\n")
	slices.Sort(lines)
	return []byte(strings.TrimLeft(strings.Join(slices.Compact(lines), ""), "\n"))
}
