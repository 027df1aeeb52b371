package deploy

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/backend/runtime"
)

// exitError is the end of an instance that nobody asked to end.
type exitError struct{ runtime.Exit }

func (e *exitError) Error() string {
	switch {
	case e.OutOfMemory:
		return "ran out of memory"
	case e.Signal != "":
		return "killed by " + e.Signal
	default:
		return "exited with code " + strconv.Itoa(e.Code)
	}
}

// sign is something that an instance wrote before it ended, and what that most likely
// means.
type sign struct {
	pattern string // a regular expression for a line
	cause   string
}

// signs are looked for in this order, each in all lines before the next one.
func signs() []sign {
	return []sign{
		{`(?i)address already in use|EADDRINUSE`, "the port that it listens on is in use: a service listens where the environment variable MICRO_ADDRESS says (or PORT)"},
		{`(?i)out of memory|cannot allocate memory|std::bad_alloc|MemoryError`, "it needs more memory than it may have"},
		{`^panic: `, "it panicked"},
		{`^fatal error: all goroutines are asleep`, "all of its goroutines wait for each other"},
		{`^fatal error: concurrent map`, "its goroutines use a map at the same time"},
		{`(?i)exec format error`, "it starts a program that was built for another kind of machine"},
		{`(?i)error while loading shared libraries|cannot open shared object`, "a library that it was linked with is not in the image"},
		{`flag provided but not defined|unknown (shorthand )?flag|unrecognized option`, "it does not know an argument that it was started with"},
		{`(?i)permission denied|EACCES|operation not permitted`, "it may not do what it tries: open a file, or listen on a port below 1024"},
		{`(?i)no such file or directory|ENOENT|cannot find the file`, "a file that it needs is not in the image"},
		{`(?i)no such host|name resolution|ENOTFOUND`, "the name of a server that it needs is not known"},
		{`(?i)connection refused|ECONNREFUSED|i/o timeout|network is unreachable`, "a server that it needs cannot be reached"},
		{`(?i)(missing|required|must be set|not set).*(env|variable)|(env|variable).*(missing|required|must be set|not set)`, "an environment variable that it needs is missing: give it in micro.yaml or with --env-var"},
		{`(?i)too many open files|EMFILE`, "it has more files open than it may"},
		{`(?i)no space left on device|ENOSPC`, "the disk is full"},
	}
}

// likelyCause says what most likely made an instance end, by how it ended and by what
// it wrote last; empty when nothing is known.
func likelyCause(why error, lines []string) string {
	if _, never := errors.AsType[*unhealthyError](why); never && errors.As(why, new(refusedError)) {
		return "it listens elsewhere: a service listens where the environment variable MICRO_ADDRESS says (or PORT)"
	}
	exit, ok := why.(*exitError) //nolint:errorlint // as it was made in watch
	if !ok {
		return ""
	}
	if exit.OutOfMemory {
		return "it needs more memory than it may have"
	}
	for _, s := range signs() {
		re := regexp.MustCompile(s.pattern)
		for _, line := range lines {
			if re.MatchString(line) {
				return s.cause + quoted(s, line)
			}
		}
	}
	switch {
	case exit.Signal == "SIGSEGV" || exit.Signal == "SIGBUS":
		return "it used memory that is not its own"
	case exit.Signal == "SIGKILL":
		return "somebody, or the system for want of memory, has killed it"
	case exit.Signal == "SIGSYS":
		return "it made a system call that is not allowed"
	case exit.Signal != "":
		return ""
	case exit.Code == 0:
		return "its program came to its end: a service runs until it is told to stop"
	case exit.Code == 126 || exit.Code == 127:
		return "the program that it starts is not there, or cannot be run"
	default:
		return ""
	}
}

// quoted returns what a panic says.
func quoted(s sign, line string) string {
	if text, ok := strings.CutPrefix(line, "panic: "); ok && s.pattern == `^panic: ` {
		return ": " + text
	}
	return ""
}
