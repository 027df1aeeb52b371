package micro_test

import (
	"path/filepath"
	"testing"

	"github.com/micro/micro/v3/generator"
)

// A new project of each template builds, is clean, and passes its own tests.
func TestNewProject(t *testing.T) {
	t.Parallel()
	m, sdkDir := unpack(t)
	all, err := generator.Builtins()
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range all {
		t.Run(template.Name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "my-service")
			if _, err := generator.New(t.Context(), generator.Options{
				Template: template, Dir: dir, Name: "my-service", SDKVersion: m.Version(), SDKDir: sdkDir,
			}); err != nil {
				t.Fatal(err)
			}
			goCommand(t, dir, nil, "vet", "./...")
			goCommand(t, dir, nil, "test", "./...")
			goCommand(t, dir, nil, "build", "./...")
			result, err := generator.Gen(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if result.Written != nil || result.Notes != nil {
				t.Errorf("generating again gives %+v, want nothing new", result)
			}
		})
	}
}
