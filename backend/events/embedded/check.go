package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/events"
)

// Counts is what a check has seen.
type Counts struct{ Topics, Groups, Events int64 }

// Check reads all that a log has in a database, and calls tell for each topic, group
// and event that is not what was written, or is missing between others. The error is
// that of a database which cannot be read on. Nobody must write meanwhile.
func Check(ctx context.Context, db *engine.DB, tell func(what string, err error)) (Counts, error) {
	var n Counts
	topics := map[events.Topic]*topicCheck{}
	err := db.Each(ctx, engine.Events, string(kindTopic), func(key, v []byte) error {
		n.Topics++
		ns, name, _ := strings.Cut(string(key[2:]), "\x00")
		s, err := parseState(key, v)
		if err != nil {
			tell(fmt.Sprintf("the topic %q of namespace %q", name, ns), err)
		}
		topics[events.Topic{Namespace: ns, Name: name}] = &topicCheck{state: s, ok: err == nil}
		return nil
	})
	if err != nil {
		return n, err
	}
	err = db.Each(ctx, engine.Events, string(kindEvent), func(key, v []byte) error {
		n.Events++
		parts := strings.SplitN(string(key[2:]), "\x00", 3)
		if len(parts) != 3 || len(parts[2]) != 8 {
			tell(fmt.Sprintf("the event %q", key[2:]), damaged(key))
			return nil
		}
		offset := int64(binary.BigEndian.Uint64([]byte(parts[2])))
		if err := checkEvent(topics[events.Topic{Namespace: parts[0], Name: parts[1]}], offset, key, v); err != nil {
			tell(fmt.Sprintf("event %d of the topic %q of namespace %q", offset, parts[1], parts[0]), err)
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	for t, c := range topics {
		// What the record of a topic says is newer than its events, or as old.
		if c.ok && c.last == 0 && c.state.oldest < c.state.next {
			tell(fmt.Sprintf("the topic %q of namespace %q", t.Name, t.Namespace),
				fmt.Errorf("%w: the events from %d to %d are missing", engine.ErrDamaged, c.state.oldest, c.state.next-1))
		}
	}
	return n, db.Each(ctx, engine.Events, string(kindGroup), func(key, v []byte) error {
		n.Groups++
		if _, _, err := parsePlace(key, v); err != nil {
			tell(fmt.Sprintf("the group %q", key[2:]), err)
		}
		return nil
	})
}

// topicCheck is how far the events of a topic were read.
type topicCheck struct {
	state state
	ok    bool
	last  int64 // the offset that was read last; 0: none
}

func checkEvent(c *topicCheck, offset int64, key, v []byte) error {
	if c == nil {
		return fmt.Errorf("%w: there is no such topic", engine.ErrDamaged)
	}
	missing := c.last
	if missing == 0 && c.ok {
		missing = c.state.oldest - 1
	}
	// Those before the oldest may not have been removed yet.
	if c.last != 0 && offset != c.last+1 || c.last == 0 && c.ok && offset > c.state.oldest {
		c.last = offset
		return fmt.Errorf("%w: the events from %d to %d are missing", engine.ErrDamaged, missing+1, offset-1)
	}
	c.last = offset
	_, err := parseEvent(key, v)
	return err
}
