package logs

import (
	"strconv"
	"strings"
)

// Level is how much a line matters.
type Level uint8

// The levels, the least first. A line that says nothing has none of them.
const (
	Trace Level = iota + 1
	Debug
	Info
	Warn
	Error
	Fatal
)

// maxWords bounds in how many words of a line a level is looked for.
const maxWords = 16

// LevelOf returns what a line says of itself, 0 when it says nothing. It knows JSON
// (slog, zap, zerolog, logrus, pino, bunyan, GELF, ECS), key=value pairs (logfmt, slog,
// logrus, go-kit), klog and glog, systemd's <N>, a word in front (zap and zerolog on a
// console, the standard library's log, Python, many others), and what Go writes when it
// panics.
func LevelOf(text string) Level {
	s := strings.TrimLeft(text, " \t")
	switch {
	case s == "":
		return 0
	case s[0] == '{':
		return ofJSON(s)
	case strings.HasPrefix(s, "panic: "), strings.HasPrefix(s, "fatal error: "):
		return Fatal
	case strings.HasPrefix(s, "Traceback (most recent call last)"), strings.HasPrefix(s, "Exception in thread "):
		return Error
	}
	if l := ofKlog(s); l != 0 {
		return l
	}
	if len(s) > 3 && s[0] == '<' && s[2] == '>' {
		if l := ofSyslog(s[1:2]); l != 0 {
			return l
		}
	}
	return ofWords(s)
}

// ofKlog reads the head of klog and glog: E1105 10:00:00.
func ofKlog(s string) Level {
	if len(s) < len("E1105 10:00:00") || s[5] != ' ' || s[8] != ':' {
		return 0
	}
	for _, c := range s[1:5] {
		if c < '0' || c > '9' {
			return 0
		}
	}
	switch s[0] {
	case 'I':
		return Info
	case 'W':
		return Warn
	case 'E':
		return Error
	case 'F':
		return Fatal
	default:
		return 0
	}
}

// ofSyslog reads a severity of syslog.
func ofSyslog(digit string) Level {
	switch digit {
	case "0", "1", "2":
		return Fatal
	case "3":
		return Error
	case "4":
		return Warn
	case "5", "6":
		return Info
	case "7":
		return Debug
	default:
		return 0
	}
}

// ofWords looks for a pair such as level=error, or a word such as ERROR or [error]
// before the text begins.
func ofWords(s string) Level {
	pairs := false
	for i := 0; i < maxWords && s != ""; i++ {
		var word string
		word, s = nextWord(s)
		if key, value, ok := strings.Cut(word, "="); ok {
			if isLevelKey(key) {
				return ofName(strings.Trim(value, `"`))
			}
			pairs = true
			continue
		}
		// Words between pairs are a message.
		if pairs || i > 5 {
			continue
		}
		if l := ofWord(word, i == 0); l != 0 {
			return l
		}
	}
	return 0
}

// nextWord cuts the first word off. What is quoted behind a '=' belongs to it; control
// sequences of terminals do not.
func nextWord(s string) (word, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && (quoted || i > 0 && s[i-1] == '='):
			quoted = !quoted
		case quoted:
		case c == ' ' || c == '\t' || c == '|':
			return s[:i], strings.TrimLeft(s[i:], " \t|")
		case c == '\x1b':
			after := s[i+1:]
			if end := strings.IndexByte(after, 'm'); end >= 0 && strings.HasPrefix(after, "[") {
				after = after[end+1:]
			}
			if i == 0 {
				s, i = after, -1
				continue
			}
			return s[:i], after
		}
	}
	return s, ""
}

// ofWord reads a word of its own as a level. In lower case it could be a part of the
// text, so it has to be in brackets, or first with a colon.
func ofWord(word string, first bool) Level {
	name := strings.TrimLeft(word, "[(<")
	bracketed := len(name) < len(word)
	name, after, found := cutAny(name, "])>:[")
	if name == "" || len(name) > len("CRITICAL") {
		return 0
	}
	if !isUpper(name) && !bracketed && (!first || !found || after[0] != ':') {
		return 0
	}
	return ofName(name)
}

func isUpper(s string) bool {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}

// cutAny is [strings.Cut] at the first of some characters, which stays with what is
// behind it.
func cutAny(s, chars string) (before, after string, found bool) {
	i := strings.IndexAny(s, chars)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i:], true
}

// isLevelKey reports whether a key is one that loggers put a level behind.
func isLevelKey(key string) bool {
	switch key {
	case "level", "lvl", "severity", "Level", "log.level", "@level", "loglevel", "levelname", "severity_text", "SeverityText", "L":
		return true
	default:
		return false
	}
}

// ofName reads the name of a level, in any case and with the offset that slog may add.
func ofName(name string) Level {
	if i := strings.LastIndexAny(name, "+-"); i > 0 {
		name = name[:i]
	}
	if len(name) > len("emergency") {
		return 0
	}
	switch strings.ToLower(name) {
	case "trace", "trc", "trac", "finest", "finer", "verbose":
		return Trace
	case "debug", "dbg", "debu", "fine":
		return Debug
	case "info", "inf", "information", "notice", "default":
		return Info
	case "warn", "warning", "wrn":
		return Warn
	case "error", "err", "erro", "eror", "severe":
		return Error
	case "fatal", "ftl", "fata", "panic", "dpanic", "pnc", "pani", "critical", "crit", "alert", "emerg", "emergency":
		return Fatal
	default:
		return 0
	}
}

// ofNumber reads a level of pino and bunyan, or of GELF, whose numbers are syslog's.
func ofNumber(s string) Level {
	n, err := strconv.Atoi(s)
	switch {
	case err != nil || n < 0:
		return 0
	case n < 8:
		return ofSyslog(s)
	case n < 20:
		return Trace
	case n < 30:
		return Debug
	case n < 40:
		return Info
	case n < 50:
		return Warn
	case n < 60:
		return Error
	default:
		return Fatal
	}
}
