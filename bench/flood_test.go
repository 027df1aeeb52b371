package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

const (
	floodRate   = 100 // MB of lines a second
	floodTurn   = 2 * time.Second
	floodRounds = 5
)

// BenchmarkFlood measures how long calls of a service take while another one writes 100 MB
// of lines a second, against when it does not; and against when the same program writes
// as much to whoever throws it away, since it takes its part of the two processors then
// too. It fails when a line of the flood is gone that is not counted.
func BenchmarkFlood(b *testing.B) {
	w := newWorld(b)
	w.start(b)
	w.deploy(b)
	token, err := os.ReadFile(w.token)
	if err != nil {
		b.Fatal(err)
	}
	w.run(b, "run", filepath.Join(w.bin, "flood"), "--env-var", "LINES=0")
	kept, thrown := w.floodAddress(b), w.floodBeside(b)
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+strings.TrimSpace(string(token)), "micro-service", "helloworld")
	call := grpcCall(ctx, dial(b, w.proxy))
	for b.Loop() {
		quiet, beside, under := &calls{}, &calls{}, &calls{}
		var rates []float64
		for range floodRounds {
			quiet.turn(b, call)
			setRate(b, thrown, floodRate)
			beside.turn(b, call)
			setRate(b, thrown, 0)
			before, began := setRate(b, kept, floodRate), time.Now()
			under.turn(b, call)
			rates = append(rates, float64(setRate(b, kept, 0)-before)/1e6/time.Since(began).Seconds())
		}
		report(b, ratio(under.at(50), quiet.at(50)), "x-quiet")
		report(b, ratio(under.at(99), quiet.at(99)), "x-quiet-p99")
		report(b, ratio(under.at(50), beside.at(50)), "x-thrown-away")
		report(b, ratio(under.at(99), beside.at(99)), "x-thrown-away-p99")
		b.ReportMetric(float64(quiet.at(50).Microseconds()), "us-quiet")
		slices.Sort(rates)
		b.ReportMetric(rates[len(rates)/2], "MB/s")
		b.ReportMetric(float64(w.countLost(b)), "lines-lost")
	}
}

// calls is how long each of some calls took.
type calls struct{ took []time.Duration }

// turn makes one call after the other for a while.
func (c *calls) turn(b *testing.B, call func() error) {
	b.Helper()
	time.Sleep(100 * time.Millisecond) // what was before has ended
	for end := time.Now().Add(floodTurn); time.Now().Before(end); {
		began := time.Now()
		if err := call(); err != nil {
			b.Fatal(err)
		}
		c.took = append(c.took, time.Since(began))
	}
}

// at returns how long so many percent of the calls took at most.
func (c *calls) at(percent int) time.Duration {
	slices.Sort(c.took)
	return c.took[len(c.took)*percent/100]
}

// setRate tells a flood how much to write, and returns how much it has written.
func setRate(b *testing.B, address string, mb int) (written int64) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, fmt.Sprintf("http://%s/rate?mb=%d", address, mb), nil)
	if err != nil {
		b.Fatal(err)
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer rsp.Body.Close()
	if _, err := fmt.Fscan(rsp.Body, &written); err != nil {
		b.Fatal(err)
	}
	return written
}

// floodAddress returns where the flood listens that the server runs.
func (w *world) floodAddress(b *testing.B) string {
	b.Helper()
	ctx, client := w.runtime(b)
	rsp, err := client.Get(ctx, &runtimev1.GetRequest{Name: "flood"})
	if err != nil {
		b.Fatal(err)
	}
	return rsp.GetService().GetStatus().GetInstances()[0].GetAddress()
}

// floodBeside starts a flood that is nobody's service, and returns where it listens.
func (w *world) floodBeside(b *testing.B) string {
	b.Helper()
	cmd := w.command(b, "flood")
	cmd.Env = append(cmd.Env, "LINES=0", "MICRO_ADDRESS=127.0.0.1:0")
	said, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	go func() { _, _ = io.Copy(io.Discard, out) }()
	address, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// countLost returns how many lines of the flood are gone, after a look at all that are
// not: each line is either shown or counted.
func (w *world) countLost(b *testing.B) int64 {
	b.Helper()
	cmd := w.command(b, "micro", "logs", "flood", "-n", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	var lost, next, n int64
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		text := lines.Text()
		if _, err := fmt.Sscanf(text, "-- %d older lines are gone", &n); err == nil {
			lost += n
			if next == 0 {
				n -= 2 // those of the start and of the address are gone too
			}
			next += n
			continue
		}
		if _, err := fmt.Sscanf(text, "line %d of", &n); err != nil {
			continue
		}
		if next++; n != next {
			b.Fatalf("line %d comes where line %d should", n, next)
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		b.Fatal(err)
	}
	return lost
}
