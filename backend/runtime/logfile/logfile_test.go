package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/backend/runtime"
)

// clock gives times that are one second apart.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) next() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
	return c.now
}

// epoch is the time of a clock before its first line.
var epoch = time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)

func newLogs(tb testing.TB, dir string, segmentSize int64, segments int) *Logs {
	tb.Helper()
	ls, err := Open(dir, segmentSize, segments, 0)
	if err != nil {
		tb.Fatal(err)
	}
	ls.now = (&clock{now: epoch}).next
	return ls
}

var alpha = Service{"micro", "alpha"}

func newLog(tb testing.TB, ls *Logs, id string) *Log {
	tb.Helper()
	l, err := ls.Open(alpha, id)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Rest)
	return l
}

func readTexts(tb testing.TB, ls *Logs, q runtime.LogQuery) []string {
	tb.Helper()
	q.Namespace, q.Service = alpha.Namespace, alpha.Name
	var texts []string
	for line, err := range ls.Read(tb.Context(), q, nil) {
		if err != nil {
			tb.Fatal(err)
		}
		texts = append(texts, line.Text)
	}
	return texts
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLogRotation(t *testing.T) {
	t.Parallel()
	const size, segments = 1000, 3
	ls := newLogs(t, t.TempDir(), size, segments)
	l := newLog(t, ls, "a")
	var want []string
	for i := range 200 {
		text := fmt.Sprintf("line %d", i)
		l.Append(1, runtime.Stdout, []byte(text))
		want = append(want, text)
	}
	for _, name := range files(t, l.dir) {
		info, err := os.Stat(filepath.Join(l.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > size {
			t.Errorf("%s has %d bytes, want at most %d", name, info.Size(), size)
		}
	}
	if n := len(files(t, l.dir)); n != segments {
		t.Errorf("%d files, want %d", n, segments)
	}
	got := readTexts(t, ls, runtime.LogQuery{})
	if len(got) < 40 {
		t.Errorf("only %d lines of 3 files", len(got))
	}
	if got[0] != fmt.Sprintf("%d older lines are gone: there were more than are kept", 200-(len(got)-1)) {
		t.Errorf("%d lines, the first is %q", len(got), got[0])
	}
	if diff := cmp.Diff(want[len(want)-len(got)+1:], got[1:]); diff != "" {
		t.Errorf("the newest lines (-want +got):\n%s", diff)
	}

	// The same, opened again and written on.
	ls = newLogs(t, ls.dir, size, segments)
	if diff := cmp.Diff(got, readTexts(t, ls, runtime.LogQuery{})); diff != "" {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
	newLog(t, ls, "a").Append(2, runtime.Stdout, []byte("more"))
	again := readTexts(t, ls, runtime.LogQuery{Tail: 2})
	if diff := cmp.Diff([]string{want[len(want)-1], "more"}, again); diff != "" {
		t.Errorf("written on (-want +got):\n%s", diff)
	}
}

// TestLogNumbers checks that what is gone is counted by who reads from anywhere and
// across a restart, and that nobody is told who has not asked for it.
func TestLogNumbers(t *testing.T) {
	t.Parallel()
	ls := newLogs(t, t.TempDir(), 1000, 3)
	l := newLog(t, ls, "a")
	for i := range 100 {
		l.Append(1, runtime.Stdout, fmt.Append(nil, i))
	}
	l.Rest()
	ls = newLogs(t, ls.dir, 1000, 3)
	l = newLog(t, ls, "a")
	ls.now = (&clock{now: epoch.Add(time.Hour)}).next
	q := runtime.LogQuery{Namespace: alpha.Namespace, Service: alpha.Name, Follow: true, Tail: 1}
	closed := make(chan struct{})
	next, stop := iter.Pull2(ls.Read(t.Context(), q, closed))
	defer stop()
	if line, err, _ := next(); err != nil || line.Text != "99" {
		t.Fatalf("last line: %+v, %v", line, err)
	}
	for i := range 400 {
		l.Append(1, runtime.Stdout, fmt.Append(nil, 100+i))
	}
	got := readTexts(t, ls, runtime.LogQuery{})
	kept := len(got) - 1
	if want := fmt.Sprintf("%d older lines are gone: there were more than are kept", 500-kept); got[0] != want {
		t.Errorf("the first line is %q, want %q", got[0], want)
	}
	if line, err, _ := next(); err != nil || line.Text != fmt.Sprintf("%d older lines are gone: there were more than are kept", 400-kept) {
		t.Errorf("who has followed from line 99 on gets %+v, %v; %d lines are kept", line, err, kept)
	}
	for _, q := range []runtime.LogQuery{{Tail: 5}, {Since: epoch.Add(time.Hour + 395*time.Second)}} {
		if got := readTexts(t, ls, q); len(got) > 0 && strings.Contains(got[0], "gone") {
			t.Errorf("%+v: %q", q, got[0])
		}
	}
}

// TestLogAge checks that old lines go, a file at a time, and never the last file.
func TestLogAge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ls := newLogs(t, dir, 1<<20, 100)
	ls.maxAge = 10 * time.Hour
	now := time.Now()
	ls.now = func() time.Time { return now }
	l := newLog(t, ls, "a")
	write := func(text string) {
		l.Append(1, runtime.Stdout, []byte(text))
		if err := os.Chtimes(l.path(l.last), now, now); err != nil {
			t.Fatal(err)
		}
	}
	write("0")
	for i := range 15 {
		now = now.Add(time.Hour + time.Minute)
		write(strconv.Itoa(i + 1))
	}
	got := readTexts(t, ls, runtime.LogQuery{})
	if want := []string{"6 older lines are gone: there were more than are kept", "6", "7"}; !slices.Equal(got[:3], want) {
		t.Errorf("got %q, want %q at first", got, want)
	}
	l.Rest()
	old := time.Now().Add(-20 * time.Hour)
	for _, name := range files(t, l.dir) {
		if err := os.Chtimes(filepath.Join(l.dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	ls, err := Open(dir, 1<<20, 100, 10*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(files(t, l.dir)); n != 1 {
		t.Errorf("%d files are left, want the last", n)
	}
	l = newLog(t, ls, "a")
	l.Append(1, runtime.Stdout, []byte("next"))
	if got := readTexts(t, ls, runtime.LogQuery{Tail: 1}); !slices.Equal(got, []string{"next"}) {
		t.Errorf("got %q", got)
	}
}

// TestLogBatch checks that many lines at once come in files of the right size.
func TestLogBatch(t *testing.T) {
	t.Parallel()
	ls := newLogs(t, t.TempDir(), 10_000, 1000)
	l := newLog(t, ls, "a")
	var lines [][]byte
	var want []string
	for i := range 20_000 {
		text := strings.Repeat("x", i%100)
		lines, want = append(lines, []byte(text)), append(want, text)
	}
	l.Append(1, runtime.Stderr, lines...)
	if got := readTexts(t, ls, runtime.LogQuery{}); !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d, or others", len(got), len(want))
	}
	for _, name := range files(t, l.dir) {
		if info, err := os.Stat(filepath.Join(l.dir, name)); err != nil || info.Size() > 10_000 {
			t.Errorf("%s: %v, %d bytes", name, err, info.Size())
		}
	}
}

// TestLogTorn cuts a log at every place where a crash could, and puts the zeros
// there that a file system may leave.
func TestLogTorn(t *testing.T) {
	t.Parallel()
	ls := newLogs(t, t.TempDir(), 1<<20, 5)
	l := newLog(t, ls, "a")
	for i := range 3 {
		l.Append(1, runtime.Stdout, fmt.Appendf(nil, "line %d", i))
	}
	l.Rest()
	whole, err := os.ReadFile(l.path(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, zeros := range []int{0, 1, 3 * blockSize} {
		for n := range whole {
			if zeros > 0 && n%17 != 0 {
				continue
			}
			text := append(whole[:n:n], make([]byte, zeros)...)
			if err := os.WriteFile(l.path(1), text, 0o600); err != nil {
				t.Fatal(err)
			}
			ls := newLogs(t, ls.dir, 1<<20, 5)
			kept := bytes.Count(whole[:n], []byte("\n"))
			want := []string{"line 0", "line 1", "line 2"}[:kept]
			if got := readTexts(t, ls, runtime.LogQuery{}); !slices.Equal(got, want) {
				t.Fatalf("cut at %d with %d zeros: got %q, want %q", n, zeros, got, want)
			}
			l := newLog(t, ls, "a")
			l.Append(1, runtime.Stdout, []byte("next"))
			l.Rest()
			for _, tail := range []int{0, 10} {
				if got := readTexts(t, ls, runtime.LogQuery{Tail: tail}); !slices.Equal(got, append(want, "next")) {
					t.Fatalf("cut at %d with %d zeros, written on: got %q, want %q and next", n, zeros, got, want)
				}
			}
		}
	}
}

// TestLogDamaged checks that records are read past what is none.
func TestLogDamaged(t *testing.T) {
	t.Parallel()
	ls := newLogs(t, t.TempDir(), 1<<20, 5)
	l := newLog(t, ls, "a")
	l.Append(1, runtime.Stdout, []byte("first"))
	l.Rest()
	f, err := os.OpenFile(l.path(1), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	junk := "\n\x00\x00\nno record\n2026-11-05T10:00:00.000000000Z\n2026-11-05T10:00:00.000000000Z q 1 x\n" +
		"2026-11-05T10:00:00.000000000Z o x x\n2026-11-05T10:00:00.000000000Z o 1\n" + strings.Repeat("y", 3*maxRecord) + "\n"
	if _, err := io.WriteString(f, junk); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	ls = newLogs(t, ls.dir, 1<<20, 5)
	newLog(t, ls, "a").Append(1, runtime.Stdout, []byte("second"))
	for _, tail := range []int{0, 100} {
		if got, want := readTexts(t, ls, runtime.LogQuery{Tail: tail}), []string{"first", "second"}; !slices.Equal(got, want) {
			t.Errorf("tail %d: got %q, want %q", tail, got, want)
		}
	}
}

// TestLogTailReadsLittle checks that the last lines of a large log are found
// without the rest of it.
func TestLogTailReadsLittle(t *testing.T) {
	t.Parallel()
	ls := newLogs(t, t.TempDir(), 1<<20, 5)
	l := newLog(t, ls, "a")
	for i := range 3000 {
		l.Append(1, runtime.Stdout, fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 1000)))
	}
	first, end := l.ends()
	c := &cursor{log: l, next: first, end: end}
	if err := tail([]*cursor{c}, 10, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if c.next.segment != end.segment || end.offset-c.next.offset > 11_000 {
		t.Errorf("ten lines begin at %+v, which is far from the end %+v", c.next, end)
	}
}

// TestLogClockGoesBack checks that lines of one instance stay in their order.
func TestLogClockGoesBack(t *testing.T) {
	t.Parallel()
	ls := newLogs(t, t.TempDir(), 1<<20, 5)
	seconds := []int{10, 11, 2, 3, 12}
	ls.now = func() time.Time {
		at := epoch.Add(time.Duration(seconds[0]) * time.Second)
		seconds = seconds[1:]
		return at
	}
	a, b := newLog(t, ls, "a"), newLog(t, ls, "b")
	for i, l := range []*Log{a, b, a, b, a} {
		l.Append(1, runtime.Stdout, fmt.Appendf(nil, "%d", i))
	}
	got := readTexts(t, ls, runtime.LogQuery{})
	if slices.Index(got, "0") > slices.Index(got, "2") || slices.Index(got, "2") > slices.Index(got, "4") ||
		slices.Index(got, "1") > slices.Index(got, "3") || len(got) != 5 {
		t.Errorf("got the lines %q", got)
	}
}

// TestLogFollowerFallsBehind checks that rotation takes lines from a slow reader
// and holds nobody up.
func TestLogFollowerFallsBehind(t *testing.T) {
	t.Parallel()
	ls := newLogs(t, t.TempDir(), 1000, 3)
	l := newLog(t, ls, "a")
	l.Append(1, runtime.Stdout, []byte("0"))
	closed := make(chan struct{})
	q := runtime.LogQuery{Namespace: alpha.Namespace, Service: alpha.Name, Follow: true}
	next, stop := iter.Pull2(ls.Read(t.Context(), q, closed))
	defer stop()
	if line, err, _ := next(); err != nil || line.Text != "0" {
		t.Fatalf("first line: %+v, %v", line, err)
	}
	for i := range 500 {
		l.Append(1, runtime.Stdout, fmt.Append(nil, i+1))
	}
	close(closed)
	last, n, gone := 0, 0, 0
	for {
		line, err, _ := next()
		if errors.Is(err, runtime.ErrClosed) {
			break
		}
		if line.Stream == runtime.System {
			told := 0
			if _, err := fmt.Sscanf(line.Text, "%d older lines are gone", &told); err != nil {
				t.Fatalf("%q: %v", line.Text, err)
			}
			gone += told
			continue
		}
		got, convErr := strconv.Atoi(line.Text)
		if err != nil || convErr != nil || got <= last {
			t.Fatalf("after line %d: %+v, %v", last, line, err)
		}
		last = got
		n++
	}
	if last != 500 || n > 100 || n+gone != 500 {
		t.Errorf("%d lines and %d that are gone, the last is %d; want those that were kept, up to 500", n, gone, last)
	}
}

// TestLogLost checks that lines that cannot be written are counted and told of.
func TestLogLost(t *testing.T) {
	t.Parallel()
	ls := newLogs(t, t.TempDir(), 1<<20, 5)
	l := newLog(t, ls, "a")
	l.Append(1, runtime.Stdout, []byte("first"))
	l.Rest()
	broken, err := os.Open(l.path(1)) // it cannot be written to
	if err != nil {
		t.Fatal(err)
	}
	l.file = broken
	l.Append(1, runtime.Stdout, []byte("lost"), []byte("lost"))
	l.Append(1, runtime.Stdout, []byte("lost"))
	l.Append(1, runtime.Stderr, []byte("lost"), []byte("lost"))
	l.Rest()
	l.Append(1, runtime.Stdout, []byte("second"))
	l.Append(1, runtime.Stdout, []byte("third"))
	got := readTexts(t, ls, runtime.LogQuery{})
	if len(got) != 4 || !strings.HasPrefix(got[1], "5 lines could not be kept: ") {
		t.Errorf("got %q, want a line that tells of 5 lines", got)
	}
	if want := []string{"first", "second", "third"}; !slices.Equal(slices.Delete(slices.Clone(got), 1, 2), want) {
		t.Errorf("got %q, want %q beside that", got, want)
	}
}

func TestLogForgets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ls := newLogs(t, dir, 1<<20, 5)
	a, b := newLog(t, ls, "a"), newLog(t, ls, "b")
	a.Append(1, runtime.Stdout, []byte("a"))
	b.Append(1, runtime.Stdout, []byte("b"))
	trash := t.TempDir()
	if err := ls.Remove(a, filepath.Join(trash, "a")); err != nil {
		t.Fatal(err)
	}
	if got := readTexts(t, ls, runtime.LogQuery{}); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after a was removed: %q", got)
	}
	if err := ls.Remove(b, filepath.Join(trash, "b")); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("folders stay: %q", left)
	}
	if len(ls.services) > 0 {
		t.Errorf("entries stay: %v", ls.services)
	}
	readTexts(t, ls, runtime.LogQuery{})
	if len(ls.services) > 0 {
		t.Errorf("a query leaves entries: %v", ls.services)
	}
}

func TestReadLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", runtime.MaxLine)
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"one", "a\n", []string{"a"}},
		{"no end", "a\nb", []string{"a", "b"}},
		{"line end alone", "\n", []string{""}},
		{"longest", long + "\n", []string{long}},
		{"longest with a carriage return", long + "\r\nb\n", []string{long, "b"}},
		{"longest without an end", long, []string{long}},
		{"one too long", long + "y\n", []string{long, "y"}},
		{"one too long without an end", long + "y", []string{long, "y"}},
		{"twice", long + long + "\n", []string{long, long}},
		{"carriage return at the end", "a\r", []string{"a\r"}},
	} {
		for _, chunk := range []int{1, 4096, 1 << 20} {
			t.Run(fmt.Sprintf("%s by %d", tt.name, chunk), func(t *testing.T) {
				t.Parallel()
				ls := newLogs(t, t.TempDir(), 10<<20, 5)
				in := strings.NewReader(tt.in)
				ReadLines(readFunc(func(b []byte) (int, error) { return in.Read(b[:min(len(b), chunk)]) }), newLog(t, ls, "a"), 1, runtime.Stdout)
				if got := readTexts(t, ls, runtime.LogQuery{}); !slices.Equal(got, tt.want) {
					t.Errorf("got %.60q, want %.60q", got, tt.want)
				}
			})
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(int64(0), int64(3), uint8(1), []byte("text"))
	f.Add(int64(-1), int64(-3), uint8(3), []byte("\x00\xff\r"))
	f.Fuzz(func(t *testing.T, nanos, release int64, stream uint8, text []byte) {
		// What can be written is read as it was.
		at := epoch.Add(time.Duration(nanos % int64(24*365*time.Hour)))
		want := runtime.Line{Time: at, Release: release, Stream: runtime.Stream(stream%3 + 1)}
		record := append(appendPrefix(nil, at, want.Stream, release), text...)
		got, gotText, ok := parseRecord(record)
		if !ok || !cmp.Equal(got, want) || !bytes.Equal(gotText, text) {
			t.Errorf("parseRecord(%q) = %+v, %q, %t", record, got, gotText, ok)
		}
		// And what is no record is none, without further harm.
		parseRecord(text)
	})
}

func FuzzParts(f *testing.F) {
	f.Add([]byte("a"), 3)
	f.Add([]byte("€\xff\x80\x80\x80\x80"), runtime.MaxLine)
	f.Fuzz(func(t *testing.T, seed []byte, n int) {
		if len(seed) == 0 || n < 0 {
			return
		}
		line := bytes.Repeat(seed, 1+n%(3*runtime.MaxLine)/len(seed))
		var joined []byte
		for part := range parts(line) {
			if len(part) > runtime.MaxLine || len(part) == 0 {
				t.Errorf("a part of %d bytes", len(part))
			}
			joined = append(joined, part...)
		}
		if !bytes.Equal(joined, line) {
			t.Errorf("the parts are not the line")
		}
	})
}
