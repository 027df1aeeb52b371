package embedded

import (
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
