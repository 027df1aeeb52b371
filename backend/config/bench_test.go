package config_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/config"
)

// benchConfig returns a configuration of 200 values.
func benchConfig(b *testing.B) *config.Config {
	b.Helper()
	c := newConfig(b, openStore(b))
	for i := range 10 {
		mustSet(b, c, fmt.Sprintf("section%d", i), many(20), config.SetOptions{})
	}
	return c
}

func BenchmarkGet(b *testing.B) {
	c := benchConfig(b)
	for b.Loop() {
		if _, err := c.Get(b.Context(), ns, "section5.k7", config.Hide); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	c := benchConfig(b)
	for i := 0; b.Loop(); i++ {
		mustSet(b, c, "section5.k7", strconv.Itoa(i), config.SetOptions{})
	}
}

// BenchmarkWatchers measures how long after a change began the last of 1,000 watchers
// has it.
func BenchmarkWatchers(b *testing.B) {
	const watchers = 1000
	c := benchConfig(b)
	ctx, cancel := context.WithCancel(b.Context())
	var ready, ended, saw sync.WaitGroup
	ready.Add(watchers)
	for range watchers {
		ended.Go(func() {
			first := true
			for _, err := range c.Watch(ctx, ns, "section5.k7", nil, config.Hide) {
				switch {
				case err != nil:
					return
				case first:
					first = false
					ready.Done()
				default:
					saw.Done()
				}
			}
		})
	}
	ready.Wait()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		saw.Add(watchers)
		start := time.Now()
		mustSet(b, c, "section5.k7", strconv.Itoa(-1-i), config.SetOptions{})
		saw.Wait()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
	cancel()
	ended.Wait()
}
