package logfile

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/micro/micro/v3/backend/runtime"
)

// BenchmarkLines is the way of an instance's output into its log.
func BenchmarkLines(b *testing.B) {
	for _, size := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			ls := newLogs(b, b.TempDir(), 10<<20, 5)
			l := newLog(b, ls, "a")
			line := append(bytes.Repeat([]byte("x"), size-1), '\n')
			const total = 32 << 20
			text := bytes.Repeat(line, total/size)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				in := bytes.NewReader(text)
				// As much at once as a pipe gives.
				ReadLines(readFunc(func(b []byte) (int, error) { return in.Read(b[:min(len(b), 64<<10)]) }), l, 1, runtime.Stdout)
			}
		})
	}
}

// BenchmarkRead is a log of 10 MB read as a whole, and its last ten lines.
func BenchmarkRead(b *testing.B) {
	ls := newLogs(b, b.TempDir(), 10<<20, 5)
	l := newLog(b, ls, "a")
	in := bytes.NewReader(bytes.Repeat([]byte("a line of a hundred bytes or so, which is what many programs write when they have something to say\n"), 100_000))
	ReadLines(in, l, 1, runtime.Stdout)
	for name, n := range map[string]int{"all": 0, "last ten": 10} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				readTexts(b, ls, runtime.LogQuery{Tail: n})
			}
		})
	}
}
