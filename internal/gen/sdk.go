package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	micro "github.com/micro/micro/v3"
	"github.com/micro/micro/v3/internal/sdk"
)

// announcement is the path of a module that requires the SDK and has no replace
// line, as if the SDK were published.
const announcement = "testdata/services/announcement"

// sdkModule returns the go.mod and go.sum of the SDK, by their paths in the
// repository, without the server and with it; those of a project that uses it, and of
// the announcement's module, which is one. They have what each needs, in the versions
// that the repository is built and tested with.
func sdkModule(ctx context.Context, repo fs.FS) (_ map[string][]byte, err error) {
	all, err := sdk.Source(micro.SDK) // which is compiled from the same files
	if err != nil {
		return nil, err
	}
	slim := maps.Clone(all)
	maps.DeleteFunc(slim, func(name string, _ []byte) bool { return sdk.OfServer(name) })
	temp, err := os.MkdirTemp("", "micro-sdk-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	files := make(map[string][]byte)
	for name, source := range map[string]map[string][]byte{"go": slim, "server": all} {
		if source["go.mod"], err = withoutComments(repo); err != nil {
			return nil, err
		}
		if source["go.sum"], err = fs.ReadFile(repo, "go.sum"); err != nil {
			return nil, err
		}
		mod, sum, err := tidied(ctx, filepath.Join(temp, name), source)
		if err != nil {
			return nil, err
		}
		if mod, err = withDivided(mod); err != nil {
			return nil, err
		}
		files["internal/sdk/"+name+".mod.txt"], files["internal/sdk/"+name+".sum.txt"] = mod, withLines(sum, sdk.DividedSum)
	}
	project, err := projectOf(files["internal/sdk/go.mod.txt"], filepath.Join(temp, "server"))
	if err != nil {
		return nil, err
	}
	project["go.sum"] = files["internal/sdk/go.sum.txt"]
	mod, sum, err := tidied(ctx, filepath.Join(temp, "project"), project)
	if err != nil {
		return nil, err
	}
	if mod, err = withoutSDK(mod); err != nil {
		return nil, err
	}
	files["internal/sdk/project.mod.txt"], files["internal/sdk/project.sum.txt"] = mod, sum
	if files[announcement+"/go.mod"], err = userMod(mod); err != nil {
		return nil, err
	}
	files[announcement+"/go.sum"] = sum
	return files, nil
}

// withDivided adds what `go mod tidy` has no use for; see [sdk.Divided].
func withDivided(mod []byte) ([]byte, error) {
	f, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		return nil, err
	}
	path, version := sdk.Divided()
	f.SetRequireSeparateIndirect(append(f.Require, &modfile.Require{Mod: module.Version{Path: path, Version: version}, Indirect: true}))
	return f.Format()
}

// withLines returns a file of ordered lines with others in their places.
func withLines(file []byte, lines string) []byte {
	all := slices.Collect(strings.Lines(string(file) + lines))
	slices.Sort(all)
	return []byte(strings.Join(all, ""))
}

// tidied writes a module into a directory and returns its go.mod and go.sum as `go mod
// tidy` leaves them.
func tidied(ctx context.Context, dir string, files map[string][]byte) (mod, sum []byte, err error) {
	for name, content := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, nil, err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return nil, nil, err
		}
	}
	tidy := exec.CommandContext(ctx, "go", "mod", "tidy")
	tidy.Dir = dir
	tidy.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := tidy.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("go mod tidy of the SDK: %w\n%s", err, out)
	}
	if mod, err = os.ReadFile(filepath.Join(dir, "go.mod")); err != nil {
		return nil, nil, err
	}
	sum, err = os.ReadFile(filepath.Join(dir, "go.sum"))
	return mod, sum, err
}

// projectOf returns a module that uses the SDK as a service does, which lies in a
// directory.
func projectOf(sdkMod []byte, dir string) (map[string][]byte, error) {
	f, err := modfile.Parse("go.mod", sdkMod, nil)
	if err != nil {
		return nil, err
	}
	for _, r := range f.Require {
		// What generated code imports, and what it does not.
		r.Indirect = r.Mod.Path != "google.golang.org/grpc" && r.Mod.Path != "google.golang.org/protobuf"
	}
	f.SetRequireSeparateIndirect(append(f.Require, &modfile.Require{Mod: module.Version{Path: sdk.Path, Version: "v3.0.0"}}))
	if err := errors.Join(f.AddModuleStmt("project"), f.AddReplace(sdk.Path, "", dir, "")); err != nil {
		return nil, err
	}
	mod, err := f.Format()
	return map[string][]byte{
		"go.mod": mod,
		"main.go": []byte(`package main

import (
	_ "github.com/micro/micro/v3/service"
	_ "google.golang.org/grpc"
	_ "google.golang.org/protobuf/runtime/protoimpl"
)

func main() {}
`),
	}, err
}

// withoutSDK returns the go.mod of a project without what it says of the SDK.
func withoutSDK(mod []byte) ([]byte, error) {
	f, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.DropReplace(sdk.Path, ""), f.DropRequire(sdk.Path)); err != nil {
		return nil, err
	}
	f.Cleanup()
	return f.Format()
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
