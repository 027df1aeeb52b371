package image

// Stage is what is being done.
type Stage uint8

// The stages, in their order.
const (
	Fetching Stage = iota + 1
	Building
	Packaging
	Pushing
)

// String returns the stage as one word.
func (s Stage) String() string {
	switch s {
	case Fetching:
		return "fetching"
	case Building:
		return "building"
	case Packaging:
		return "packaging"
	case Pushing:
		return "pushing"
	default:
		return "unknown"
	}
}

// Event tells how far something is. Functions that take events are called by
// one goroutine at a time, and should return soon.
type Event struct {
	Stage   Stage
	Message string // what is being worked on, or what a tool said
	Warning bool   // Message is something that its reader may want to change
	Done    int64  // bytes
	Total   int64  // bytes; 0 when it is not known
}

// report calls f with an event, unless it is nil.
func report(f func(Event), e Event) {
	if f != nil {
		f(e)
	}
}
