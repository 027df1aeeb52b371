package bench

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// plain starts a fixture and makes it an environment. It returns its address.
func (w *world) plain(b *testing.B, env string, args ...string) string {
	b.Helper()
	address := w.fixture(b, env, args...)
	w.run(b, "env", "add", env, address)
	return address
}

// warm makes sure that a command does what it should, and that its schema is on disk.
func (w *world) warm(b *testing.B, want string, args ...string) {
	b.Helper()
	if out := w.run(b, args...); !strings.Contains(out, want) {
		b.Fatalf("micro %s: %s", strings.Join(args, " "), out)
	}
}

// BenchmarkCompletion compares TAB on the name of a flag as a whole process with a
// program that prints a line, for a service of 20 methods and for one of 2,000, and
// with buf completing its own flags if it is there. Budgets: at most 1.6 of the
// program, 2,000 methods at most 1.1 of 20.
func BenchmarkCompletion(b *testing.B) {
	w := newWorld(b)
	w.plain(b, "many", "-methods", "2000", "-services", "100")
	small := []string{"-e", "many", "many.v1.Service7", "method3", "--te"}
	large := []string{"-e", "many", "large.v1.Large", "method1003", "--te"}
	for _, line := range [][]string{small, large} {
		w.run(b, append(slices.Clone(line[:4]), "--text=x")...) // TAB waits 300 ms for a schema, and no longer
		w.warm(b, "--text\tstring", append([]string{"__complete"}, line...)...)
	}
	w.run(b, "-e", "many", "services")
	w.warm(b, "many.v1.Service99", "__complete", "-e", "many", "many")
	sides := []side{
		w.process(b, "flag", "micro", append([]string{"__complete"}, small...)...),
		w.process(b, "flag of 2000", "micro", append([]string{"__complete"}, large...)...),
		w.process(b, "endpoint of 2000", "micro", "__complete", "-e", "many", "large.v1.Large", "method19"),
		w.process(b, "service of 101", "micro", "__complete", "-e", "many", "many"),
		w.process(b, "hello", "hello"),
	}
	if buf := w.buf(b); buf != "" {
		sides = append(sides, w.process(b, "buf", buf, "__complete", "curl", "--"))
	}
	for b.Loop() {
		m := takeTurns(rounds, sides...)
		report(b, ratio(m["flag"], m["hello"]), "x-hello")
		report(b, ratio(m["flag of 2000"], m["flag"]), "2000-methods/20")
		report(b, ratio(m["endpoint of 2000"], m["hello"]), "endpoint-of-2000-x-hello")
		report(b, ratio(m["service of 101"], m["hello"]), "service-of-101-x-hello")
		b.ReportMetric(float64(m["flag"].Microseconds())/1000, "ms")
		if m["buf"] > 0 {
			report(b, ratio(m["flag"], m["buf"]), "x-buf")
		}
	}
}

// buf returns the program, which is installed when it can be; empty when not. It takes
// minutes to compile, and so only MICRO_BENCH_ALL makes it come.
func (w *world) buf(b *testing.B) string {
	b.Helper()
	if path, err := exec.LookPath("buf"); err == nil {
		return path
	}
	if os.Getenv("MICRO_BENCH_ALL") == "" {
		return ""
	}
	cmd := exec.CommandContext(b.Context(), "go", "install", "github.com/bufbuild/buf/cmd/buf@v1.75.0")
	cmd.Env = append(os.Environ(), "GOBIN="+w.bin, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Logf("without buf: %v\n%s", err, out)
		return ""
	}
	return filepath.Join(w.bin, "buf")
}

