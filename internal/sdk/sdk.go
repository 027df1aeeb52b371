// Package sdk makes a Go module of the SDK's source that the binary carries, so
// that projects can be built against it with nothing to download for it.
//
// It comes in two shapes. A directory is what a project's go.mod points to with a
// replace line. A module proxy in the file system is for builds whose result must
// not depend on where such a directory lies.
//
// The directory has the server besides, for tests that use service/servicetest. So its
// go.mod names what that needs; a project that does not import it has nothing of it in
// its own go.mod and go.sum, since Go prunes what nobody needs.
package sdk

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // go.mod and go.sum
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Path is the path of the module.
const Path = "github.com/micro/micro/v3"

// VersionPrefix is what the versions of the module begin with. After a dot,
// digits alone would be a number to Go, which may not begin with 0.
const VersionPrefix = "v3.0.0-sdk-"

// The module's own go.mod and go.sum, which name only what the SDK needs, and those
// with the server. They are made by internal/gen.
var (
	//go:embed go.mod.txt
	goMod []byte
	//go:embed go.sum.txt
	goSum []byte
	//go:embed server.mod.txt
	serverMod []byte
	//go:embed server.sum.txt
	serverSum []byte
)

// What the go.mod and go.sum of a project have that uses the SDK and nothing else.
var (
	//go:embed project.mod.txt
	projectMod []byte
	//go:embed project.sum.txt
	projectSum []byte
)

// Divided is a module, in the first version without the packages that the SDK takes from a
// module of their own. The SDK requires it though it takes nothing from it: next to an
// older one, as what was written for Micro 3 needs, Go would find the packages twice and
// compile nothing.
func Divided() (path, version string) {
	return "google.golang.org/genproto", "v0.0.0-20230526161137-0005af68ea54"
}

// DividedSum is what a go.sum file says of [Divided].
const DividedSum = `google.golang.org/genproto v0.0.0-20230526161137-0005af68ea54 h1:9NWlQfY2ePejTmfwUH1OWwmznFa+0kKcHGPDvcPza9M=
google.golang.org/genproto v0.0.0-20230526161137-0005af68ea54/go.mod h1:zqTuNwFlFRsw5zIts5VnzLQxSRqh+CGOTVMlYbY0Eyk=
`

// ProjectMod returns a copy of the go.mod file of a project that uses the module, but for
// what it says of the module itself.
func ProjectMod() []byte { return slices.Clone(projectMod) }

// ProjectSum returns a copy of the go.sum file of such a project.
func ProjectSum() []byte { return slices.Clone(projectSum) }

// Module is the SDK as a Go module. Its methods are safe for concurrent use,
// also by several processes on the same directories.
type Module struct {
	files   []file // ordered by name
	all     []file // with the server
	version string
}

type file struct {
	name    string // in the module, with slashes
	content []byte
}

// New makes the module of the packages in src. Tests and what they need are left
// out.
func New(src fs.FS) (*Module, error) {
	m := &Module{files: []file{{"go.mod", goMod}, {"go.sum", goSum}}, all: []file{{"go.mod", serverMod}, {"go.sum", serverSum}}}
	files, err := Source(src)
	if err != nil {
		return nil, err
	}
	for name, content := range files {
		m.all = append(m.all, file{name, content})
		if !OfServer(name) {
			m.files = append(m.files, file{name, content})
		}
	}
	h := sha256.New()
	for _, files := range [][]file{m.files, m.all} {
		slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
		for _, f := range files {
			fmt.Fprintf(h, "%d %s %d ", len(f.name), f.name, len(f.content))
			h.Write(f.content)
		}
	}
	m.version = VersionPrefix + hex.EncodeToString(h.Sum(nil))[:12]
	return m, nil
}

// Source returns the files of src that belong to the module, by their names.
func Source(src fs.FS) (map[string][]byte, error) {
	files := make(map[string][]byte)
	err := fs.WalkDir(src, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir() || strings.HasSuffix(name, "_test.go"):
			return nil
		case name != "LICENSE" && !slices.Contains([]string{".go", ".proto", ".binpb", ".table"}, path.Ext(name)):
			return nil
		}
		files[name], err = fs.ReadFile(src, name)
		return err
	})
	if err == nil && len(files) == 0 {
		err = errors.New("there is no source of the SDK in this build")
	}
	return files, err
}

// OfServer reports whether a file is only there for tests with a server in them.
func OfServer(name string) bool {
	top, rest, _ := strings.Cut(name, "/")
	return top != "LICENSE" && top != "service" && top != "proto" || strings.HasPrefix(rest, "servicetest/")
}

// Version returns the version of the module, [VersionPrefix] and 12 digits of a hash. Modules have the
// same version when, and only when, they have the same content, that of the server included.
func (m *Module) Version() string { return m.version }

// WriteDir unpacks the module, with the server, into a folder of dir that is named after the
// version, and returns the folder's path. Once unpacked, the folder does not
// change; it is read in full each time, and what is missing or damaged in it is
// put right. A folder that is not there yet appears with all of its files at
// once.
func (m *Module) WriteDir(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	target := filepath.Join(dir, m.version)
	if len(m.damaged(target)) == 0 {
		return target, nil
	}
	if err := m.unpack(dir, target); err != nil {
		return "", fmt.Errorf("unpack the SDK: %w", err)
	}
	return target, nil
}

func (m *Module) unpack(dir, target string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	staging, err := os.MkdirTemp(dir, ".staging-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	if err := os.Chmod(staging, 0o755); err != nil {
		return err
	}
	for _, f := range m.all {
		// As in Go's module cache, an editor that is led here cannot write.
		if err := writeFile(filepath.Join(staging, filepath.FromSlash(f.name)), f.content, 0o444); err != nil {
			return err
		}
	}
	renamed := os.Rename(staging, target)
	if renamed == nil {
		return nil
	}
	// Something has the name: the work of another process, or of one that did
	// not get far.
	for _, f := range m.damaged(target) {
		name := filepath.FromSlash(f.name)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(target, name)), 0o755); err != nil {
			return errors.Join(renamed, err)
		}
		if err := os.Rename(filepath.Join(staging, name), filepath.Join(target, name)); err != nil {
			return errors.Join(renamed, err)
		}
	}
	return nil
}

// damaged returns the files that a directory has not got as they should be.
func (m *Module) damaged(dir string) []file {
	return slices.DeleteFunc(slices.Clone(m.all), func(f file) bool {
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.name)))
		return err == nil && bytes.Equal(content, f.content)
	})
}

func writeFile(name string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, mode)
}
