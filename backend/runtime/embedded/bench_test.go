package embedded

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/runtimetest"
)

// BenchmarkStart is a start, the end of a program that ends at once, and the
// event that tells of it; the image is unpacked.
func BenchmarkStart(b *testing.B) {
	images := &runtimetest.Images{}
	image := images.Add(runtimetest.ProgramImage(b))
	r, err := Open(b.Context(), Config{Dir: b.TempDir(), OpenImage: images.Open})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	ended := make(chan struct{})
	started := make(chan struct{})
	go func() {
		for event, err := range r.Watch(b.Context()) {
			if err != nil {
				return // the benchmark has ended
			}
			if event.Synced {
				close(started)
			}
			if event.Instance.State == runtime.Exited {
				ended <- struct{}{}
			}
		}
	}()
	<-started
	for b.Loop() {
		if _, err := r.Start(b.Context(), alphaSpec("a", image, "exit=0")); err != nil {
			b.Fatal(err)
		}
		<-ended
	}
}

// BenchmarkUnpack is an image with a program of 11 MB.
func BenchmarkUnpack(b *testing.B) {
	source := &counted{}
	ref := source.Add(plainImage(b, file("app", string(make([]byte, 11<<20)))))
	is := newImages(b, b.TempDir(), source.open)
	b.SetBytes(11 << 20)
	for b.Loop() {
		img, err := is.acquire(b.Context(), ref)
		if err != nil {
			b.Fatal(err)
		}
		is.release(img)
	}
}

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
				readLines(readFunc(func(b []byte) (int, error) { return in.Read(b[:min(len(b), 64<<10)]) }), l, 1, runtime.Stdout)
			}
		})
	}
}

// BenchmarkRead is a log of 10 MB read as a whole, and its last ten lines.
func BenchmarkRead(b *testing.B) {
	ls := newLogs(b, b.TempDir(), 10<<20, 5)
	l := newLog(b, ls, "a")
	in := bytes.NewReader(bytes.Repeat([]byte("a line of a hundred bytes or so, which is what many programs write when they have something to say\n"), 100_000))
	readLines(in, l, 1, runtime.Stdout)
	for name, n := range map[string]int{"all": 0, "last ten": 10} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				readTexts(b, ls, runtime.LogQuery{Tail: n})
			}
		})
	}
}
