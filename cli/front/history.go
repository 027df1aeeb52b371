package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/micro/micro/v3/envs"
)

// Past is a call that was made.
type Past struct {
	Number    int       `json:"n"` // must be first: it is looked for there
	Time      time.Time `json:"time"`
	Env       string    `json:"env"`
	Namespace string    `json:"namespace"`
	Service   string    `json:"service"`
	Words     []string  `json:"words,omitempty"`
	Endpoint  string    `json:"endpoint"`
	Args      []string  `json:"args,omitempty"`
	// Hidden are the flags whose values are secret and were not kept.
	Hidden []string `json:"hidden,omitempty"`
	// Cut says that the arguments were too long to be kept.
	Cut  bool   `json:"cut,omitempty"`
	Exit int    `json:"exit"`
	Code string `json:"code,omitempty"` // of gRPC, when the call failed
	// Millis is how long it took.
	Millis int64 `json:"ms"`
}

// History is the file of the calls that were made, a line of JSON each. A line that
// cannot be read is as if it were not there. It is safe for use by several processes
// at once: whoever reads or writes it holds the lock on the file beside it.
type History struct{ path string }

// Bounds of the history. It is cut back to the first when it reaches the second.
const (
	maxPast      = 1000
	maxPastSlack = maxPast + 250
	maxPastBytes = 1 << 20
	maxPastLine  = 16 << 10
)

// NewHistory returns the history of a user, false when they want none.
func NewHistory(d envs.Dirs, getenv func(string) string) (History, bool) {
	switch strings.ToLower(getenv("MICRO_HISTORY")) {
	case "off", "0", "no", "false":
		return History{}, false
	default:
		return History{filepath.Join(d.State, "history.ndjson")}, true
	}
}

// Add appends a call, and numbers it. The history is an advantage and no duty: who
// adds to it goes on when that fails.
func (h History) Add(p Past) error {
	return h.locked(func() error {
		full, err := h.add(p)
		if err != nil || !full {
			return err
		}
		return h.trim()
	})
}

// add reports whether there is more now than is kept.
func (h History) add(p Past) (full bool, err error) {
	f, err := os.OpenFile(h.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	first, last, whole := numbers(f, info.Size())
	p.Number = last + 1
	line, err := json.Marshal(p)
	if err == nil && len(line) >= maxPastLine {
		p.Args, p.Hidden, p.Cut = nil, nil, true
		line, err = json.Marshal(p)
	}
	if err == nil && len(line) >= maxPastLine {
		err = errors.New("the call is too long to be kept")
	}
	if err != nil {
		return false, err
	}
	line = append(line, '\n')
	if !whole {
		line = append([]byte{'\n'}, line...) // whoever wrote the last one did not come to its end
	}
	_, err = f.Write(line)
	return info.Size()+int64(len(line)) > maxPastBytes || p.Number-first >= maxPastSlack, err
}

// locked does something while no other process does.
func (h History) locked(do func() error) (err error) {
	path := h.path + ".lock"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which gives the lock back
	if err := envs.LockFile(f); err != nil {
		return err
	}
	return do()
}

// numbers returns the numbers of the first and the last line, and whether the last one
// has its end.
func numbers(f io.ReaderAt, size int64) (first, last int, whole bool) {
	if size == 0 {
		return 1, 0, true
	}
	head := make([]byte, min(size, 64))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return 1, 0, false
	}
	first = max(numberOf(head), 1)
	tail := make([]byte, min(size, maxPastLine))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return first, 0, false
	}
	whole = tail[len(tail)-1] == '\n'
	for len(tail) > 0 && last == 0 {
		tail = bytes.TrimRight(tail, "\n")
		i := bytes.LastIndexByte(tail, '\n')
		last = numberOf(tail[i+1:])
		tail = tail[:max(i, 0)]
	}
	return first, last, whole
}

// numberOf returns the number in the beginning of a line, 0 when there is none.
func numberOf(line []byte) int {
	rest, ok := bytes.CutPrefix(line, []byte(`{"n":`))
	if !ok {
		return 0
	}
	digits, _, _ := bytes.Cut(rest, []byte(","))
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// trim puts a file with the last calls in the place of the one that is there.
func (h History) trim() error {
	all, err := h.read()
	if err != nil {
		return err
	}
	var out []byte
	size := 0
	start := len(all)
	lines := make([][]byte, len(all))
	for start > 0 && len(all)-start < maxPast {
		if lines[start-1], err = json.Marshal(all[start-1]); err != nil {
			return err
		}
		if size += len(lines[start-1]) + 1; size > maxPastBytes*3/4 {
			break
		}
		start--
	}
	for _, l := range lines[start:] {
		out = append(append(out, l...), '\n')
	}
	return writeCache(h.path, out)
}

// Read returns the calls that are kept, the newest last.
func (h History) Read() (all []Past, err error) {
	err = h.locked(func() error {
		all, err = h.read()
		return err
	})
	return all, err
}

func (h History) read() ([]Past, error) {
	f, err := os.Open(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 2*maxPastBytes))
	if err != nil {
		return nil, err
	}
	var all []Past
	for line := range bytes.Lines(b) {
		var p Past
		if json.Unmarshal(line, &p) == nil && p.Number > 0 && p.Service != "" {
			all = append(all, p)
		}
	}
	return all[max(len(all)-maxPast, 0):], nil
}

// Clear forgets all calls.
func (h History) Clear() error {
	return h.locked(func() error {
		if err := os.Remove(h.path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
