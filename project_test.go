package micro_test

import (
	"path/filepath"
	"testing"

	"github.com/micro/micro/v3/generator"
)

// A new project builds, is clean, and passes its own tests.
func TestNewProject(t *testing.T) {
	t.Parallel()
	m, sdkDir := unpack(t)
	dir := filepath.Join(t.TempDir(), "my-service")
	if _, err := generator.New(generator.Options{
		Dir: dir, Name: "my-service", SDKVersion: m.Version(), SDKDir: sdkDir,
	}); err != nil {
		t.Fatal(err)
	}
	goCommand(t, dir, nil, "vet", "./...")
	goCommand(t, dir, nil, "test", "./...")
	goCommand(t, dir, nil, "build")
	result, err := generator.Gen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if result.Written != nil || result.Notes != nil {
		t.Errorf("generating again gives %+v, want nothing new", result)
	}
}
