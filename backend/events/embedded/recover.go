package embedded

import (
	"strings"

	"github.com/cockroachdb/pebble/v2"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
)

// recover finds what was there when the log was closed, or ended.
func (l *Log) recover() error {
	err := l.each(kindTopic, func(key, v []byte) error {
		s, err := parseState(key, v)
		if err != nil {
			return err
		}
		ns, name, _ := strings.Cut(string(key[2:]), "\x00")
		t := newTopic(events.Topic{Namespace: ns, Name: name}, s)
		if err := l.findEnd(t); err != nil {
			return err
		}
		l.topics[t.name], l.written[t.name] = t, t
		l.count[ns]++
		return nil
	})
	if err != nil {
		return err
	}
	return l.each(kindGroup, func(key, v []byte) error {
		parts := strings.SplitN(string(key[2:]), "\x00", 3)
		if len(parts) != 3 {
			return damaged(key)
		}
		t := l.topics[events.Topic{Namespace: parts[0], Name: parts[1]}]
		if t == nil {
			return damaged(key)
		}
		g := &group{name: events.Group{Topic: t.name, Name: parts[2]}, topic: t}
		var err error
		if g.next, g.open, err = parsePlace(key, v); err != nil {
			return err
		}
		for _, e := range g.open { // the clock may have been set back meanwhile
			e.until = min(e.until, l.now()+int64(events.MaxDelay))
		}
		t.groups[g.name.Name], t.writtenGroups[g.name.Name] = g, g
		return l.findKeys(g)
	})
}

// each calls f with all records of a kind.
func (l *Log) each(kind byte, f func(key, value []byte) error) error {
	it, err := l.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{byte(engine.Events), kind}, UpperBound: []byte{byte(engine.Events), kind + 1},
	})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			break
		}
		if err := f(it.Key(), v); err != nil {
			return err
		}
	}
	return l.db.IterError(it)
}

// findEnd finds the last event of a topic, of which its record does not tell.
func (l *Log) findEnd(t *topic) error {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: under(kindEvent, t.name), UpperBound: beyond(kindEvent, t.name)})
	if err != nil {
		return err
	}
	defer it.Close()
	if it.Last() {
		v, err := it.ValueAndErr()
		if err != nil {
			return l.db.IterError(it)
		}
		s := t.written
		if s.last, s.total, err = parseHeader(it.Key(), v); err != nil {
			return err
		}
		s.next = offsetOf(it.Key()) + 1
		t.written = s
		t.durable.Store(&s)
	}
	return l.db.IterError(it)
}
