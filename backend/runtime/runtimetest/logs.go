package runtimetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
)

// testLogs is about lines: what comes out of what an instance writes.
func testLogs(t *testing.T, open Open) {
	t.Helper()
	t.Run("of one life", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		before := time.Now()
		spec := f.spec("a", "out=one", "err=two", "exit=3")
		spec.Release = 9
		f.run(t, spec)
		lines := f.lines(t, query())
		if len(lines) < 4 || lines[0].Stream != runtime.System || lines[len(lines)-1].Stream != runtime.System {
			t.Fatalf("lines %+v, want the runtime's own first and last", lines)
		}
		if !strings.HasPrefix(lines[0].Text, runtime.Started) {
			t.Errorf("the first line is %q, want one that begins with %q", lines[0].Text, runtime.Started)
		}
		last := before
		for _, line := range lines {
			if line.Instance != "a" || line.Release != 9 {
				t.Errorf("line %+v is not of release 9 of a", line)
			}
			if line.Time.Before(last) || line.Time.After(time.Now()) {
				t.Errorf("line %+v is not of a time between %v and now", line, last)
			}
			last = line.Time
		}
		for stream, want := range map[runtime.Stream]string{runtime.Stdout: "one", runtime.Stderr: "two"} {
			if got := texts(lines, stream); !slices.Equal(got, []string{want}) {
				t.Errorf("stream %d: got %q, want %q", stream, got, want)
			}
		}
	})

	t.Run("in order", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		const n = 50_000
		f.run(t, f.spec("a", "count="+strconv.Itoa(n)))
		wantNumbered(t, f.output(t, "a"), 1, n)
	})

	for _, tt := range []struct {
		name string
		raw  string
		want []string
	}{
		{"no end", "partial", []string{"partial"}},
		{"empty lines", "\n\na\n\n", []string{"", "", "a", ""}},
		{"carriage returns", "a\r\nb\rc\r\n\r\n", []string{"a", "b\rc", ""}},
		{"bytes", "\x00\xff\xfe\x80\n\xc3\nä\n", []string{"\x00\xff\xfe\x80", "\xc3", "ä"}},
		{"what looks like a record", "2026-11-05T10:00:00.000000000Z o 3 x\n", []string{"2026-11-05T10:00:00.000000000Z o 3 x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, open)
			f.run(t, f.spec("a", "raw="+strconv.Quote(tt.raw)))
			if diff := cmp.Diff(tt.want, f.output(t, "a")); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}

	for _, n := range []int{runtime.MaxLine - 1, runtime.MaxLine, runtime.MaxLine + 1, 3*runtime.MaxLine + 5, 1 << 20} {
		t.Run(fmt.Sprintf("line of %d bytes", n), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, open)
			f.run(t, f.spec("a", "out=before", "long="+strconv.Itoa(n), "out=after"))
			got := f.output(t, "a")
			wantParts := (n + runtime.MaxLine - 1) / runtime.MaxLine
			if len(got) != wantParts+2 || got[0] != "before" || got[len(got)-1] != "after" {
				t.Fatalf("%d lines, want one before, %d parts and one after", len(got), wantParts)
			}
			if total := len(strings.Join(got[1:len(got)-1], "")); total != n {
				t.Errorf("the parts have %d bytes together, want %d", total, n)
			}
			for _, part := range got {
				if len(part) > runtime.MaxLine {
					t.Errorf("a part has %d bytes, want at most %d", len(part), runtime.MaxLine)
				}
			}
		})
	}

	t.Run("characters stay whole", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		text := "x" + strings.Repeat("€", runtime.MaxLine/2)
		f.run(t, f.spec("a", "out="+text))
		got := f.output(t, "a")
		for _, part := range got {
			if !utf8.ValidString(part) {
				t.Errorf("a part begins with %q and ends with %q", part[:4], part[len(part)-4:])
			}
		}
		if strings.Join(got, "") != text {
			t.Errorf("the parts are not the line")
		}
	})

	t.Run("of a flood", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.start(t, f.spec("flood", "flood"))
		f.awaitLine(t, "flood", "line 1000")
		// It holds nobody up.
		f.start(t, f.spec("a", "listen", "out=here", "wait"))
		f.awaitLine(t, "a", "here")
		f.stop(t, "a")
		f.stop(t, "flood")
		q := query()
		q.Instance, q.Tail = "flood", 10_000
		got := texts(f.lines(t, q), runtime.Stdout)
		if len(got) > 0 && !isNumbered(got[len(got)-1]) {
			got = got[:len(got)-1] // it was killed in the middle of a line
		}
		if len(got) < 1000 {
			t.Fatalf("only %d lines of a flood are there", len(got))
		}
		first, err := strconv.Atoi(strings.TrimPrefix(got[0], "line "))
		if err != nil {
			t.Fatal(err)
		}
		wantNumbered(t, got[:len(got)-1], first, first+len(got)-2)
	})
}

