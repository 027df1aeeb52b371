package words

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
)

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64][2]string{
		0: {"0 B", "0B"}, 999: {"999 B", "999B"}, 1000: {"1000 B", "1K"}, 1023: {"1023 B", "1K"}, 1024: {"1.0 KiB", "1K"}, 1536: {"1.5 KiB", "2K"},
		1<<20 - 1: {"1.0 MiB", "1M"}, 1 << 20: {"1.0 MiB", "1M"}, 1023448: {"999.5 KiB", "999K"}, 1023488: {"999.5 KiB", "1M"},
		1<<30 - 1: {"1.0 GiB", "1G"}, 5 << 30: {"5.0 GiB", "5G"}, 1 << 50: {"1024.0 TiB", "1P"},
	} {
		if got := [2]string{Size(n), ShortSize(n)}; got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		-time.Hour: "just now", 0: "just now", 1999 * time.Millisecond: "just now", 2 * time.Second: "2s ago",
		119 * time.Second: "119s ago", 2 * time.Minute: "2m ago", 119 * time.Minute: "119m ago", 2 * time.Hour: "2h ago",
		47 * time.Hour: "47h ago", 48 * time.Hour: "2d ago", 1000 * time.Hour: "41d ago",
	} {
		if got := Ago(now, now.Add(-d)); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
	if got := Ago(now, (&runtimev1.Status{}).GetUpdated().AsTime()); got != "-" {
		t.Errorf("never: got %q, want -", got)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ got, want string }{
		{Latency(nil), "-"},
		{Latency(durationpb.New(0)), "0s"},
		{Latency(durationpb.New(1234 * time.Microsecond)), "1.23ms"},
		{Latency(durationpb.New(83456 * time.Millisecond)), "1m23.5s"},
		{Failed(nil), "-"},
		{Failed(&statsv1.Figures{Calls: 3}), "0%"},
		{Failed(&statsv1.Figures{Calls: 3, Failed: 1}), "33%"},
		{CPU(nil), "-"},
		{CPU(&statsv1.Usage{Cpu: 1.5}), "150%"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"": "", "a/b:latest": "a/b:latest", "h/a@sha256:0123456789abcdef0123": "0123456789ab", "h/a@sha256:012": "012", "h/a@sha256:": "",
	} {
		if got := Digest(image); got != want {
			t.Errorf("Digest(%q): got %q, want %q", image, got, want)
		}
	}
	for want, s := range map[string]*runtimev1.Source{
		"-": nil, "a/b": {Address: "a/b"}, "a/b/c@d": {Address: "a/b", Folder: "c", Ref: "d"},
	} {
		if got := Source(s); got != want {
			t.Errorf("Source(%v): got %q, want %q", s, got, want)
		}
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	now := &runtimev1.Status{Release: 4, ServingRelease: 3}
	served := (&runtimev1.Release{Number: 2, Action: "rollback", Of: 1})
	for want, r := range map[string]*runtimev1.Release{
		"current": {Number: 4}, "serving": {Number: 3}, "failed": {Number: 2},
	} {
		if got := ReleaseState(r, now); got != want {
			t.Errorf("release %d: got %q, want %q", r.GetNumber(), got, want)
		}
	}
	if got := ReleaseAction(served); got != "rollback of 1" {
		t.Errorf("got %q", got)
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	const running, crashed = runtimev1.Phase_PHASE_RUNNING, runtimev1.Phase_PHASE_CRASHED
	for want, s := range map[string]*runtimev1.Service{
		"running 1/1 release 2": {Status: &runtimev1.Status{Phase: running, Release: 2, ServingRelease: 2, Instances: []*runtimev1.Instance{{Phase: running, Release: 2}}}},
		"running 1/3 release 2": {Instances: 3, Status: &runtimev1.Status{Phase: running, Reason: "is not told of", Release: 2, Instances: []*runtimev1.Instance{{Phase: running, Release: 2}, {Phase: running, Release: 1}}}},
		"crashed 0/1 release 4": {Status: &runtimev1.Status{Phase: crashed, Release: 4}},
		"crashed 0/1 release 4: exited with code 2; most likely: it panicked (release 3 serves)": {Status: &runtimev1.Status{
			Phase: crashed, Release: 4, ServingRelease: 3,
			Instances: []*runtimev1.Instance{{Phase: running, Release: 3, Reason: "no"}, {Phase: crashed, Release: 4, Reason: "exited with code 2", Cause: "it panicked"}},
		}},
		"crashed 0/1 release 4: most likely: it panicked": {Status: &runtimev1.Status{Phase: crashed, Release: 4, Instances: []*runtimev1.Instance{{Phase: crashed, Cause: "it panicked"}}}},
		"unspecified 0/1 release 0":                       nil,
	} {
		if got := State(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
