package embedded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
)

// Keys of the driver, after the byte of its space. No name has a zero byte; numbers
// are big-endian, so that they are in order.
//
//	t NAMESPACE 0 TOPIC              what is known of a topic
//	v NAMESPACE 0 TOPIC 0 OFFSET     an event
//	g NAMESPACE 0 TOPIC 0 GROUP      where a group is
const (
	kindTopic = 't'
	kindEvent = 'v'
	kindGroup = 'g'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func topicKey(t events.Topic) []byte {
	k := append([]byte{byte(engine.Events), kindTopic}, t.Namespace...)
	return append(append(k, 0), t.Name...)
}

// under returns the beginning of the keys of one kind that belong to a topic.
func under(kind byte, t events.Topic) []byte {
	k := append([]byte{byte(engine.Events), kind}, t.Namespace...)
	k = append(append(k, 0), t.Name...)
	return append(k, 0)
}

// beyond returns the first key after those.
func beyond(kind byte, t events.Topic) []byte {
	k := under(kind, t)
	k[len(k)-1] = 1
	return k
}

func eventKey(t events.Topic, offset int64) []byte {
	return binary.BigEndian.AppendUint64(under(kindEvent, t), uint64(offset))
}

func offsetOf(eventKey []byte) int64 {
	return int64(binary.BigEndian.Uint64(eventKey[len(eventKey)-8:]))
}

func groupKey(g events.Group) []byte { return append(under(kindGroup, g.Topic), g.Name...) }

// seal puts a checksum of key and value before a value.
func seal(key, value []byte) []byte {
	v := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(value)), sum(key, value))
	return append(v, value...)
}

// open checks a value that was sealed, and returns a part of it.
func open(key, v []byte) ([]byte, error) {
	if len(v) < 4 || binary.BigEndian.Uint32(v) != sum(key, v[4:]) {
		return nil, damaged(key)
	}
	return v[4:], nil
}

func sum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

func damaged(key []byte) error { return fmt.Errorf("%w: the record %q", engine.ErrDamaged, key[1:]) }

// state is what is known of a topic.
type state struct {
	next  int64 // the offset of the next event
	total int64 // the bytes of all events that there ever were
	last  int64 // the time of the last of them

	oldest int64 // the first offset that is kept; next when there is none
	cut    int64 // the bytes of all events before it

	retention events.Retention
}

func (s *state) format() []byte {
	var v []byte
	for _, n := range []int64{s.next, s.total, s.last, s.oldest, s.cut, int64(s.retention.Age), s.retention.Bytes, s.retention.Events} {
		v = binary.BigEndian.AppendUint64(v, uint64(n))
	}
	return v
}

func parseState(key, v []byte) (state, error) {
	v, err := open(key, v)
	if err != nil {
		return state{}, err
	}
	if len(v) != 8*8 {
		return state{}, damaged(key)
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(v[8*i:])) }
	return state{
		next: at(0), total: at(1), last: at(2), oldest: at(3), cut: at(4),
		retention: events.Retention{Age: time.Duration(at(5)), Bytes: at(6), Events: at(7)},
	}, nil
}

// The value of an event:
//
//	checksum of the key and the rest of the header 4, checksum of the body 4,
//	time 8, total 8; then the body: key, metadata, payload
const eventHeader = 4 + 4 + 8 + 8

// body is what an event has that does not depend on its place.
type body struct {
	bytes []byte
	sum   uint32
	size  int64
}

func newBody(e *events.Event) body {
	b := make([]byte, 0, int(e.Size()))
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	text(e.Key)
	b = binary.AppendUvarint(b, uint64(len(e.Metadata)))
	for _, k := range slices.Sorted(maps.Keys(e.Metadata)) {
		text(k)
		text(e.Metadata[k])
	}
	b = append(b, e.Payload...)
	return body{bytes: b, sum: crc32.Checksum(b, castagnoli), size: e.Size()}
}

// format writes the value of an event that has its key.
func (b *body) format(key []byte, at, total int64) []byte {
	v := make([]byte, eventHeader, eventHeader+len(b.bytes))
	binary.BigEndian.PutUint32(v[4:], b.sum)
	binary.BigEndian.PutUint64(v[8:], uint64(at))
	binary.BigEndian.PutUint64(v[16:], uint64(total))
	binary.BigEndian.PutUint32(v, sum(key, v[4:eventHeader]))
	return append(v, b.bytes...)
}

// parseHeader returns the time of an event, and the bytes of all events up to it.
func parseHeader(key, v []byte) (at, total int64, err error) {
	if len(v) < eventHeader || binary.BigEndian.Uint32(v) != sum(key, v[4:eventHeader]) {
		return 0, 0, damaged(key)
	}
	return int64(binary.BigEndian.Uint64(v[8:])), int64(binary.BigEndian.Uint64(v[16:])), nil
}

// parseEvent reads an event, which keeps nothing of v.
func parseEvent(key, v []byte) (events.Event, error) {
	at, _, err := parseHeader(key, v)
	if err != nil {
		return events.Event{}, err
	}
	b := v[eventHeader:]
	if binary.BigEndian.Uint32(v[4:]) != crc32.Checksum(b, castagnoli) {
		return events.Event{}, damaged(key)
	}
	ok := true
	number := func() int {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)) {
			ok = false
			return 0
		}
		b = b[size:]
		return int(n)
	}
	text := func() string {
		n := number()
		if !ok || n > len(b) {
			ok = false
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	e := events.Event{Offset: offsetOf(key), Time: time.Unix(0, at), Key: text()}
	if n := number(); n > 0 {
		e.Metadata = map[string]string{}
		for range n {
			k := text()
			e.Metadata[k] = text()
		}
	}
	if !ok {
		return events.Event{}, damaged(key)
	}
	e.Payload = append([]byte{}, b...)
	return e, nil
}

// formatPlace writes where a group is: the next offset, and those before it that are
// not settled, with how often they were delivered. Behind a zero, which is no distance
// between offsets, follow the places of those that wait after a nack, and until when.
func formatPlace(next int64, open []*entry) []byte {
	v := binary.AppendUvarint(nil, uint64(next))
	last, waiting := int64(0), false
	for _, e := range open {
		v = binary.AppendUvarint(v, uint64(e.offset-last))
		v = binary.AppendUvarint(v, uint64(e.attempts))
		last = e.offset
		waiting = waiting || e.waits()
	}
	if !waiting {
		return v
	}
	v = append(v, 0)
	for i, e := range open {
		if e.waits() {
			v = binary.AppendUvarint(v, uint64(i))
			v = binary.AppendUvarint(v, uint64(e.until))
		}
	}
	return v
}

func parsePlace(key, v []byte) (next int64, list []*entry, err error) {
	if v, err = open(key, v); err != nil {
		return 0, nil, err
	}
	bad := false
	number := func() int64 {
		n, size := binary.Uvarint(v)
		if size <= 0 {
			bad, v = true, nil
			return 0
		}
		v = v[size:]
		return int64(n)
	}
	next = number()
	for last := int64(0); len(v) > 0; {
		distance := number()
		if distance == 0 {
			break
		}
		last += distance
		list = append(list, &entry{offset: last, attempts: int(number())})
	}
	for len(v) > 0 {
		i, until := number(), number()
		if i < 0 || i >= int64(len(list)) {
			return 0, nil, damaged(key)
		}
		list[i].until = until
	}
	if bad {
		return 0, nil, damaged(key)
	}
	return next, list, nil
}