func isNumbered(line string) bool {
	_, err := strconv.Atoi(strings.TrimPrefix(line, "line "))
	return err == nil
}

// wantNumbered checks that lines are those that the program's count prints.
func wantNumbered(t *testing.T, got []string, first, last int) {
	t.Helper()
	for i, line := range got {
		if want := fmt.Sprintf("line %d", first+i); line != want {
			t.Fatalf("line %d of %d: got %q, want %q", i, len(got), line, want)
		}
	}
	if n := last - first + 1; len(got) != n {
		t.Errorf("got %d lines, want %d", len(got), n)
	}
}

// testQuery is about which lines a query selects.
func testQuery(t *testing.T, open Open) {
	t.Helper()
	t.Run("of nobody", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "out=x"))
		for _, q := range []runtime.LogQuery{
			{},
			{Namespace: "micro"},
			{Service: "alpha"},
			{Namespace: "micro", Service: "beta"},
			{Namespace: "micro", Service: "alpha", Instance: "b"},
			{Namespace: "other/../micro", Service: "alpha"},
			{Namespace: "micro", Service: "../micro/alpha"},
			{Namespace: "micro", Service: "alpha", Instance: "../alpha/a"},
			{Namespace: "*", Service: "*", Tail: 10},
		} {
			if lines := f.lines(t, q); len(lines) > 0 {
				t.Errorf("%+v yields %+v", q, lines)
			}
		}
	})

	t.Run("namespaces", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		for _, namespace := range []string{"micro", "other"} {
			spec := f.spec("of-"+namespace, "out="+namespace)
			spec.Namespace = namespace
			f.run(t, spec)
		}
		for _, namespace := range []string{"micro", "other"} {
			q := query()
			q.Namespace = namespace
			got := texts(f.lines(t, q), runtime.Stdout)
			if diff := cmp.Diff([]string{namespace}, got); diff != "" {
				t.Errorf("lines of %s (-want +got):\n%s", namespace, diff)
			}
		}
	})

	t.Run("instance", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "out=of a"))
		f.run(t, f.spec("b", "out=of b"))
		if got := f.output(t, "b"); !slices.Equal(got, []string{"of b"}) {
			t.Errorf("lines of b: got %q", got)
		}
	})

	t.Run("by time", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		var want []string
		for i := range 4 {
			id, text := string(rune('a'+i%2)), fmt.Sprint("life ", i)
			f.run(t, f.spec(id, "out="+text))
			want = append(want, text)
		}
		got := texts(f.lines(t, query()), runtime.Stdout)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines of two instances (-want +got):\n%s", diff)
		}
	})

	t.Run("tail", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "count=5000"))
		f.run(t, f.spec("b", "count=3000"))
		f.run(t, f.spec("a", "count=2000"))
		all := f.lines(t, query())
		for _, n := range []int{1, 2, 10, 2000, 2001, 4000, len(all) - 1, len(all), len(all) + 1, 1 << 40} {
			q := query()
			q.Tail = n
			want := all[max(0, len(all)-n):]
			if diff := cmp.Diff(want, f.lines(t, q)); diff != "" {
				t.Errorf("last %d lines (-want +got):\n%s", n, diff)
			}
		}
	})

	t.Run("since", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "count=10"))
		f.run(t, f.spec("b", "count=10"))
		all := f.lines(t, query())
		for _, i := range []int{0, 1, 5, len(all) / 2, len(all) - 1} {
			q := query()
			q.Since = all[i].Time
			var want []runtime.Line
			for _, line := range all {
				if !line.Time.Before(q.Since) {
					want = append(want, line)
				}
			}
			if diff := cmp.Diff(want, f.lines(t, q)); diff != "" {
				t.Errorf("since line %d (-want +got):\n%s", i, diff)
			}
			q.Tail = 3
			if diff := cmp.Diff(want[max(0, len(want)-3):], f.lines(t, q)); diff != "" {
				t.Errorf("the last three since line %d (-want +got):\n%s", i, diff)
			}
		}
		q := query()
		q.Since = time.Now().Add(time.Hour)
		if lines := f.lines(t, q); len(lines) > 0 {
			t.Errorf("there are lines of the future: %+v", lines)
		}
	})

	t.Run("ended loop", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "count=100"))
		n := 0
		for _, err := range f.Logs(within(t), query()) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 5 {
				break
			}
		}
	})
}