// BenchmarkManyMethods compares a warm call and a page of help in an environment of
// 100 services of 20 methods and one of 2,000 with the same of a server of one service.
// Budget: at most 1.1. The time of a call of 2,000 methods is mostly the server's, which
// makes the answer of reflection anew each time; the process's own tells what is ours.
func BenchmarkManyMethods(b *testing.B) {
	w := newWorld(b)
	w.plain(b, "one", "-services", "1")
	w.plain(b, "many", "-methods", "2000", "-services", "100")
	call := func(env, service, method string) []string {
		return []string{"-e", env, service, method, "--text=hi"}
	}
	help := func(env, service, method string) []string { return []string{"-e", env, service, method, "--help"} }
	sides := []side{
		w.process(b, "call one", "micro", call("one", "many.v1.Service0", "method3")...),
		w.process(b, "call many", "micro", call("many", "many.v1.Service0", "method3")...),
		w.process(b, "call large", "micro", call("many", "large.v1.Large", "method3")...),
		w.process(b, "help one", "micro", help("one", "many.v1.Service0", "method3")...),
		w.process(b, "help many", "micro", help("many", "many.v1.Service0", "method3")...),
		w.process(b, "help large", "micro", help("many", "large.v1.Large", "method3")...),
	}
	for _, of := range [][2]string{{"one", "many.v1.Service0"}, {"many", "many.v1.Service0"}, {"many", "large.v1.Large"}} {
		w.warm(b, "hi", call(of[0], of[1], "method3")...)
		w.warm(b, "--text", help(of[0], of[1], "method3")...)
	}
	for b.Loop() {
		m := takeTurns(rounds, sides...)
		report(b, ratio(m["call many"], m["call one"]), "call-of-100-services/1")
		report(b, ratio(m["call large"], m["call one"]), "call-of-2000-methods/20")
		report(b, ratio(m["call large"+ownTime], m["call one"+ownTime]), "own-time-of-2000-methods/20")
		report(b, ratio(m["help many"], m["help one"]), "help-of-100-services/1")
		report(b, ratio(m["help large"], m["help one"]), "help-of-2000-methods/20")
	}
}

// messages is how many a stream has.
const messages = 100_000

// BenchmarkStream compares a stream of 100,000 messages, out and in, with grpcurl, and
// its memory with that of a stream of 1,000. Budgets: less than 1, at most 1.5.
func BenchmarkStream(b *testing.B) {
	w := newWorld(b)
	address := w.plain(b, "plain")
	grpcurl := w.grpcurl(b)
	lines := func(n int) string { return strings.Repeat(`{"string":"some text"}`+"\n", n) }
	// Each returns the peak of the process's memory.
	peaks := map[string]float64{}
	piped := func(name, input, program string, args ...string) side {
		return side{name: name, run: func() {
			cmd := w.command(b, program, args...)
			cmd.Stdin, cmd.Stdout = strings.NewReader(input), io.Discard
			if err := cmd.Run(); err != nil {
				b.Fatalf("%s: %v", name, err)
			}
			peaks[name] = max(peaks[name], peak(cmd))
		}}
	}
	out := []string{"-e", "plain", "fixture.v1.Everything", "count", "--text=hi", "--count"}
	in := []string{"-e", "plain", "fixture.v1.Everything", "collect"}
	w.warm(b, `"number":2`, append(out, "2")...)
	sides := []side{
		piped("out", "", "micro", append(out, "100000")...),
		piped("few out", "", "micro", append(out, "1000")...),
		piped("in", lines(messages), "micro", in...),
		piped("few in", lines(messages/100), "micro", in...),
	}
	if grpcurl != "" {
		sides = append(sides,
			piped("grpcurl out", "", grpcurl, "-plaintext", "-d", `{"text":"hi","count":100000}`, address, "fixture.v1.Everything/Count"),
			piped("grpcurl in", lines(messages), grpcurl, "-plaintext", "-d", "@", address, "fixture.v1.Everything/Collect"))
	}
	for b.Loop() {
		m := takeTurns(3, sides...)
		b.ReportMetric(messages/m["out"].Seconds(), "out/s")
		b.ReportMetric(messages/m["in"].Seconds(), "in/s")
		b.ReportMetric(peaks["out"], "MB-out")
		b.ReportMetric(peaks["in"], "MB-in")
		report(b, peaks["out"]/peaks["few out"], "memory-out/few")
		report(b, peaks["in"]/peaks["few in"], "memory-in/few")
		if grpcurl != "" {
			report(b, ratio(m["out"], m["grpcurl out"]), "out-x-grpcurl")
			report(b, ratio(m["in"], m["grpcurl in"]), "in-x-grpcurl")
		}
	}
}
