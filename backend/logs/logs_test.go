package logs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
)

// kept is what a runtime has of one service. It knows Since, Tail and Instance.
type kept []runtime.Line

func (k kept) Logs(_ context.Context, q runtime.LogQuery) iter.Seq2[runtime.Line, error] {
	return func(yield func(runtime.Line, error) bool) {
		var found []runtime.Line
		for _, l := range k {
			if !l.Time.Before(q.Since) && (q.Instance == "" || q.Instance == l.Instance) {
				found = append(found, l)
			}
		}
		if q.Tail > 0 {
			found = found[max(0, len(found)-q.Tail):]
		}
		for _, l := range found {
			if !yield(l, nil) {
				return
			}
		}
		if q.Follow {
			yield(runtime.Line{}, runtime.ErrClosed)
		}
	}
}

func at(second int) time.Time { return time.Date(2026, 11, 5, 10, 0, second, 0, time.UTC) }

// story has two runs of a, which panicked in the first, and one of b.
func story() kept {
	line := func(second int, instance string, release int64, stream runtime.Stream, text string) runtime.Line {
		return runtime.Line{Time: at(second), Instance: instance, Release: release, Stream: stream, Text: text}
	}
	return kept{
		line(0, "a", 1, runtime.System, "started release 1 (pid 7)"),
		line(1, "a", 1, runtime.Stdout, "level=info msg=up"),
		line(2, "a", 1, runtime.Stdout, "level=warn msg=slow"),
		line(3, "a", 1, runtime.Stderr, "panic: boom"),
		line(3, "a", 1, runtime.Stderr, ""),
		line(3, "a", 1, runtime.Stderr, "goroutine 1 [running]:"),
		line(3, "a", 1, runtime.Stderr, "main.main()"),
		line(3, "a", 1, runtime.Stderr, "\tmain.go:3 +0x1d"),
		line(4, "a", 1, runtime.System, "exited with code 2"),
		line(5, "a", 1, runtime.System, "started release 1 (pid 8)"),
		line(6, "a", 1, runtime.Stdout, "level=error msg=again"),
		line(7, "b", 2, runtime.System, "started release 2 (pid 9)"),
		line(8, "b", 2, runtime.Stdout, "plain"),
		line(9, "b", 2, runtime.Stderr, "level=debug msg=plain"),
	}
}

func read(t *testing.T, from source, q Query) ([]string, error) {
	t.Helper()
	var texts []string
	for l, err := range Read(t.Context(), from, q) {
		if err != nil {
			return texts, err
		}
		texts = append(texts, l.Text)
	}
	return texts, nil
}

