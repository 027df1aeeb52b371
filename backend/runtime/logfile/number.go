package logfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"time"
)

// numberAt returns how many lines were written before a position. It reads no more
// than from the last head in front of it; first is the first segment that there is.
func (l *Log) numberAt(p position, first int64) (int64, error) {
	for n, segment, end := int64(0), p.segment, p.offset; ; segment, end = segment-1, -1 {
		if segment < max(first, 1) {
			return n, nil
		}
		before, lines, err := countLines(l.path(segment), end)
		if err != nil {
			return 0, err
		}
		if n += before + lines; before > 0 {
			return n, nil
		}
	}
}

// countLines returns what the head of a file says, 0 when it has none, and how many
// lines are behind that and before end; below 0 stands for the end of the file.
func countLines(name string, end int64) (before, lines int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	var r io.Reader = f
	if end >= 0 {
		r = io.LimitReader(f, end)
	}
	buf := make([]byte, blockSize)
	for first := true; ; first = false {
		n, err := r.Read(buf)
		if head, _, _ := bytes.Cut(buf[:n], []byte("\n")); first {
			if b, ok := parseHead(head); ok {
				before, lines = b, -1 // the head is no line
			}
		}
		lines += int64(bytes.Count(buf[:n], []byte("\n")))
		if errors.Is(err, io.EOF) {
			return before, max(lines, 0), nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

// firstTime returns the time of the first record of a file.
func firstTime(name string) (time.Time, error) {
	f, err := os.Open(name)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 4<<10)
	for {
		begin, err := r.ReadSlice('\n')
		if t, ok := recordTime(begin); ok {
			return t, nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return time.Time{}, err
		}
	}
}
