package eventstest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/micro/micro/v3/backend/events"
)

// Bench measures a driver: appends of 256 bytes by 1, 16 and 128 writers, reading a
// log, a group that has each event delivered and acknowledged, and what is broadcast to
// eight subscribers.
func Bench(b *testing.B, open func(b *testing.B) Log) {
	b.Helper()
	one := []events.Event{{Payload: make([]byte, 256)}}
	for _, writers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("append/%d", writers), func(b *testing.B) {
			l := open(b)
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := l.Append(b.Context(), orders, one); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
	b.Run("read", func(b *testing.B) {
		l := open(b)
		fillLog(b, l, b.N)
		b.ResetTimer()
		for from := int64(1); from <= int64(b.N); {
			list, err := l.Read(b.Context(), orders, events.Range{From: from})
			if err != nil {
				b.Fatal(err)
			}
			from += int64(len(list))
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("group", func(b *testing.B) {
		l := open(b)
		fillLog(b, l, b.N)
		b.ResetTimer()
		for done := 0; done < b.N; {
			list, err := l.Fetch(b.Context(), workers, events.Fetch{Limit: 100})
			if err != nil {
				b.Fatal(err)
			}
			var offsets []int64
			for _, d := range list {
				offsets = append(offsets, d.Offset)
			}
			if err := l.Ack(b.Context(), workers, offsets); err != nil {
				b.Fatal(err)
			}
			done += len(list)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("broadcast/8", func(b *testing.B) {
		const subscribers, batch = 8, 100
		l := open(b)
		var wg sync.WaitGroup
		var all, dropped atomic.Int64
		for range subscribers {
			heard, err := l.Subscribe(b.Context(), orders, "")
			if err != nil {
				b.Fatal(err)
			}
			wg.Go(func() {
				n := 0
				for h, err := range heard {
					if err != nil {
						b.Error(err)
						return
					}
					all.Add(int64(len(h.Events)))
					dropped.Add(h.Dropped)
					if n += len(h.Events) + int(h.Dropped); n >= b.N {
						return
					}
				}
			})
		}
		list := make([]events.Event, batch)
		for i := range list {
			list[i].Payload = make([]byte, 256)
		}
		b.ResetTimer()
		for left := b.N; left > 0; left -= batch {
			if err := l.Broadcast(b.Context(), orders, list[:min(left, batch)]); err != nil {
				b.Fatal(err)
			}
		}
		wg.Wait()
		b.ReportMetric(float64(all.Load())/b.Elapsed().Seconds(), "heard/s")
		b.ReportMetric(float64(dropped.Load())/float64(subscribers*b.N), "dropped")
	})
}

// fillLog appends n events.
func fillLog(b *testing.B, l Log, n int) {
	b.Helper()
	for left := n; left > 0; left -= events.MaxBatch {
		list := make([]events.Event, min(left, events.MaxBatch))
		for i := range list {
			list[i].Payload = make([]byte, 256)
		}
		if _, err := l.Append(b.Context(), orders, list); err != nil {
			b.Fatal(err)
		}
	}
}
