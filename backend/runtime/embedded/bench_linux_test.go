package embedded

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/micro/micro/v3/backend/runtime/runtimetest"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// BenchmarkInstances starts and stops 200 instances, and tells what memory of this
// process one that rests takes.
func BenchmarkInstances(b *testing.B) {
	images := &runtimetest.Images{}
	image := images.Add(runtimetest.ProgramImage(b))
	r, err := Open(b.Context(), Config{Dir: b.TempDir(), OpenImage: images.Open})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	const n = 200
	for b.Loop() {
		before, ok := sweep.ReadStatus(os.Getpid())
		for i := range n {
			if _, err := r.Start(b.Context(), alphaSpec(fmt.Sprint("a", i), image, "hang")); err != nil {
				b.Fatal(err)
			}
		}
		after, found := sweep.ReadStatus(os.Getpid())
		if !ok || !found {
			b.Fatal("this process is not there")
		}
		b.ReportMetric(float64((after.Pages-before.Pages)*int64(os.Getpagesize()))/n, "bytes/instance")
		var stops sync.WaitGroup
		for _, in := range r.Running() {
			stops.Go(func() {
				if err := r.Stop(b.Context(), in.ID, waitTime); err != nil {
					b.Error(err)
				}
			})
		}
		stops.Wait()
	}
}
