package runtimetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"testing"

	"github.com/micro/micro/v3/backend/runtime"
)

// Images is a set of images in memory. Safe for concurrent use.
type Images struct {
	mu     sync.Mutex
	images map[string]*runtime.Image
}

// Open implements [runtime.OpenImage].
func (s *Images) Open(ctx context.Context, ref string) (*runtime.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	img := s.images[ref]
	if img == nil {
		return nil, runtime.ErrNotFound
	}
	return img, nil
}

// Add adds an image and returns its reference, which no other image has.
func (s *Images) Add(img runtime.Image) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.images == nil {
		s.images = map[string]*runtime.Image{}
	}
	digest := sha256.Sum256(fmt.Append(nil, len(s.images)))
	ref := fmt.Sprintf("test/image@sha256:%x", digest)
	s.images[ref] = &img
	return ref
}

// File is an entry of a layer.
type File struct {
	tar.Header
	Content []byte
}

// Layer returns a layer of files. Sizes are those of the contents, modes 0755
// when they are not given.
func Layer(tb testing.TB, files ...File) func() (io.ReadCloser, error) {
	tb.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		f.Size = int64(len(f.Content))
		if f.Mode == 0 {
			f.Mode = 0o755
		}
		if err := w.WriteHeader(&f.Header); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write(f.Content); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }
}

// ProgramImage returns an image for this machine with the suite's program, which
// does what its arguments say: see testdata/program.
func ProgramImage(tb testing.TB) runtime.Image {
	tb.Helper()
	text, err := Program()
	if err != nil {
		tb.Fatalf("build the test program: %v", err)
	}
	return runtime.Image{
		OS:           goruntime.GOOS,
		Architecture: goruntime.GOARCH,
		Entrypoint:   []string{"/app/" + programName},
		Layers: []func() (io.ReadCloser, error){
			Layer(tb, File{Header: tar.Header{Name: "app/", Typeflag: tar.TypeDir}},
				File{Header: tar.Header{Name: "app/" + programName}, Content: text}),
		},
	}
}

// programName ends in what Windows wants programs to end in.
const programName = "program.exe"

//go:embed testdata/program/*.go
var source embed.FS

// programVariable names the compiled program, for a test without a compiler.
const programVariable = "MICRO_TEST_PROGRAM"

// Program returns the suite's program, which is compiled once.
func Program() ([]byte, error) { return program() }

var program = sync.OnceValues(func() (text []byte, err error) {
	if name := os.Getenv(programVariable); name != "" {
		return os.ReadFile(name)
	}
	dir, err := os.MkdirTemp("", "runtimetest-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	files, err := fs.Sub(source, "testdata/program")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, files); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module program\n\ngo 1.26\n"), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", programName, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, programName))
})
