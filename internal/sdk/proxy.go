package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// WriteProxy puts the module, without the server, into a module proxy in dir, beside the versions that
// are there, and returns its version. The Go command uses the proxy as
// GOPROXY=file://DIR; GONOSUMDB must name the module, which no checksum database
// knows. What is missing or damaged is put right; each file appears whole.
func (m *Module) WriteProxy(dir string) (version string, err error) {
	escaped, err := module.EscapePath(Path)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, filepath.FromSlash(escaped), "@v")
	if err := m.writeProxy(dir); err != nil {
		return "", fmt.Errorf("write the SDK as a module proxy: %w", err)
	}
	return m.version, nil
}

func (m *Module) writeProxy(dir string) error {
	archive, err := m.archive()
	if err != nil {
		return err
	}
	// A version is complete when it has an .info, so that comes last.
	for _, f := range []file{
		{m.version + ".zip", archive},
		{m.version + ".mod", goMod},
		{m.version + ".info", fmt.Appendf(nil, "{\"Version\":%q,\"Time\":%q}\n", m.version, time.Unix(0, 0).UTC().Format(time.RFC3339))},
	} {
		if err := ensureFile(dir, f); err != nil {
			return err
		}
	}
	versions, err := filepath.Glob(filepath.Join(dir, "v*.info"))
	if err != nil {
		return err
	}
	for i, v := range versions {
		versions[i] = strings.TrimSuffix(filepath.Base(v), ".info") + "\n"
	}
	slices.Sort(versions)
	return ensureFile(dir, file{"list", []byte(strings.Join(versions, ""))})
}

// archive returns the zip file of the module, the same bytes for the same files.
func (m *Module) archive() ([]byte, error) {
	files := make([]zip.File, len(m.files))
	for i, f := range m.files {
		files[i] = zipFile(f)
	}
	var out bytes.Buffer
	err := zip.Create(&out, module.Version{Path: Path, Version: m.version}, files)
	return out.Bytes(), err
}

// ensureFile makes a file in dir have a content, at once.
func ensureFile(dir string, f file) error {
	name := filepath.Join(dir, f.name)
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, f.content) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".staging-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(f.content)
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// zipFile lets package zip read a file.
type zipFile file

func (f zipFile) Path() string                 { return f.name }
func (f zipFile) Lstat() (fs.FileInfo, error)  { return zipInfo(f), nil }
func (f zipFile) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.content)), nil }

type zipInfo file

func (f zipInfo) Name() string     { return f.name }
func (f zipInfo) Size() int64      { return int64(len(f.content)) }
func (zipInfo) Mode() fs.FileMode  { return 0o644 }
func (zipInfo) ModTime() time.Time { return time.Time{} }
func (zipInfo) IsDir() bool        { return false }
func (zipInfo) Sys() any           { return nil }
