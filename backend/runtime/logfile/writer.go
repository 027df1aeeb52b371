package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// Log is what one instance wrote: numbered segment files, of which the
// newest grows until it is full and the oldest goes when there are too many.
// Nothing is synced: a log survives the death of this process, and loses its
// last seconds with the machine's power.
//
// All methods are safe for concurrent use.
type Log struct {
	logs    *Logs
	service Service
	id      string
	dir     string

	mu          sync.Mutex
	first, last int64     // the segments that there are; last is 0 when there is none
	size        int64     // of the last segment, as far as it holds whole records
	began       time.Time // when the last segment was begun; zero: not known
	number      int64     // of lines that were ever written; -1: to be found out
	file        *os.File
	buf         []byte
	lost        int64 // lines that could not be written and have not been told
	lostTo      error // why
}

// position is a place in a log: a segment and an offset in it. The zero position
// is before everything.
type position struct {
	segment, offset int64
}

func (p position) before(q position) bool {
	return p.segment < q.segment || p.segment == q.segment && p.offset < q.offset
}

const segmentSuffix = ".log"

func segmentName(n int64) string {
	return fmt.Sprintf("%08d%s", n, segmentSuffix)
}

// openLog finds the segments in dir, which must exist, and cuts off what
// a crash has left of a record.
func openLog(ls *Logs, service Service, id, dir string) (*Log, error) {
	l := &Log{logs: ls, service: service, id: id, dir: dir}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		n, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil || n < 1 || e.Name() != segmentName(n) {
			continue
		}
		if l.last == 0 || n < l.first {
			l.first = n
		}
		l.last = max(l.last, n)
	}
	if l.last == 0 {
		return l, nil
	}
	l.number = -1
	l.drop(ls.now())
	l.size, err = trim(l.path(l.last))
	return l, err
}

// trim cuts a segment after its last whole record and returns its size then.
func trim(name string) (int64, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	end := info.Size()
	for block := make([]byte, blockSize); end > 0; {
		b := block[:min(end, blockSize)]
		if _, err := f.ReadAt(b, end-int64(len(b))); err != nil {
			return 0, err
		}
		i := bytes.LastIndexByte(b, '\n')
		end -= int64(len(b) - (i + 1))
		if i >= 0 {
			break
		}
	}
	if end == info.Size() {
		return end, nil
	}
	return end, f.Truncate(end)
}

// Of returns whose log it is.
func (l *Log) Of() (Service, string) { return l.service, l.id }

// Lost returns how many lines could not be kept and have not been told of yet.
func (l *Log) Lost() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *Log) path(segment int64) string {
	return filepath.Join(l.dir, segmentName(segment))
}

