// Package events defines durable, ordered logs of events, and groups of consumers
// that share one: the one contract under publishing and consuming.
//
//	events.Engine      what a driver does
//	eventstest.Test    what that means: the conformance suite is the definition
//	events/<driver>    embedded, …
//
// It knows of tenants only that the name of a topic begins with a namespace. It is
// no queue: what a group has handled stays in the log until retention removes it.
package events

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Limits that every driver holds. A request beyond them fails with [ErrTooLarge],
// one that would make too many of something with [ErrTooMany].
const (
	MaxName       = 200       // bytes of the name of a topic or of a group
	MaxKey        = 1 << 10   // bytes of an event's key
	MaxPayload    = 1 << 20   // bytes of its payload
	MaxMetadata   = 64        // entries of its metadata
	MaxMetaBytes  = 16 << 10  // bytes of all names and values in it
	MaxBatch      = 1000      // events of one append
	MaxBatchBytes = 8 << 20   // bytes of all events of one append
	MaxRead       = 1000      // events that one read or fetch returns
	MaxReadBytes  = 1 << 20   // bytes after which it returns no further event
	MaxInFlight   = 1000      // deliveries of a group that are not settled
	MaxTopics     = 10_000    // topics of a namespace, and as many more for dead letters
	MaxGroups     = 1000      // groups of a topic
	MaxDelay      = time.Hour // delay of a nack, and wait for an ack

	MaxWaiting      = 1000     // events of a topic that wait for a subscriber
	MaxWaitingBytes = 8 << 20  // bytes of those
	MaxWaitingTotal = 64 << 20 // bytes of all that wait in a namespace
	MaxSubscribers  = 10_000   // subscribers in a namespace
)

// Errors that callers tell apart with [errors.Is]. Any other error is a failure of
// the engine; what a write that returned one did is unknown.
var (
	ErrNotFound = errors.New("not found")
	ErrInvalid  = errors.New("not valid")
	ErrTooLarge = errors.New("larger than a log of events allows")
	ErrTooMany  = errors.New("no more are allowed")
	ErrFull     = errors.New("the disk is full")
	ErrClosed   = errors.New("the log of events is closed")
)

// Log holds topics. A topic is a sequence of events that only grows at its end and is
// only cut at its beginning; the offsets in it begin with 1 and have no gaps.
//
// What a method returned as done survives a crash of the process and a loss of power,
// and nothing that is not so durable is shown to a reader. All methods are safe for
// concurrent use, and return promptly with the context's error when ctx ends; a write
// may have been made then. What is passed in is not kept, and what is handed out
// belongs to the caller.
type Log interface {
	// Append adds events to a topic, all of them or none, one behind the other, and
	// returns the offset of the first. It makes the topic when it is not there, with
	// [DefaultRetention]. Of the events key, metadata and payload count; their time
	// is that of the append, and never before that of an earlier event.
	Append(ctx context.Context, t Topic, list []Event) (int64, error)

	// Read returns events in the order of their offsets, none when there are none
	// in r. A read that should wait returns when there is at least one, even if
	// the topic was not there before; else a topic that is not there is [ErrNotFound].
	Read(ctx context.Context, t Topic, r Range) ([]Event, error)

	// Topics returns topics of a namespace in the order of their names.
	Topics(ctx context.Context, namespace string, l List) ([]TopicInfo, error)

	// SetRetention says what a topic keeps, and makes it when it is not there. What
	// is beyond it is removed soon, not at once.
	SetRetention(ctx context.Context, t Topic, r Retention) error

	// Delete removes a topic with its events and groups, [ErrNotFound] when there is
	// none. Its offsets begin with 1 again when it is made anew.
	Delete(ctx context.Context, t Topic) error

	// Close ends waiting calls, waits for running ones and releases the engine.
	// Calls made afterwards return [ErrClosed].
	Close() error
}

// Groups is what a [Log] does for consumers that share a topic. Each group has every
// event of the topic delivered to one of its consumers, at least once, until it is
// acknowledged; what was acknowledged is not delivered again.
type Groups interface {
	// Fetch hands out events to a consumer of a group. It makes the group, and the
	// topic, when they are not there, and waits until there is at least one. The
	// order is that of the offsets, but for what is delivered again; of the events
	// with the same key, if it is not empty, one is handed out when all before it
	// are settled.
	//
	// What is not settled within f.AckWait is delivered again. What was delivered
	// f.MaxDeliveries times in vain is appended to the topic f.DeadLetter instead,
	// with metadata that says where it was, and is settled with that.
	Fetch(ctx context.Context, g Group, f Fetch) ([]Delivery, error)

	// Ack settles deliveries for good. An offset that is settled already is no
	// error: whoever had the event handled it.
	Ack(ctx context.Context, g Group, offsets []int64) error

	// Nack gives deliveries back, each to be delivered again after its delay. It
	// changes nothing of those that were settled or delivered to somebody else
	// meanwhile.
	Nack(ctx context.Context, g Group, list []Nack) error

	// Release gives deliveries back that nobody has begun to handle: they can be
	// delivered again at once, and do not count. It changes nothing of those that
	// were settled or delivered to somebody else meanwhile.
	Release(ctx context.Context, g Group, list []Delivery) error

	// Groups returns groups of a topic in the order of their names.
	Groups(ctx context.Context, t Topic, l List) ([]GroupInfo, error)

	// DeleteGroup forgets a group and what it has handled, [ErrNotFound] when there
	// is none.
	DeleteGroup(ctx context.Context, g Group) error
}

