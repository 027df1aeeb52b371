package logs

import (
	"strings"

	"github.com/micro/micro/v3/backend/runtime"
)

// levels gives lines their levels. A line that says nothing may go on with what the
// one before it has said, as those of a trace do: it has that one's level.
type levels struct {
	last map[writer]said
}

// writer is a stream of an instance.
type writer struct {
	instance string
	stream   runtime.Stream
}

// said is what the last line of a writer was.
type said struct {
	level Level
	trace bool // lines of a stack are to follow
}

func (ls *levels) of(line runtime.Line) Level {
	if line.Stream == runtime.System {
		return Info
	}
	if ls.last == nil {
		ls.last = map[writer]said{}
	}
	w := writer{line.Instance, line.Stream}
	before := ls.last[w]
	now := said{LevelOf(line.Text), beginsTrace(line.Text)}
	switch {
	case now.trace && now.level == 0:
		now.level = max(before.level, Error)
	case now.level != 0:
	case isIndented(line.Text), before.trace && isFrame(line.Text):
		now = before
	}
	ls.last[w] = now
	return now.level
}

// beginsTrace reports whether a stack is to follow.
func beginsTrace(text string) bool {
	return strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") || strings.HasPrefix(text, "goroutine ") ||
		strings.HasPrefix(text, "Traceback (most recent call last)")
}

// isFrame reports whether an unindented line belongs to a stack of Go, or ends one of
// Python or Java.
func isFrame(text string) bool {
	return text == "" || strings.HasSuffix(text, ")") || strings.HasPrefix(text, "created by ") || strings.HasPrefix(text, "[signal ") ||
		strings.HasPrefix(text, "Caused by: ") || strings.Contains(text, "Error: ") || strings.HasPrefix(text, "exit status ")
}

func isIndented(text string) bool {
	return text != "" && (text[0] == ' ' || text[0] == '\t')
}
