package resume

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// Wherever a stream breaks off, the next one shows what the first did not, and nothing
// twice, also where lines have the same time.
func TestAfterABreak(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)
	var all []*runtimev1.LogLine
	for i := range 60 {
		all = append(all, &runtimev1.LogLine{
			Instance: string(rune('a' + i/3%2)),
			Time:     timestamppb.New(start.Add(time.Duration(i/4) * time.Second)),
			Text:     strconv.Itoa(i),
		})
	}
	for broken := range all {
		p := At(nil)
		p.Begin()
		got := p.Fresh(all[:broken])
		var again []*runtimev1.LogLine
		for _, l := range all {
			if !l.GetTime().AsTime().Before(p.Since().AsTime()) {
				again = append(again, l)
			}
		}
		if broken > 50 && len(again) == len(all) {
			t.Errorf("all lines are asked for again")
		}
		p.Begin()
		got = append(got, p.Fresh(again)...)
		if diff := cmp.Diff(texts(all), texts(got)); diff != "" {
			t.Fatalf("broken off after %d: lines (-want +got):\n%s", broken, diff)
		}
	}
}

// Lines before the first of the last ones are not shown later.
func TestAfterTheLast(t *testing.T) {
	t.Parallel()
	at := timestamppb.New(time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC))
	line := func(instance, text string) *runtimev1.LogLine {
		return &runtimev1.LogLine{Instance: instance, Time: at, Text: text}
	}
	p := At(nil)
	p.Begin()
	got := p.Fresh([]*runtimev1.LogLine{line("a", "2"), line("a", "3")}) // of a batch with one time
	p.From(at)
	later := line("a", "4")
	later.Time = timestamppb.New(at.AsTime().Add(time.Second))
	p.Begin()
	got = append(got, p.Fresh([]*runtimev1.LogLine{line("a", "1"), line("a", "2"), line("a", "3"), later})...)
	if diff := cmp.Diff([]string{"2", "3", "4"}, texts(got)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if !p.Since().AsTime().Equal(at.AsTime()) {
		t.Errorf("lines are asked for since %v, want %v", p.Since().AsTime(), at.AsTime())
	}
}

func texts(lines []*runtimev1.LogLine) []string {
	var all []string
	for _, l := range lines {
		all = append(all, l.GetText())
	}
	return all
}
