package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// floodLines is how many lines a flood writes: as many as are kept.
const floodLines = 300_000

// flooded is what came of a flood.
type flooded struct {
	took  time.Duration // from the first line to the last
	lines int
	most  float64 // the largest of what sample returned while they came
}

// readFlood reads a flood of n lines.
func readFlood(r io.Reader, n int, sample func() float64) (flooded, error) {
	var f flooded
	var began time.Time
	last := fmt.Sprintf("line %d of ", n)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text := lines.Text()
		if began.IsZero() && strings.Contains(text, "line 1 of ") {
			began = time.Now()
		}
		if began.IsZero() {
			continue
		}
		if f.lines++; f.lines%10_000 == 0 {
			f.most = max(f.most, sample())
		}
		if strings.Contains(text, last) {
			f.took = time.Since(began)
			return f, nil
		}
	}
	return f, fmt.Errorf("it ended after %d lines: %w", f.lines, lines.Err())
}

// BenchmarkFollow measures how fast `micro logs -f` shows what a service writes as fast as
// it can, against the same program that writes to a pipe, and how much more the server holds
// at most meanwhile than when it is idle.
func BenchmarkFollow(b *testing.B) {
	w := newWorld(b)
	w.start(b)
	w.login(b)
	flood, err := filepath.Abs("peer/flood")
	if err != nil {
		b.Fatal(err)
	}
	w.run(b, "run", flood, "--env-var", "LINES=0")
	w.stop(b) // what it held to take the image
	w.start(b)
	for b.Loop() {
		var followed, piped []time.Duration
		var most float64
		before := rss(b, w.pid)
		for round := range 5 {
			n := floodLines + round
			f := w.follow(b, flood, n)
			most = max(most, f.most)
			if f.lines < n {
				b.Fatalf("%d of %d lines are shown", f.lines, n)
			}
			followed = append(followed, f.took)
			piped = append(piped, w.pipe(b, n).took)
		}
		b.ReportMetric(floodLines/median(followed).Seconds(), "lines/s")
		b.ReportMetric(most-before, "MB-more")
		report(b, ratio(median(followed), median(piped)), "x-pipe")
	}
}

// follow follows the service while it writes n lines.
func (w *world) follow(b *testing.B, source string, n int) flooded {
	b.Helper()
	cmd := w.command(b, "micro", "logs", "-f", "flood", "-n", "1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	follows, failed := make(chan struct{}), make(chan error, 1)
	var f flooded
	go func() {
		r := bufio.NewReader(out)
		_, err := r.Peek(1) // the last line that there was
		close(follows)
		if err == nil {
			f, err = readFlood(r, n, func() float64 { return rss(b, w.pid) })
		}
		failed <- err
	}()
	<-follows
	w.run(b, "run", source, "--env-var", fmt.Sprintf("LINES=%d", n))
	select {
	case err = <-failed:
	case <-time.After(time.Minute):
		err = context.DeadlineExceeded
	}
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// pipe reads what the program writes to a pipe.
func (w *world) pipe(b *testing.B, n int) flooded {
	b.Helper()
	cmd := w.command(b, "flood")
	cmd.Env = append(cmd.Env, fmt.Sprintf("LINES=%d", n), "MICRO_ADDRESS=127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	f, err := readFlood(out, n, func() float64 { return 0 })
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// BenchmarkDev compares what follows a save while `micro dev` runs, until the first answer
// of what was saved, with `go build` of the same service, both with warm caches. A second
// source is built, so that what is saved there is nothing to `micro dev`.
func BenchmarkDev(b *testing.B) {
	w := newWorld(b)
	w.start(b)
	w.login(b)
	w.run(b, "new", w.project)
	other := *w
	other.project = filepath.Join(w.home, "helloworld")
	w.run(b, "new", other.project)

	running := make(chan struct{}, 1)
	dev := w.command(b, "micro", "dev", w.project)
	dev.Stderr = &lineWriter{onLine: func(line string) {
		if strings.Contains(line, " runs, after ") {
			running <- struct{}{}
		}
	}}
	if err := dev.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = dev.Process.Signal(os.Interrupt)
		_ = dev.Wait()
	})
	await := func() {
		select {
		case <-running:
		case <-time.After(2 * time.Minute):
			b.Fatal("it does not run")
		}
	}
	await()

	edit, n := w.edits(b), 0
	save := side{name: "micro dev", run: func() {
		edit()
		n++
		await()
		if out := w.run(b, "helloworld", "--name=Alice"); !strings.Contains(out, "Hello"+strings.Repeat("o", n)+" Alice") {
			b.Fatalf("the answer is of another build: %s", out)
		}
	}}
	build := other.in(b, "go build", other.edits(b), nil, "go", "build", "-o", filepath.Join(w.bin, "built"), ".")
	for b.Loop() {
		m := takeTurns(11, build, save)
		report(b, ratio(m["micro dev"], m["go build"]), "x-go-build")
		b.ReportMetric(float64(m["micro dev"].Milliseconds()), "ms-save-to-answer")
	}
}
