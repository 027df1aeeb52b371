package supervisor

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// record is what is kept of an instance's last start, beside what the place of
// its log says. It is not synced: after a loss of power it may be as it was before,
// missing or cut off, and then the instance has ended in a way that nobody knows.
type record struct {
	Release int64             `json:"release"`
	Image   string            `json:"image"` // its key
	Address string            `json:"address"`
	Started time.Time         `json:"started"`
	Unmet   runtime.Resources `json:"unmet,omitzero"`
	Process json.RawMessage   `json:"process,omitempty"` // see [Started.Mark]
	Exit    *runtime.Exit     `json:"exit,omitempty"`    // nil: it has not ended
}

// write puts the record in the place of the one that there is.
func (r record) write(name string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	next := name + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, name)
}

// readRecord returns the record in a file, an empty one when there is none that
// can be read.
func readRecord(name string) (record, error) {
	var r record
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, nil //nolint:nilerr // as the loss of power left it
	}
	return r, nil
}
