package logfile

import (
	"bytes"
	"errors"
	"io"

	"github.com/micro/micro/v3/backend/runtime"
)

// A buffer of lines begins small, since most programs write little and there may
// be many, and grows with what is read at once up to more than a line's length.
const (
	minLines = 512
	maxLines = 2 * runtime.MaxLine
)

// ReadLines reads r to its end and appends its lines to log, what there is at a
// time with one call. A last line without an end counts as a line, unless r ends with
// [io.ErrUnexpectedEOF]: then it comes again as a whole. It ends with any error, which
// says nothing to whom the lines are for.
func ReadLines(r io.Reader, log *Log, release int64, stream runtime.Stream) {
	buf := make([]byte, minLines)
	var lines [][]byte
	have := 0
	for {
		n, err := r.Read(buf[have:])
		have += n
		rest := buf[:have]
		lines = lines[:0]
		for {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found {
				break
			}
			lines = append(lines, bytes.TrimSuffix(line, []byte("\r")))
			rest = after
		}
		// One byte more may be the first of the line's end.
		for len(rest) > runtime.MaxLine+1 {
			cut := cutBefore(rest, runtime.MaxLine)
			lines = append(lines, rest[:cut])
			rest = rest[cut:]
		}
		if err != nil && len(rest) > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
			lines = append(lines, rest)
		}
		if len(lines) > 0 {
			log.Append(release, stream, lines...)
		}
		if err != nil {
			return
		}
		full := have == len(buf)
		have = copy(buf, rest)
		if full && len(buf) < maxLines {
			buf = append(buf[:have], make([]byte, 2*len(buf)-have)...)
		}
	}
}