func TestRead(t *testing.T) {
	t.Parallel()
	panicked := []string{"panic: boom", "", "goroutine 1 [running]:", "main.main()", "\tmain.go:3 +0x1d"}
	for _, tt := range []struct {
		name string
		q    Query
		want []string
	}{
		{"until", Query{Until: at(1)}, []string{"started release 1 (pid 7)", "level=info msg=up"}},
		{"release", Query{Release: 2, Streams: []runtime.Stream{runtime.Stdout}}, []string{"plain"}},
		{"streams", Query{Release: 2, Streams: []runtime.Stream{runtime.Stdout, runtime.System}}, []string{"started release 2 (pid 9)", "plain"}},
		{"a stack belongs to its panic", Query{Level: Error}, append(slices.Clone(panicked), "level=error msg=again")},
		{"fatal", Query{Level: Fatal}, panicked},
		{"pattern", Query{Match: regexp.MustCompile("^plain$|boom")}, []string{"panic: boom", "plain"}},
		{"previous", Query{Previous: true, Streams: []runtime.Stream{runtime.Stdout}}, []string{"level=info msg=up", "level=warn msg=slow"}},
		{"previous, the last", Query{Previous: true, LogQuery: runtime.LogQuery{Tail: 1}}, []string{"exited with code 2"}},
		{"previous of b", Query{Previous: true, LogQuery: runtime.LogQuery{Instance: "b"}}, nil},
		{"tail", Query{Level: Warn, LogQuery: runtime.LogQuery{Tail: 2}}, []string{"\tmain.go:3 +0x1d", "level=error msg=again"}},
		{"tail among lines of one time", Query{Level: Fatal, LogQuery: runtime.LogQuery{Tail: 3}}, panicked[2:]},
		{"tail of fewer", Query{Level: Fatal, LogQuery: runtime.LogQuery{Tail: 30}}, panicked},
		{"since", Query{Level: Error, LogQuery: runtime.LogQuery{Since: at(5)}}, []string{"level=error msg=again"}},
		{"of nothing", Query{Release: 9, LogQuery: runtime.LogQuery{Tail: 3}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, story(), tt.q)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// What was started before what is kept has a run before its last all the same.
func TestReadPreviousRotated(t *testing.T) {
	t.Parallel()
	got, err := read(t, story()[2:], Query{Previous: true, Streams: []runtime.Stream{runtime.Stdout}})
	if diff := cmp.Diff([]string{"level=warn msg=slow"}, got); diff != "" || err != nil {
		t.Errorf("%v, lines (-want +got):\n%s", err, diff)
	}
}

func TestReadFollow(t *testing.T) {
	t.Parallel()
	follow := runtime.LogQuery{Follow: true, Tail: 1}
	got, err := read(t, story(), Query{Level: Fatal, LogQuery: follow})
	if diff := cmp.Diff([]string{"\tmain.go:3 +0x1d"}, got); diff != "" || !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("%v, lines (-want +got):\n%s", err, diff)
	}
	for _, q := range []Query{
		{LogQuery: follow, Previous: true},
		{LogQuery: follow, Until: at(3)},
		{LogQuery: runtime.LogQuery{Tail: MaxTail + 1}, Level: Info},
	} {
		if _, err := read(t, story(), q); !errors.Is(err, ErrQuery) {
			t.Errorf("%+v: %v, want %v", q, err, ErrQuery)
		}
	}
}

// The last lines are the last of those that are selected, wherever their times are equal.
func TestReadTail(t *testing.T) {
	t.Parallel()
	var all kept
	var odd []string
	for i := range 200 {
		text := fmt.Sprint("line ", i)
		if i%3 == 1 {
			text += " odd"
			odd = append(odd, text)
		}
		all = append(all, runtime.Line{Time: at(i / 7), Instance: "a", Stream: runtime.Stdout, Text: text})
	}
	for n := 1; n <= len(odd)+1; n++ {
		got, err := read(t, all, Query{Match: regexp.MustCompile("odd$"), LogQuery: runtime.LogQuery{Tail: n}})
		if diff := cmp.Diff(odd[max(0, len(odd)-n):], got); diff != "" || err != nil {
			t.Fatalf("the last %d: %v, lines (-want +got):\n%s", n, err, diff)
		}
	}
}

// A trace ends where something else is said.
func TestReadDrop(t *testing.T) {
	t.Parallel()
	all := story()
	for n := 1; n <= len(all); n++ {
		for drop := range len(all) + 2 {
			got, err := read(t, all, Query{LogQuery: runtime.LogQuery{Tail: n}, Drop: drop})
			end := max(0, len(all)-drop)
			var want []string
			for _, l := range all[max(0, end-n):end] {
				want = append(want, l.Text)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("the last %d without %d: got %q, %v; want %q", n, drop, got, err, want)
			}
		}
	}
	for _, q := range []Query{
		{Drop: 1}, {LogQuery: runtime.LogQuery{Tail: 1}, Drop: MaxDrop + 1}, {LogQuery: runtime.LogQuery{Tail: 1, Follow: true}, Drop: 1},
	} {
		if _, err := read(t, all, q); !errors.Is(err, ErrQuery) {
			t.Errorf("%+v: got error %v, want ErrQuery", q, err)
		}
	}
}

func TestTraceEnds(t *testing.T) {
	t.Parallel()
	var ls levels
	for _, tt := range []struct {
		text string
		want Level
	}{
		{"2026/11/05 10:00:00 http: panic serving 127.0.0.1:1: boom", 0},
		{"goroutine 18 [running]:", Error},
		{"net/http.(*conn).serve.func1()", Error},
		{"\tserver.go:1947 +0xbe", Error},
		{"created by net/http.(*Server).Serve", Error},
		{"\tserver.go:3454 +0x485", Error},
		{"all is well", 0},
		{"Traceback (most recent call last):", Error},
		{`  File "main.py", line 1, in <module>`, Error},
		{"ValueError: no", Error},
		{"all is well", 0},
		{"  indented", 0},
		{"level=warn msg=x", Warn},
		{"  indented", Warn},
	} {
		if got := ls.of(runtime.Line{Instance: "a", Stream: runtime.Stderr, Text: tt.text}); got != tt.want {
			t.Errorf("%q: level %d, want %d", tt.text, got, tt.want)
		}
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "error|panic", "(?i)timeout", `\d{1,1000}`, strings.Repeat("a", maxPattern)} {
		if _, err := Pattern(s); err != nil {
			t.Errorf("%.40q: %v", s, err)
		}
	}
	for _, s := range []string{"(", "a{1001}", strings.Repeat("a", maxPattern+1), `(?:\pL{100}){100}`, "((a{100}){50}){3}", "(((x{10}){10}){10}){10}", "(aaaaaaaaaaaaaaaaaaaa){999}"} {
		if _, err := Pattern(s); err == nil {
			t.Errorf("%.40q is a pattern", s)
		}
	}
}
