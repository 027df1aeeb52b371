package audit

import "time"

// How many refused calls are recorded one by one: so many at once, and then one for
// each of these times. Strangers who knock for a year take about half of the place that
// the log of a namespace has, unless told otherwise.
const (
	strangersFree  = 100
	strangersEvery = 10 * time.Minute
	membersFree    = 600
	membersEvery   = time.Minute
)

// bucket lets so many through, and then one for each time.
type bucket struct {
	burst int
	every time.Duration
	full  time.Time // when all of it is free again
}

func newBucket(burst int, every time.Duration) bucket { return bucket{burst: burst, every: every} }

// take reports whether there is one more.
func (b *bucket) take(now time.Time) bool {
	if b.full.Before(now) {
		b.full = now
	}
	next := b.full.Add(b.every)
	if next.Sub(now) > time.Duration(b.burst)*b.every {
		return false
	}
	b.full = next
	return true
}
