package tui

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
)

// many returns a driver with so many services, and the frame of their figures.
func many(n int) (*driver, *statsv1.WatchResponse) {
	d := newDriver(testConfig())
	d.send(tea.WindowSizeMsg{Width: 200, Height: 60})
	msgs := []tea.Msg{startMsg{"run"}}
	figures := &statsv1.Frame{}
	for i := range n {
		name := fmt.Sprintf("service-%04d", i)
		msgs = append(msgs, &runtimev1.WatchResponse{Service: &runtimev1.Service{
			Name: name, Instances: 1, Spec: &runtimev1.Spec{Version: "latest"},
			Status: &runtimev1.Status{Phase: runtimev1.Phase_PHASE_RUNNING, Release: 1, ServingRelease: 1, Instances: []*runtimev1.Instance{{Id: name + "-1", Release: 1, Phase: runtimev1.Phase_PHASE_RUNNING}}},
		}})
		figures.Services = append(figures.Services, &statsv1.Service{
			Name: name, Figures: &statsv1.Figures{Calls: 100, Rate: 3, P50: durationpb.New(time.Millisecond), P95: durationpb.New(3 * time.Millisecond)}, Usage: &statsv1.Usage{Cpu: 0.1, Memory: 1 << 24}, Points: points(keptPoints),
		})
	}
	d.feed("services", append(msgs, &runtimev1.WatchResponse{Synced: true})...)
	return d, &statsv1.WatchResponse{Frame: figures}
}

// flood is what a second of 10,000 lines hands over in a frame.
func flood(from int) taggedLines {
	t := taggedLines{service: "service-0000"}
	for i := range 10_000 / framesPerSecond {
		t.lines = append(t.lines, &runtimev1.LogLine{Time: timestamppb.New(clock()), Instance: "service-0000-1", Text: fmt.Sprintf("time=2026-11-30T12:00:00Z level=INFO msg=\"request %d\" path=/orders took=1.2ms \x1b[32mok\x1b[0m", from+i)})
	}
	return t
}

// BenchmarkFrame measures what a frame takes, from the message to the lines: of a
// thousand services whose figures have all changed, and of a log of 10,000 lines a
// second, with and without a filter.
func BenchmarkFrame(b *testing.B) {
	b.Run("1000services", func(b *testing.B) {
		d, figures := many(1000)
		b.ReportAllocs()
		for b.Loop() {
			d.feed("stats", figures)
			d.m.View()
		}
	})
	for name, keys := range map[string]string{"flood": "l", "flood-filtered": "l/request 9<enter>"} {
		b.Run(name, func(b *testing.B) {
			d, _ := many(10)
			d.keys(keys)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				d.feed("logs of service-0000", flood(n))
				d.m.View()
				n += 10_000 / framesPerSecond
			}
		})
	}
}

// BenchmarkFollow measures the same of a command that is followed.
func BenchmarkFollow(b *testing.B) {
	d := newDriver(testConfig())
	d.m.width, d.m.height = 200, 60
	d.follow("logs of service-0000")
	var msgs []tea.Msg
	for _, l := range flood(0).lines {
		msgs = append(msgs, outputLine{l.GetText(), clock()})
	}
	b.ReportAllocs()
	for b.Loop() {
		d.feed("output", msgs...)
		d.m.View()
	}
}

// Memory does not grow with what has been written: after an hour of 10,000 lines a
// second it is what it was after a minute.
func TestMemoryIsFlat(t *testing.T) { // not beside others, whose memory it would count
	minutes := 2
	if os.Getenv("MICRO_SOAK") != "" {
		minutes = 60
	}
	d, figures := many(10)
	d.keys("l")
	n := 0
	minute := func() uint64 {
		for i := range 60 * framesPerSecond {
			d.feed("logs of service-0000", flood(n))
			n += 10_000 / framesPerSecond
			if i%framesPerSecond == 0 {
				d.feed("stats", figures)
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	first := minute()
	var last uint64
	for range minutes - 1 {
		last = minute()
	}
	t.Logf("%d lines; %d MB after a minute, %d MB in the end", n, first>>20, last>>20)
	if last > first+first/4+(4<<20) {
		t.Errorf("%d bytes after a minute, %d after %d minutes", first, last, minutes)
	}
}
