package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// blockSize is how much of a log is read at once. No file stays open between
// two blocks: a service may have more instances than a process may have files.
const blockSize = 32 << 10

// cursor reads the log of one instance forward.
type cursor struct {
	log  *Log
	next position // of the first record that has not been read
	end  position // where to stop

	line runtime.Line // the one that was read last

	number int64 // of lines before next; below 0: not known
	gap    int64 // lines that are gone and have not been told

	block []byte // what was read of the segment behind next
	space []byte // what block is a part of
}

// read reads the next record into c.line and reports whether there was one
// before c.end. Rotation may have taken some; then it tells how many, and goes on with
// the oldest that there is. What is no record is skipped.
func (c *cursor) read() (bool, error) {
	for {
		i := bytes.IndexByte(c.block, '\n')
		if i < 0 {
			more, err := c.fill()
			if err != nil || !more {
				return false, err
			}
			continue
		}
		line, text, ok := parseRecord(c.block[:i])
		if ok && c.gap > 0 {
			text := fmt.Sprintf("%d older lines are gone: there were more than are kept", c.gap)
			c.line = runtime.Line{Time: line.Time, Instance: c.log.id, Release: line.Release, Stream: runtime.System, Text: text}
			c.gap = 0
			return true, nil
		}
		if !ok {
			c.head(c.block[:i])
		} else if c.number >= 0 {
			c.number++
		}
		c.block = c.block[i+1:]
		c.next.offset += int64(i + 1)
		if !ok {
			continue
		}
		c.line = line
		c.line.Instance, c.line.Text = c.log.id, string(text)
		return true, nil
	}
}

// head takes a head, if that is one: it tells of lines that were not read.
func (c *cursor) head(b []byte) {
	before, ok := parseHead(b)
	if !ok {
		return
	}
	if c.number >= 0 {
		c.gap += max(0, before-c.number)
	}
	c.number = before
}

// fill reads more of the log, so that block holds a whole record or more than
// one can have, and reports false at the end.
func (c *cursor) fill() (bool, error) {
	for {
		if begin, _ := c.log.ends(); c.next.segment < begin.segment {
			c.jump(begin)
		}
		if !c.next.before(c.end) {
			c.block, c.space = nil, nil
			return false, nil
		}
		have := len(c.block)
		if have > maxRecord { // not what this package wrote
			c.next.offset += int64(have)
			c.block, have = nil, 0
		}
		if need := have + blockSize; cap(c.space) < need {
			c.space = make([]byte, need)
		}
		space := c.space[:cap(c.space)]
		copy(space, c.block)
		space = space[:c.room(have, len(space))]
		n, err := c.log.readAt(space[have:], position{c.next.segment, c.next.offset + int64(have)})
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.jump(position{c.next.segment + 1, 0})
		case err != nil:
			return false, err
		case n > 0:
			c.block = space[:have+n]
			return true, nil
		case c.next.segment < c.end.segment:
			c.jump(position{c.next.segment + 1, 0})
		default:
			return false, nil // somebody has cut the file
		}
	}
}

// room returns how much of a buffer that holds have bytes may be filled, so that
// nothing beyond c.end is read.
func (c *cursor) room(have, size int) int {
	if c.next.segment < c.end.segment {
		return size
	}
	return max(have, int(min(int64(size), c.end.offset-c.next.offset)))
}

func (c *cursor) jump(to position) {
	c.next, c.block = to, nil
}

// backCursor reads the log of a cursor backward, times only.
type backCursor struct {
	*cursor
	at   position // of the record that was read last
	time time.Time

	block []byte // what was read of the segment before at
}

// read goes to the record before and reports whether there is one.
func (c *backCursor) read() (bool, error) {
	for {
		// A record ends with a line end, so the one before ends at the last line
		// end but that one.
		if n := len(c.block); n > 0 {
			start := bytes.LastIndexByte(c.block[:n-1], '\n') + 1
			if start > 0 || c.at.offset == int64(n) {
				record := c.block[start:n]
				c.block = c.block[:start]
				c.at.offset -= int64(len(record))
				if t, ok := recordTime(record); ok {
					c.time = t
					return true, nil
				}
				continue
			}
		}
		if more, err := c.fill(); err != nil || !more {
			return false, err
		}
	}
}

// fill reads the block before the one that there is, and reports false when
// there is none.
func (c *backCursor) fill() (bool, error) {
	if c.at.offset == 0 {
		begin, _ := c.log.ends()
		if c.at.segment <= begin.segment {
			return false, nil
		}
		size, err := c.log.segmentEnd(c.at.segment - 1)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		c.at, c.block = position{c.at.segment - 1, size}, nil
		return true, nil
	}
	size := min(c.at.offset, int64(len(c.block)+blockSize))
	block := make([]byte, size)
	n, err := c.log.readAt(block, position{c.at.segment, c.at.offset - size})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case int64(n) < size:
		return false, io.ErrUnexpectedEOF
	}
	c.block = block
	return true, nil
}

// segmentEnd returns the size of a segment that is not the last.
func (l *Log) segmentEnd(segment int64) (int64, error) {
	info, err := os.Stat(l.path(segment))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
