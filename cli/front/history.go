package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
// at once: whoever reads or writes it locks it.
type History struct{ path string }

// Bounds of the history. At one of them it is cut back to three quarters.
const (
	maxPast      = 1000
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
// adds to it goes on when that fails. It is part of every call, so it does little.
func (h History) Add(p Past) error {
	return h.locked(func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		size := info.Size()
		last, whole := lastNumber(f, size)
		p.Number = last + 1
		line := p.appendJSON(nil)
		if len(line) >= maxPastLine {
			p.Args, p.Hidden, p.Cut = nil, nil, true
			line = p.appendJSON(nil)
		}
		if len(line) >= maxPastLine {
			return errors.New("the call is too long to be kept")
		}
		if line = append(line, '\n'); !whole {
			line = append([]byte{'\n'}, line...) // whoever wrote the last one did not come to its end
		}
		if _, err := f.WriteAt(line, size); err != nil {
			return err
		}
		if size += int64(len(line)); size <= maxPastBytes && (p.Number%64 != 0 || p.Number-firstNumber(f) < maxPast) {
			return nil
		}
		return trim(f)
	})
}

// locked opens the file and does something with it while no other process does.
func (h History) locked(do func(f *os.File) error) (err error) {
	f, err := os.OpenFile(h.path, os.O_RDWR, 0) // to make it takes longer, and it is there mostly
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(h.path), 0o700); err == nil {
			f, err = os.OpenFile(h.path, os.O_RDWR|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which gives the lock back
	if err := envs.LockFile(f); err != nil {
		return err
	}
	return do(f)
}

// firstNumber returns the number of the first line, 0 when it has none.
func firstNumber(f io.ReaderAt) int {
	head := make([]byte, 32)
	n, _ := f.ReadAt(head, 0) // what is not there has no number
	return numberOf(head[:n])
}

// lastNumber returns the number of the last line that has one, and whether the last line
// has its end.
func lastNumber(f io.ReaderAt, size int64) (last int, whole bool) {
	if size == 0 {
		return 0, true
	}
	for _, most := range []int64{1 << 10, 2 * maxPastLine, maxPastBytes} {
		tail := make([]byte, min(size, most))
		n, _ := f.ReadAt(tail, size-int64(len(tail))) // a file that cannot be read cannot be written either
		if tail = tail[:n]; n == 0 {
			return 0, true
		}
		whole = tail[n-1] == '\n'
		for len(tail) > 0 {
			tail = bytes.TrimRight(tail, "\n")
			i := bytes.LastIndexByte(tail, '\n')
			if i < 0 && int64(n) < size {
				break // its beginning is not here
			}
			if last = numberOf(tail[i+1:]); last > 0 {
				return last, whole
			}
			tail = tail[:max(i, 0)]
		}
	}
	return 0, whole
}

// appendJSON appends what [json.Marshal] makes of it, without its cost: a call waits
// for this.
func (p Past) appendJSON(b []byte) []byte {
	text := func(key, v string) {
		b = append(append(append(b, `,"`...), key...), `":`...)
		b = appendText(b, v)
	}
	list := func(key string, vs []string) {
		if len(vs) == 0 {
			return
		}
		b = append(append(append(b, `,"`...), key...), `":[`...)
		for i, v := range vs {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, v)
		}
		b = append(b, ']')
	}
	b = strconv.AppendInt(append(b, `{"n":`...), int64(p.Number), 10)
	b = p.Time.AppendFormat(append(b, `,"time":"`...), time.RFC3339Nano)
	b = append(b, '"')
	text("env", p.Env)
	text("namespace", p.Namespace)
	text("service", p.Service)
	list("words", p.Words)
	text("endpoint", p.Endpoint)
	list("args", p.Args)
	list("hidden", p.Hidden)
	if p.Cut {
		b = append(b, `,"cut":true`...)
	}
	b = strconv.AppendInt(append(b, `,"exit":`...), int64(p.Exit), 10)
	if p.Code != "" {
		text("code", p.Code)
	}
	b = strconv.AppendInt(append(b, `,"ms":`...), p.Millis, 10)
	return append(b, '}')
}

// appendText appends a JSON string. What is no UTF-8 becomes U+FFFD.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f || r == 0x2028 || r == 0x2029:
			b = append(b, '\\', 'u', hexDigit(r>>12), hexDigit(r>>8), hexDigit(r>>4), hexDigit(r))
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

func hexDigit(r rune) byte { return "0123456789abcdef"[r&15] }

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

// trim leaves the last calls. Who is killed in the middle of it leaves some of them
// twice, or a line that cannot be read.
func trim(f *os.File) error {
	all, err := readPast(f)
	if err != nil {
		return err
	}
	keep := all[max(len(all)-maxPast*3/4, 0):]
	size := 0
	for i, p := range slices.Backward(keep) {
		if size += len(p.appendJSON(nil)) + 1; size > maxPastBytes*3/4 {
			keep = keep[i+1:]
			break
		}
	}
	var out []byte
	for _, p := range keep {
		out = append(p.appendJSON(out), '\n')
	}
	if _, err := f.WriteAt(out, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(out)))
}

// Read returns the calls that are kept, the newest last.
func (h History) Read() (all []Past, err error) {
	if _, err := os.Stat(h.path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // to look makes none
	}
	err = h.locked(func(f *os.File) error {
		all, err = readPast(f)
		return err
	})
	return all, err
}

func readPast(f *os.File) ([]Past, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 2*maxPastBytes))
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
	if _, err := os.Stat(h.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return h.locked(func(f *os.File) error { return f.Truncate(0) })
}