// testFollow is about lines that have not been written yet.
func testFollow(t *testing.T, open Open) {
	t.Helper()
	t.Run("lives and instances", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		got := make(chan string)
		q := query()
		q.Follow = true
		ctx := within(t)
		go func() {
			defer close(got)
			for line, err := range f.Logs(ctx, q) {
				if err == nil && line.Stream == runtime.Stdout {
					got <- line.Instance + " " + line.Text
				}
			}
		}()
		next := func(want string) {
			t.Helper()
			if line := <-got; line != want {
				t.Errorf("got line %q, want %q", line, want)
			}
		}
		f.start(t, f.spec("a", "out=first", "wait", "out=bye"))
		next("a first")
		next("a waiting")
		f.stop(t, "a")
		next("a got terminated")
		next("a bye")
		f.start(t, f.spec("a", "out=second", "hang"))
		next("a second")
		next("a hanging")
		f.start(t, f.spec("b", "out=third"))
		next("b third")
		f.awaitExit(t, "b")
		if err := f.Remove(within(t), "b"); err != nil {
			t.Fatal(err)
		}
		f.start(t, f.spec("b", "out=fourth"))
		next("b fourth")
		spec := f.spec("c", "out=of somebody else")
		spec.Service = "beta"
		f.run(t, spec)
		f.start(t, f.spec("d", "out=fifth"))
		next("d fifth")
	})

	t.Run("tail", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		f.run(t, f.spec("a", "count=100"))
		q := query()
		q.Follow, q.Tail = true, 3
		var got []string
		for line, err := range f.Logs(within(t), q) {
			if err != nil {
				t.Fatal(err)
			}
			if line.Stream == runtime.Stdout {
				got = append(got, line.Text)
			}
			if line.Text == "line 100" {
				f.start(t, f.spec("b", "out=new"))
			}
			if line.Text == "new" {
				break
			}
		}
		if last := got[len(got)-2:]; !slices.Equal(last, []string{"line 100", "new"}) || len(got) > 4 {
			t.Errorf("got %q, want at most three old lines and the new one", got)
		}
	})

	t.Run("instance", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		q := query()
		q.Follow, q.Instance = true, "b"
		f.run(t, f.spec("a", "out=of a"))
		started := false
		ctx, cancel := context.WithCancel(within(t))
		defer cancel()
		go func() {
			f.start(t, f.spec("b", "out=of b"))
		}()
		for line, err := range f.Logs(ctx, q) {
			if err != nil {
				t.Fatal(err)
			}
			if line.Instance != "b" {
				t.Errorf("got %+v, which is not of b", line)
			}
			if line.Text == "of b" {
				started = true
				break
			}
		}
		if !started {
			t.Errorf("the line of b did not come")
		}
	})

	t.Run("flood", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		q := query()
		q.Follow = true
		const n = 200_000
		f.start(t, f.spec("a", "count="+strconv.Itoa(n), "exit=0"))
		i := 0
		for line, err := range f.Logs(within(t), q) {
			if err != nil {
				t.Fatal(err)
			}
			if line.Stream != runtime.Stdout {
				continue
			}
			i++
			if want := fmt.Sprintf("line %d", i); line.Text != want {
				t.Fatalf("got %q, want %q", line.Text, want)
			}
			if i == n {
				break
			}
		}
	})

	t.Run("context ends", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, open)
		ctx, cancel := context.WithCancel(within(t))
		defer cancel()
		q := query()
		q.Follow = true
		f.run(t, f.spec("a", "out=x"))
		var last error
		for line, err := range f.Logs(ctx, q) {
			if last = err; line.Text == "x" {
				cancel()
			}
		}
		wantError(t, "logs", last, context.Canceled)
	})
}
