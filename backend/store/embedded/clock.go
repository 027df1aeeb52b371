package embedded

import "time"

// clock tells the time as it was when the store was opened plus what has passed
// since. A change of the machine's time moves it as little as a time zone.
type clock struct {
	opened time.Time // as the machine said it
	start  time.Time // the same moment, to measure from
}

func newClock(opened time.Time) clock { return clock{opened: opened, start: time.Now()} }

// now returns the time in nanoseconds since 1970.
func (c clock) now() int64 { return c.opened.UnixNano() + int64(time.Since(c.start)) }
