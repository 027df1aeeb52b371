package logfile

import (
	"bytes"
	"iter"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/micro/micro/v3/backend/runtime"
)

// A record is one line of text, so that cat, grep and tail read a log when
// nothing else does:
//
//	2026-11-05T10:00:00.000000000Z o 3 the line as it was written
//
// that is time, stream (o, e, s), release and text. The text holds no line end,
// whatever else it holds, so a record ends where its line does, reading backward
// is looking for the line end before, and a record that a crash cut off is the
// last line of its file and has no end.
//
// A file that is not the first of its log begins with a head instead, which says how
// many lines were written before:
//
//	# 123456 lines before
const (
	timeFormat = "2006-01-02T15:04:05.000000000Z"
	// maxRecord is the longest record: time, stream, release, text, line end.
	maxRecord = len(timeFormat) + len(" o ") + len("-9223372036854775808 ") + runtime.MaxLine + 1
)

// streamLetters holds the letter of each stream at its number.
const streamLetters = " oes"

// appendPrefix appends what records of the same time, stream and release begin
// with.
func appendPrefix(b []byte, t time.Time, stream runtime.Stream, release int64) []byte {
	b = t.UTC().AppendFormat(b, timeFormat)
	b = append(b, ' ', streamLetters[stream], ' ')
	b = strconv.AppendInt(b, release, 10)
	return append(b, ' ')
}

// parseRecord reads a record without its line end. The text is a part of b. It
// reports false for what is no record, such as the zeros that a power cut leaves.
func parseRecord(b []byte) (line runtime.Line, text []byte, ok bool) {
	line.Time, ok = recordTime(b)
	if !ok {
		return line, nil, false
	}
	b = b[len(timeFormat):]
	if len(b) < len(" o 0 ") || b[0] != ' ' || b[2] != ' ' {
		return line, nil, false
	}
	stream := bytes.IndexByte([]byte(streamLetters), b[1])
	release, text, found := bytes.Cut(b[3:], []byte(" "))
	n, err := strconv.ParseInt(string(release), 10, 64)
	if stream < 1 || !found || err != nil {
		return line, nil, false
	}
	line.Stream, line.Release = runtime.Stream(stream), n
	return line, text, true
}

// The words of a head, around its number.
const (
	headBegin = "# "
	headEnd   = " lines before"
)

// appendHead appends the head of a file.
func appendHead(b []byte, before int64) []byte {
	b = append(b, headBegin...)
	b = strconv.AppendInt(b, before, 10)
	return append(b, headEnd+"\n"...)
}

// parseHead reads a head without its line end.
func parseHead(b []byte) (before int64, ok bool) {
	digits, ok := bytes.CutPrefix(b, []byte(headBegin))
	if !ok {
		return 0, false
	}
	digits, ok = bytes.CutSuffix(digits, []byte(headEnd))
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return n, ok && err == nil && n > 0
}

// recordTime reads the time of a record alone.
func recordTime(b []byte) (time.Time, bool) {
	if len(b) < len(timeFormat) {
		return time.Time{}, false
	}
	t, err := time.Parse(timeFormat, string(b[:len(timeFormat)]))
	return t, err == nil
}

// parts yields a line in parts of at most [runtime.MaxLine] bytes, at least one.
// UTF-8 is not cut inside a character.
func parts(line []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(line) > runtime.MaxLine {
			n := cutBefore(line, runtime.MaxLine)
			if !yield(line[:n]) {
				return
			}
			line = line[n:]
		}
		yield(line)
	}
}

// cutBefore returns where to cut a text so that its first part has at most n
// bytes, which are fewer than it has, and the second does not begin in the
// middle of a character.
func cutBefore(b []byte, n int) int {
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return n // no UTF-8
}
