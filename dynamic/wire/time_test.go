package wire

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestTimestamps compares with package time.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	seconds := []int64{minTimestamp, maxTimestamp, 0, -1, 951782399, 951782400, 951868800, -2203891200}
	for range 20_000 {
		seconds = append(seconds, rnd.Int64N(maxTimestamp-minTimestamp+1)+minTimestamp)
	}
	for _, s := range seconds {
		nanos := []int32{0, 500_000_000, 120_000, 1, maxNanos}[rnd.IntN(5)]
		want := time.Unix(s, int64(nanos)).UTC()
		got := string(appendTimestamp(nil, s, nanos))
		inside := got[1 : len(got)-1]
		parsed, err := time.Parse(time.RFC3339Nano, inside)
		if err != nil || !parsed.Equal(want) {
			t.Fatalf("%d: got %s, want %s (%v)", s, got, want.Format(time.RFC3339Nano), err)
		}
		if digits := len(inside) - strings.IndexByte(inside+".", '.'); nanos == 0 && digits != 0 || nanos != 0 && digits != 5 && digits != 8 && digits != 11 {
			t.Fatalf("%d.%09d: got %s", s, nanos, got)
		}
		gotSeconds, gotNanos, ok := parseRFC3339([]byte(inside))
		if !ok || gotSeconds != s || gotNanos != nanos {
			t.Fatalf("%s: got %d.%09d %t", inside, gotSeconds, gotNanos, ok)
		}
	}
}

// TestRFC3339 holds what is parsed without package time to what that says.
func TestRFC3339(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 8))
	const shape = "2024-02-29T23:59:59.123456789+05:30"
	alphabet := "0123456789-+:.TZ,"
	for range 50_000 {
		b := []byte(shape[:19+rnd.IntN(len(shape)-18)])
		for range rnd.IntN(3) {
			b[rnd.IntN(len(b))] = alphabet[rnd.IntN(len(alphabet))]
		}
		if rnd.IntN(2) == 0 {
			b = append(b, 'Z')
		}
		seconds, nanos, ok := parseRFC3339(b)
		if !ok {
			continue // package time decides
		}
		want, err := time.ParseInLocation(time.RFC3339Nano, string(b), time.UTC)
		if err != nil || want.Unix() != seconds || want.Nanosecond() != int(nanos) {
			t.Errorf("%s: got %d.%09d, want %v (%v)", b, seconds, nanos, want, err)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	const bad = "bad"
	tests := []struct{ in, want string }{
		{"0s", "0s"},
		{"1.5s", "1.500s"},
		{"-1.5s", "-1.500s"},
		{"+1s", "1s"},
		{".000000001s", "0.000000001s"},
		{"-.5s", "-0.500s"},
		{"1.s", "1s"},
		{".s", "0s"},
		{"0.1234s", "0.123400s"},
		{"315576000000s", "315576000000s"},
		{"-315576000000.999999999s", "-315576000000.999999999s"},
		{"315576000001s", bad},
		{"1.0000000001s", bad},
		{"00s", bad},
		{"01s", bad},
		{"s", bad},
		{"-s", bad},
		{"", bad},
		{"1", bad},
		{"1m", bad},
		{"1e3s", bad},
		{"--1s", bad},
		{"1.-5s", bad},
		{"99999999999999999999s", bad},
	}
	for _, test := range tests {
		got := bad
		if seconds, nanos, ok := parseDuration([]byte(test.in)); ok {
			got = strings.Trim(string(appendDuration(nil, seconds, nanos)), `"`)
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.in, got, test.want)
		}
	}
}