// Broadcaster passes events on to who listens at that moment, and keeps none: they
// have no offset, no [Log] has them, and nobody acknowledges them. Its topics are not
// those of a Log, even where they have the same name.
type Broadcaster interface {
	// Broadcast passes events on to who is subscribed to a topic, each one to every
	// subscriber without a queue and to one of those of each queue. It waits for
	// nobody. The events belong to all who get them, and are not to be changed any
	// more; of them key, metadata and payload count, and their time is that of the
	// call.
	Broadcast(ctx context.Context, t Topic, list []Event) error

	// Subscribe returns what is broadcast to a topic from its return on until ctx
	// ends, in the order in which it was. It is read once, by one reader. A
	// subscriber for whom more than [MaxWaiting] events or [MaxWaitingBytes] wait,
	// or one of a namespace in which more than [MaxWaitingTotal] does, loses the
	// oldest of them and is told how many; it holds up nobody. Those with
	// the same queue, if it is not empty, share what is broadcast. An error is
	// yielded last: ctx's when it ended, [ErrClosed] after Close.
	Subscribe(ctx context.Context, t Topic, queue string) (iter.Seq2[Heard, error], error)
}

// Engine is all that a driver does.
type Engine interface {
	Log
	Groups
	Broadcaster
}

// List selects from a list by names.
type List struct {
	Name  string // only that one; empty: any
	After string // those behind it
	Limit int    // at most so many; 0, or more than [MaxRead]: MaxRead
}

// Has reports whether a name is one of those, but for their number.
func (l List) Has(name string) bool { return name > l.After && (l.Name == "" || l.Name == name) }

// Topic names a topic. A name is 1 to [MaxName] of letters, digits and "._-/", and
// begins with a letter or digit.
type Topic struct{ Namespace, Name string }

// Group names a group of a topic, as a topic is named.
type Group struct {
	Topic Topic
	Name  string
}

// Event is what was published.
type Event struct {
	Offset   int64
	Time     time.Time
	Key      string
	Metadata map[string]string
	Payload  []byte
}

// Range selects events of a topic.
type Range struct {
	// From is the first offset; what is not kept any more is passed over. 0: the
	// oldest event.
	From int64
	// Since leaves out what is older; the zero time leaves out nothing.
	Since time.Time
	// Limit is how many to return at most; 0, or more than [MaxRead]: MaxRead. A
	// read may return fewer than there are, for one because of [MaxReadBytes].
	Limit int
	// Wait is for a first event that is there, or will be.
	Wait bool
}

// Fetch says what a consumer takes, and how.
type Fetch struct {
	// Limit is how many events it takes at most; 0, or more than [MaxRead]: MaxRead.
	Limit int
	// AckWait is how long it has to settle one; 0: 30 s.
	AckWait time.Duration
	// MaxDeliveries is how often an event is delivered at most; 0: for ever.
	MaxDeliveries int
	// DeadLetter is the topic for what was delivered that often; empty: the topic's
	// own name and ".dead".
	DeadLetter string
	// From and Since are where a group begins that is made now; see [Range].
	From  int64
	Since time.Time
}

// Delivery is an event that was handed out.
type Delivery struct {
	Event
	Attempt int // the how-manieth delivery to the group, from 1
}

// Nack is a delivery that could not be handled.
type Nack struct {
	Delivery
	// Delay is how long to wait before the next one, from 0 to [MaxDelay].
	Delay time.Duration
}

// Heard is what a subscriber gets at once.
type Heard struct {
	// Dropped is how many events there were before these that the subscriber, or its
	// queue, was too slow for.
	Dropped int64
	Events  []Event
}

// Retention says what a topic keeps; 0 stands for no bound.
type Retention struct {
	Age    time.Duration
	Bytes  int64 // of keys, metadata and payloads, with some for each event
	Events int64
}

// DefaultRetention returns what a topic keeps when nothing else was said.
func DefaultRetention() Retention { return Retention{Age: 7 * 24 * time.Hour, Bytes: 1 << 30} }

// TopicInfo is what is known of a topic.
type TopicInfo struct {
	Name      string
	Oldest    int64 // the first offset that is kept; Next when there is none
	Next      int64 // the offset that the next event gets
	Bytes     int64 // of what is kept
	Retention Retention
}

// GroupInfo is what is known of a group.
type GroupInfo struct {
	Name string
	// Committed is up to where everything is settled.
	Committed int64
	// Pending is how many events were handed out, or held back, and are not settled.
	Pending int64
	// Lag is how many events have not been settled.
	Lag int64
}

// What an event in a topic of dead letters says of itself in its metadata.
const (
	DeadTopic    = "micro-dead-topic"
	DeadGroup    = "micro-dead-group"
	DeadOffset   = "micro-dead-offset"
	DeadAttempts = "micro-dead-deliveries"
)
