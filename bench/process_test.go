package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/dynamic"
)

// rounds of each comparison of processes.
const rounds = 40

// BenchmarkVersion compares `micro version` with a program that prints a line.
// Budget: at most 2.
func BenchmarkVersion(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		m := takeTurns(rounds,
			w.process(b, "micro", "micro", "version"),
			w.process(b, "hello", "hello"))
		report(b, ratio(m["micro"], m["hello"]), "x-hello")
	}
}

// BenchmarkServer measures a start on an empty data directory, and what an idle
// server holds. Budgets: 300 ms, 60 MB.
func BenchmarkServer(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		var took []time.Duration
		var memory float64
		for range 7 {
			if err := os.RemoveAll(w.home); err != nil {
				b.Fatal(err)
			}
			if err := os.MkdirAll(w.home, 0o700); err != nil {
				b.Fatal(err)
			}
			took = append(took, w.start(b))
			time.Sleep(time.Second) // idle
			memory = rss(b, w.server.Process.Pid)
			w.stop(b)
		}
		b.ReportMetric(float64(median(took).Milliseconds()), "ms-ready")
		b.ReportMetric(memory, "MB-idle")
	}
}

// BenchmarkCall compares a warm `micro helloworld --name=Alice` as a whole process
// with a client compiled for the call, with grpcurl by reflection and with a compiled
// schema, with buf curl, and with a program that prints a line. Budgets: at most 1.2 of
// the client, 0.45 of grpcurl by reflection, 2 of the program.
func BenchmarkCall(b *testing.B) {
	w := newWorld(b)
	w.start(b)
	w.deploy(b)
	sides := []side{
		w.process(b, "micro", "micro", "helloworld", "--name=Alice"),
		w.process(b, "client", "client", w.proxy, w.token, "Alice"),
		w.process(b, "hello", "hello"),
	}
	text, err := os.ReadFile(w.token)
	if err != nil {
		b.Fatal(err)
	}
	header := "authorization: Bearer " + strings.TrimSpace(string(text))
	const body = `{"name": "Alice"}`
	if grpcurl := w.grpcurl(b); grpcurl != "" {
		schema := w.protoset(b)
		sides = append(sides,
			w.process(b, "grpcurl", grpcurl, "-plaintext", "-H", header, "-d", body, w.proxy, "helloworld.Helloworld/Call"),
			w.process(b, "grpcurl -protoset", grpcurl, "-plaintext", "-protoset", schema, "-H", header, "-d", body, w.proxy, "helloworld.Helloworld/Call"))
	}
	if buf := w.buf(b); buf != "" {
		sides = append(sides, w.process(b, "buf curl", buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge",
			"--schema", w.protoset(b), "-H", header, "-d", body, "http://"+w.proxy+"/helloworld.Helloworld/Call"))
	}
	for b.Loop() {
		m := takeTurns(rounds, sides...)
		report(b, ratio(m["micro"], m["client"]), "x-compiled-client")
		report(b, ratio(m["micro"], m["hello"]), "x-hello")
		report(b, ratio(m["micro"+ownTime], m["hello"+ownTime]), "own-time-x-hello")
		for unit, peer := range map[string]string{"x-grpcurl": "grpcurl", "x-grpcurl-protoset": "grpcurl -protoset", "x-buf-curl": "buf curl"} {
			if m[peer] > 0 {
				report(b, ratio(m["micro"], m[peer]), unit)
			}
		}
	}
}

// protoset returns a file with what helloworld speaks, compiled.
func (w *world) protoset(b *testing.B) string {
	b.Helper()
	raw, err := dynamic.CompileProto(b.Context(), []string{"proto/helloworld.proto"}, []string{w.project})
	if err != nil {
		b.Fatal(err)
	}
	name := filepath.Join(w.home, "helloworld.binpb")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		b.Fatal(err)
	}
	return name
}

// grpcurl returns the program, which is installed when it can be; empty when not.
func (w *world) grpcurl(b *testing.B) string {
	b.Helper()
	if path, err := exec.LookPath("grpcurl"); err == nil {
		return path
	}
	cmd := exec.CommandContext(b.Context(), "go", "install", "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4")
	cmd.Env = append(os.Environ(), "GOBIN="+w.bin, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Logf("without grpcurl: %v\n%s", err, out)
		return ""
	}
	return filepath.Join(w.bin, "grpcurl")
}

// BenchmarkEdit compares what follows the change of a line: `micro run .` and the
// first answer, with `go build` of the same service, both with warm caches. Budget:
// at most 1.5.
func BenchmarkEdit(b *testing.B) {
	w := newWorld(b)
	w.start(b)
	w.deploy(b)
	w.measureEdit(b, 11)
}

// measureEdit takes so many rounds.
func (w *world) measureEdit(b *testing.B, rounds int) {
	b.Helper()
	handler := filepath.Join(w.project, "handler", "helloworld.go")
	text, err := os.ReadFile(handler)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	edit := func() string {
		n++
		word := "Hello" + strings.Repeat("o", n)
		changed := strings.Replace(string(text), `"Hello "`, `"`+word+` "`, 1)
		if err := os.WriteFile(handler, []byte(changed), 0o600); err != nil {
			b.Fatal(err)
		}
		return word
	}
	build := side{name: "go build", run: func() {
		edit()
		cmd := w.command(b, "go", "build", "-o", filepath.Join(w.bin, "built"), ".")
		cmd.Dir = w.project
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("go build: %v\n%s", err, out)
		}
	}}
	run := side{name: "micro run", run: func() {
		word := edit()
		w.run(b, "run", w.project)
		if out := w.run(b, "helloworld", "--name=Alice"); !strings.Contains(out, word+" Alice") {
			b.Fatalf("the answer is of another build: %s", out)
		}
	}}
	unchanged := side{name: "unchanged", run: func() { w.run(b, "run", w.project) }}
	for b.Loop() {
		m := takeTurns(rounds, build, run, unchanged)
		report(b, ratio(m["micro run"], m["go build"]), "x-go-build")
		report(b, ratio(m["unchanged"], m["go build"]), "x-go-build-unchanged")
	}
}

func ratio[T ~int64](a, b T) float64 { return float64(a) / float64(b) }
