package generator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/micro/micro/v3/internal/sdk"
)

// goMod returns the go.mod file of a project: what the SDK requires, and where
// the SDK is.
func goMod(opts Options) ([]byte, error) {
	if !filepath.IsAbs(opts.SDKDir) {
		return nil, fmt.Errorf("the directory of the SDK must be an absolute path, not %q", opts.SDKDir)
	}
	f, err := modfile.Parse("go.mod", sdk.ProjectMod(), nil)
	if err != nil {
		return nil, err
	}
	f.SetRequireSeparateIndirect(append(f.Require, &modfile.Require{Mod: module.Version{Path: sdk.Path, Version: opts.SDKVersion}}))
	if err := errors.Join(f.AddModuleStmt(opts.Module), f.AddReplace(sdk.Path, "", opts.SDKDir, "")); err != nil {
		return nil, err
	}
	for _, r := range f.Replace {
		r.Syntax.Before = []modfile.Comment{{Token: "// Where micro unpacked its SDK. A build by micro uses its own, wherever it is."}}
	}
	f.Cleanup()
	return f.Format()
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
	return true, replaceFile(root, File{"go.mod", now})
}

// baseName returns the last element of a path of this machine or another.
func baseName(p string) string {
	return p[strings.LastIndexAny(p, `/\`)+1:]
}
