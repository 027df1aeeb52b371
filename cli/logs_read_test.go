package cli

import (
	"testing"
	"time"
)

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
