package bench

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/image/registry"
)

// buildRounds is how often each side of a comparison of builds takes its turn.
const buildRounds = 7

// edits changes one line of helloworld, each time to something new.
func (w *world) edits(b *testing.B) func() {
	b.Helper()
	handler := filepath.Join(w.project, "handler", "helloworld.go")
	text, err := os.ReadFile(handler)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	return func() {
		n++
		changed := strings.Replace(string(text), `"Hello "`, `"Hello`+strings.Repeat("o", n)+` "`, 1)
		if err := os.WriteFile(handler, []byte(changed), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// in returns a side that runs a command in the project.
func (w *world) in(b *testing.B, name string, before func(), env []string, args ...string) side {
	b.Helper()
	return side{name: name, run: func() {
		before()
		cmd := w.command(b, args[0], args[1:]...)
		cmd.Dir = w.project
		cmd.Env = append(cmd.Env, env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%s: %v\n%s", name, err, out)
		}
	}}
}

// BenchmarkBuild compares `micro build` as a whole process, to an image in a layout on
// the disk, with `go build -trimpath` of the same change of a line, with no change, and
// with ko when MICRO_BENCH_ALL is set: it takes minutes to install. Budgets: a changed
// line at most 0.8, no change at most 0.25 of go build.
func BenchmarkBuild(b *testing.B) {
	w := newWorld(b)
	w.run(b, "new", w.project)
	edit := w.edits(b)
	nothing := func() {}
	layout := filepath.Join(w.home, "layout")
	sides := []side{
		w.in(b, "go build", edit, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-o", filepath.Join(w.bin, "built"), "."),
		w.in(b, "micro build", edit, nil, "micro", "build", "--output", "oci:"+layout),
		w.in(b, "unchanged", nothing, nil, "micro", "build", "--output", "oci:"+layout),
	}
	if ko := w.ko(b); ko != "" {
		// It takes the directory for a name, which may have no capital letters.
		dir, err := os.MkdirTemp("", "micro-ko-") //nolint:usetesting // that has the name of the benchmark in it
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(dir) })
		env := []string{"KO_DEFAULTBASEIMAGE=" + w.base(b), "GOFLAGS=-buildvcs=false"}
		args := []string{ko, "build", "--push=false", "--oci-layout-path", dir, "--sbom=none", "."}
		sides = append(sides, w.in(b, "ko", edit, env, args...), w.in(b, "ko unchanged", nothing, env, args...))
	}
	for b.Loop() {
		m := takeTurns(buildRounds, sides...)
		for unit, name := range map[string]string{
			"x-go-build": "micro build", "x-go-build-unchanged": "unchanged", "ko-x-go-build": "ko", "ko-x-go-build-unchanged": "ko unchanged",
		} {
			if m[name] > 0 {
				report(b, ratio(m[name], m["go build"]), unit)
			}
		}
	}
	b.ReportMetric(w.builtSize(b), "MB-image")
}

// builtSize returns how large the image of the project is.
func (w *world) builtSize(b *testing.B) float64 {
	b.Helper()
	cmd := w.command(b, "micro", "build", "-o", "json")
	cmd.Dir = w.project
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	var built struct{ Size float64 }
	if err := json.Unmarshal(out, &built); err != nil {
		b.Fatal(err)
	}
	return built.Size / 1e6
}

// ko returns the program, which is installed when everything is to be measured.
func (w *world) ko(b *testing.B) string {
	b.Helper()
	if path, err := exec.LookPath("ko"); err == nil {
		return path
	}
	if os.Getenv("MICRO_BENCH_ALL") == "" {
		return ""
	}
	cmd := exec.CommandContext(b.Context(), "go", "install", "github.com/google/ko@v0.19.1")
	cmd.Env = append(os.Environ(), "GOBIN="+w.bin, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Logf("without ko: %v\n%s", err, out)
		return ""
	}
	return filepath.Join(w.bin, "ko")
}

// base puts an image that ko can build on into a registry of this process.
func (w *world) base(b *testing.B) string {
	b.Helper()
	r, err := registry.Open(b.TempDir(), registry.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s := httptest.NewServer(r)
	b.Cleanup(s.Close)
	ref := strings.TrimPrefix(s.URL, "http://") + "/bench/base:v1"
	w.run(b, "build", w.project, "--output", ref)
	return ref
}

// BenchmarkCold compares a first build on a machine that has compiled nothing: by go
// build, by micro build, and by micro build with a seed of the build cache that another
// machine has shared. It takes minutes, and MICRO_BENCH_ALL to be run. Budget: with a
// seed at most 0.1 of without.
func BenchmarkCold(b *testing.B) {
	if os.Getenv("MICRO_BENCH_ALL") == "" {
		b.Skip("it takes minutes; set MICRO_BENCH_ALL")
	}
	w := newWorld(b)
	w.start(b)
	w.deploy(b)
	nothing := func() {}
	cold := func() []string {
		dir := b.TempDir()
		return []string{"GOCACHE=" + filepath.Join(dir, "go"), "XDG_CACHE_HOME=" + dir, "CGO_ENABLED=0"}
	}
	clean := func() {
		for _, dir := range []string{"build", "seeded"} {
			if err := os.RemoveAll(filepath.Join(w.home, "cache", dir)); err != nil {
				b.Fatal(err)
			}
		}
	}
	took := func(s side) time.Duration {
		clean()
		began := time.Now()
		s.run()
		return time.Since(began)
	}
	for b.Loop() {
		plain := took(w.in(b, "go build", nothing, cold(), "go", "build", "-trimpath", "-o", filepath.Join(w.bin, "built"), "."))
		shared := took(w.in(b, "cold", nothing, cold(), "micro", "build", "--share-cache"))
		seeded := took(w.in(b, "seeded", nothing, cold(), "micro", "build"))
		report(b, ratio(shared, plain), "x-go-build")
		report(b, ratio(seeded, shared), "seeded-x-cold")
	}
}
