package server

import (
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/backend/tables"
)

// encoded is a message in its wire form, which the codec sends as it is: what many are
// sent is made once.
type encoded []byte

// changeID says which change of a record a message is about. All who watch a table are
// sent the same for it.
type changeID struct {
	table    tables.Table
	key      string
	revision int64
	more     bool
}

// Bounds of what [encodings] keep.
const (
	keptEncodings = 256
	keptEncoded   = 2 << 20 // bytes
)

// encodings are the messages that watches were sent last: with a thousand of a table, all
// but one find there what they send. The zero value is ready to use, by many at once.
type encodings struct {
	mu    sync.Mutex
	kept  map[changeID]encoded
	bytes int
}

// get returns the message of a change, nil when it is not there.
func (e *encodings) get(id changeID) encoded {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.kept[id]
}

// add keeps the message of a change, and returns it in its wire form.
func (e *encodings) add(id changeID, m proto.Message) (encoded, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept == nil || len(e.kept) >= keptEncodings || e.bytes+len(b) > keptEncoded {
		e.kept, e.bytes = map[changeID]encoded{}, 0 // whoever is not behind has had them
	}
	if _, twice := e.kept[id]; !twice {
		e.kept[id] = b
		e.bytes += len(b)
	}
	return b, nil
}
