package cli

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
func TestLogsAfterABreak(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)
	var all []*runtimev1.LogLine
	var want []string
	for i := range 60 {
		l := &runtimev1.LogLine{
			Instance: string(rune('a' + i/3%2)),
			Time:     timestamppb.New(start.Add(time.Duration(i/4) * time.Second)),
			Text:     strconv.Itoa(i),
		}
		all = append(all, l)
		want = append(want, l.GetText())
	}
	for broken := range all {
		var got []string
		r := logReader{print: func(l *runtimev1.LogLine) error {
			got = append(got, l.GetText())
			return nil
		}, flush: noFlush}
		s := &serviceReader{known: map[string]*lastLine{}}
		if err := r.showNew(s, s.begin(), all[:broken]); err != nil {
			t.Fatal(err)
		}
		var again []*runtimev1.LogLine
		for _, l := range all {
			if !l.GetTime().AsTime().Before(s.since.AsTime()) {
				again = append(again, l)
			}
		}
		if broken > 50 && len(again) == len(all) {
			t.Errorf("all lines are asked for again")
		}
		if err := r.showNew(s, s.begin(), again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("broken off after %d: lines (-want +got):\n%s", broken, diff)
		}
	}
}

// Lines before the first of the last ones are not shown later.
func TestLogsAfterTheLast(t *testing.T) {
	t.Parallel()
	at := timestamppb.New(time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC))
	line := func(instance, text string) *runtimev1.LogLine {
		return &runtimev1.LogLine{Instance: instance, Time: at, Text: text}
	}
	var got []string
	r := logReader{print: func(l *runtimev1.LogLine) error {
		got = append(got, l.GetText())
		return nil
	}, flush: noFlush}
	r.add("alpha")
	s := r.services[0]
	held := []*runtimev1.LogLine{line("a", "2"), line("a", "3")} // of a batch with one time
	for _, l := range held {
		s.keep(l)
	}
	if err := r.showLast(held); err != nil {
		t.Fatal(err)
	}
	later := line("a", "4")
	later.Time = timestamppb.New(at.AsTime().Add(time.Second))
	if err := r.showNew(s, s.begin(), []*runtimev1.LogLine{line("a", "1"), line("a", "2"), line("a", "3"), later}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2", "3", "4"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if !s.since.AsTime().Equal(at.AsTime()) {
		t.Errorf("lines are asked for since %v, want %v", s.since.AsTime(), at.AsTime())
	}
}

func noFlush() error { return nil }

func TestPastTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 5, 10, 30, 0, 0, time.Local)
	for s, want := range map[string]time.Time{
		"10m":                  now.Add(-10 * time.Minute),
		"2d":                   now.Add(-48 * time.Hour),
		"09:15":                time.Date(2026, 11, 5, 9, 15, 0, 0, time.Local),
		"09:15:02":             time.Date(2026, 11, 5, 9, 15, 2, 0, time.Local),
		"2026-11-04":           time.Date(2026, 11, 4, 0, 0, 0, 0, time.Local),
		"2026-11-04 09:15":     time.Date(2026, 11, 4, 9, 15, 0, 0, time.Local),
		"2026-11-04T09:15:02":  time.Date(2026, 11, 4, 9, 15, 2, 0, time.Local),
		"2026-11-04T09:15:02Z": time.Date(2026, 11, 4, 9, 15, 2, 0, time.UTC),
	} {
		if got, ok := pastTime(s, now); !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "-10m", "0s", "never", "yesterday", "25:00", "2026-13-01", "10"} {
		if got, ok := pastTime(s, now); ok {
			t.Errorf("%q is %v", s, got)
		}
	}
}
