package bench

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/micro/micro/v3/internal/podmantest"
)

// newContainerWorld returns a world whose server has helloworld run in a container of a
// Podman of its own.
func newContainerWorld(b *testing.B) *world {
	b.Helper()
	engine := podmantest.Start(b)
	w := newWorld(b)
	w.flags = []string{"--runtime", "docker://" + strings.TrimPrefix(engine.Address, "unix://")}
	w.start(b)
	w.deploy(b)
	return w
}

// BenchmarkContainerEdit is [BenchmarkEdit] on Podman.
func BenchmarkContainerEdit(b *testing.B) { newContainerWorld(b).measureEdit(b, 5) }

// BenchmarkContainerKill is [BenchmarkKill] on Podman.
func BenchmarkContainerKill(b *testing.B) {
	w := newContainerWorld(b)
	w.measureKill(b, w.containerPIDs)
}

// containerPIDs returns the processes of the instance of helloworld, by where they were
// told to serve.
func (w *world) containerPIDs(b *testing.B) []int {
	b.Helper()
	mark := "MICRO_ADDRESS=" + w.instance(b)
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		b.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(environ), "\x00"), mark) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
