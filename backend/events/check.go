package events

import (
	"fmt"
	"strings"
)

// Overhead is how many bytes an event takes beside what is in it.
const Overhead = 64

// Size returns how many bytes an event takes.
func (e *Event) Size() int64 {
	n := Overhead + len(e.Key) + len(e.Payload)
	for k, v := range e.Metadata {
		n += len(k) + len(v)
	}
	return int64(n)
}

// Check returns an error when a topic cannot have that name.
func (t Topic) Check() error {
	if t.Namespace == "" || strings.Contains(t.Namespace, "\x00") {
		return fmt.Errorf("the namespace %q: %w", t.Namespace, ErrInvalid)
	}
	return checkName("topic", t.Name)
}

// CheckQueue returns an error when subscribers of a topic cannot share a queue of that
// name.
func (t Topic) CheckQueue(queue string) error {
	if err := t.Check(); err != nil || queue == "" {
		return err
	}
	return checkName("queue", queue)
}

// Check returns an error when a group, or its topic, cannot have that name.
func (g Group) Check() error {
	if err := g.Topic.Check(); err != nil {
		return err
	}
	return checkName("group", g.Name)
}

func checkName(what, name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("a name of %d bytes for a %s, the most is %d: %w", len(name), what, MaxName, ErrTooLarge)
	}
	for i, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("._-/", r)) {
			return badName(what, name)
		}
	}
	if name == "" {
		return badName(what, name)
	}
	return nil
}

func badName(what, name string) error {
	return fmt.Errorf("%q cannot name a %s, which has letters, digits and \"._-/\" and begins with a letter or digit: %w", name, what, ErrInvalid)
}

// CheckBatch returns an error when events cannot be appended together.
func CheckBatch(list []Event) error {
	if len(list) == 0 {
		return fmt.Errorf("no events: %w", ErrInvalid)
	}
	if len(list) > MaxBatch {
		return fmt.Errorf("%d events at once, the most is %d: %w", len(list), MaxBatch, ErrTooLarge)
	}
	var total int64
	for i := range list {
		if err := list[i].check(); err != nil {
			return fmt.Errorf("event %d: %w", i+1, err)
		}
		total += list[i].Size()
	}
	if total > MaxBatchBytes {
		return fmt.Errorf("%d bytes at once, the most is %d: %w", total, MaxBatchBytes, ErrTooLarge)
	}
	return nil
}

func (e *Event) check() error {
	if len(e.Key) > MaxKey {
		return fmt.Errorf("a key of %d bytes, the most is %d: %w", len(e.Key), MaxKey, ErrTooLarge)
	}
	if len(e.Payload) > MaxPayload {
		return fmt.Errorf("a payload of %d bytes, the most is %d: %w", len(e.Payload), MaxPayload, ErrTooLarge)
	}
	if len(e.Metadata) > MaxMetadata {
		return fmt.Errorf("%d entries of metadata, the most is %d: %w", len(e.Metadata), MaxMetadata, ErrTooLarge)
	}
	n := 0
	for k, v := range e.Metadata {
		n += len(k) + len(v)
	}
	if n > MaxMetaBytes {
		return fmt.Errorf("metadata of %d bytes, the most is %d: %w", n, MaxMetaBytes, ErrTooLarge)
	}
	return nil
}

// Check returns an error when a topic cannot keep that.
func (r Retention) Check() error {
	if r.Age < 0 || r.Bytes < 0 || r.Events < 0 {
		return fmt.Errorf("a retention below zero: %w", ErrInvalid)
	}
	return nil
}

// Check returns an error when nothing can be read so.
func (r Range) Check() error {
	if r.From < 0 || r.Limit < 0 {
		return fmt.Errorf("an offset or limit below zero: %w", ErrInvalid)
	}
	return nil
}

// Check returns an error when nothing can be fetched so by a group of a topic.
func (f Fetch) Check(t Topic) error {
	if f.From < 0 || f.Limit < 0 || f.MaxDeliveries < 0 {
		return fmt.Errorf("an offset, limit or number of deliveries below zero: %w", ErrInvalid)
	}
	if f.AckWait < 0 || f.AckWait > MaxDelay {
		return fmt.Errorf("a wait of %v for an ack, which is not from 0 to %v: %w", f.AckWait, MaxDelay, ErrInvalid)
	}
	if f.MaxDeliveries == 0 {
		return nil
	}
	dead := Topic{t.Namespace, f.DeadTopic(t)}
	if dead == t {
		return fmt.Errorf("the topic %q cannot have its own dead letters: %w", t.Name, ErrInvalid)
	}
	return dead.Check()
}

// CheckNacks returns an error when deliveries cannot be given back so.
func CheckNacks(list []Nack) error {
	for _, n := range list {
		if n.Delay < 0 || n.Delay > MaxDelay {
			return fmt.Errorf("a delay of %v, which is not from 0 to %v: %w", n.Delay, MaxDelay, ErrInvalid)
		}
	}
	return nil
}

// DeadTopic returns the name of the topic for dead letters of a topic.
func (f Fetch) DeadTopic(t Topic) string {
	if f.DeadLetter == "" {
		return t.Name + ".dead"
	}
	return f.DeadLetter
}