// Append writes lines that came from one stream, all with the time of now. A line
// longer than [runtime.MaxLine] is written in parts. What cannot be written is
// counted, and told as soon as something can be again: a full disk holds nobody
// up.
func (l *Log) Append(release int64, stream runtime.Stream, lines ...[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.logs.now() // here, so that times are in the order of the records
	if l.lost > 0 {
		note := fmt.Sprintf("%d lines could not be kept: %v", l.lost, l.lostTo)
		lost := l.lost
		l.write(t, release, runtime.System, []byte(note))
		if l.lost > lost {
			l.lost = lost + int64(len(lines)) // the note is no line of the instance's
			return
		}
		l.lost = 0
	}
	l.write(t, release, stream, lines...)
	l.logs.wake(l.service)
}

// write encodes lines and writes them, with as few calls as segments allow.
func (l *Log) write(t time.Time, release int64, stream runtime.Stream, lines ...[]byte) {
	var space [64]byte
	prefix := appendPrefix(space[:0], t, stream, release)
	count := int64(0)
	flush := func() {
		if err := l.flush(); err != nil {
			l.lost += count
			l.lostTo = err
		} else if l.number >= 0 {
			l.number += count
		}
		count = 0
	}
	for _, line := range lines {
		for part := range parts(line) {
			record := int64(len(prefix) + len(part) + 1)
			switch used := l.size + int64(len(l.buf)); {
			case l.last == 0, used > 0 && used+record > l.logs.segmentSize, l.isOld(t):
				flush()
				if err := l.rotate(t); err != nil {
					l.lost++
					l.lostTo = err
					continue
				}
			case len(l.buf) > flushSize:
				flush()
			}
			l.buf = append(l.buf, prefix...)
			l.buf = append(l.buf, part...)
			l.buf = append(l.buf, '\n')
			count++
		}
	}
	flush()
}

// flushSize bounds the buffer of a log: what is longer is written at once.
const flushSize = 256 << 10

// flush writes the buffer behind the last whole record, and empties it.
func (l *Log) flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	defer func() { l.buf = l.buf[:0] }()
	if l.file == nil {
		f, err := os.OpenFile(l.path(l.last), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		l.file = f
	}
	n, err := l.file.WriteAt(l.buf, l.size)
	if err != nil {
		// Best effort: readers stop at l.size, and the next record goes there.
		if n > 0 {
			_ = l.file.Truncate(l.size)
		}
		return cause(err)
	}
	l.size += int64(n)
	return nil
}

// cause strips the name of a file from an error, which is of no use to who reads
// a log.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// isOld reports whether the last segment was begun so long ago that a new one should
// be, because segments go as a whole.
func (l *Log) isOld(now time.Time) bool {
	if l.logs.maxAge <= 0 || l.size == 0 {
		return false
	}
	if l.began.IsZero() {
		l.began = now // at worst it lives on for as long again
		if t, err := firstTime(l.path(l.last)); err == nil {
			l.began = t
		}
	}
	return now.Sub(l.began) > l.logs.maxAge/10
}

// rotate begins a new segment, and removes the oldest ones beyond the limits. The
// buffer must be empty; it holds the head of the new segment then.
func (l *Log) rotate(now time.Time) error {
	if l.number < 0 {
		n, err := l.numberAt(position{l.last, l.size}, l.first)
		if err != nil {
			return cause(err)
		}
		l.number = n
	}
	f, err := os.OpenFile(l.path(l.last+1), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return cause(err)
	}
	if l.file != nil {
		_ = l.file.Close() // nothing is synced, so nothing is told here
	}
	l.file, l.size, l.began = f, 0, now
	l.last++
	l.first = max(l.first, 1)
	if l.number > 0 {
		l.buf = appendHead(l.buf, l.number)
	}
	l.drop(now)
	return nil
}

// drop removes the oldest segments beyond the limits, never the last one.
func (l *Log) drop(now time.Time) {
	for l.first < l.last && (l.last-l.first+1 > int64(l.logs.segments) || l.expired(now)) {
		if err := os.Remove(l.path(l.first)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return // a reader holds it open, where that matters: next time
		}
		l.first++
	}
}

// expired reports whether the first segment holds nothing that is young enough.
func (l *Log) expired(now time.Time) bool {
	if l.logs.maxAge <= 0 {
		return false
	}
	info, err := os.Stat(l.path(l.first))
	return err == nil && now.Sub(info.ModTime()) > l.logs.maxAge
}

// Rest closes the file and gives memory back when nothing will be written for
// a while. A later append opens it again.
func (l *Log) Rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close() // as in rotate
	}
	l.file, l.buf = nil, nil
}

// ends returns the first position that there is, and the one after the last
// record.
func (l *Log) ends() (begin, end position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return position{l.first, 0}, position{l.last, l.size}
}

// readAt reads from a segment, up to its end when that is known to be nearer
// than b's. The error is [fs.ErrNotExist] when rotation has taken the segment.
func (l *Log) readAt(b []byte, at position) (int, error) {
	f, err := os.Open(l.path(at.segment))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(b, at.offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
