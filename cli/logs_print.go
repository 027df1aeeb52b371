package cli

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/micro/micro/v3/cli/front"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// logPrinter writes lines for people or programs, when flush is called at the latest.
type logPrinter struct {
	w     *bufio.Writer
	out   format
	times bool
	color bool

	services  int
	instances map[string]map[string]bool // that have been seen, of each service
}

// newLogPrinter returns a printer of the lines of so many services, or more that come.
func newLogPrinter(app *App, o *logsOptions, services int) *logPrinter {
	return &logPrinter{
		w: bufio.NewWriterSize(app.Out, 64<<10), out: o.out, times: o.times, color: app.Terminal.Out && app.mayColor(),
		services: services, instances: map[string]map[string]bool{},
	}
}

func (p *logPrinter) print(l *runtimev1.LogLine) error {
	return p.out.element(p.w, l, func(w io.Writer) error {
		_, err := io.WriteString(w, p.line(l)+"\n")
		return err
	})
}

func (p *logPrinter) flush() error { return p.w.Flush() }

// line is a line for people: with its service or its instance where there are several.
func (p *logPrinter) line(l *runtimev1.LogLine) string {
	prefix := ""
	if p.times {
		prefix = p.dim(l.GetTime().AsTime().Local().Format("2006-01-02 15:04:05.000")) + " "
	}
	if label := p.label(l); label != "" {
		prefix += p.paint(serviceColor(l.GetService()), "["+front.Line(label)+"]") + " "
	}
	if l.GetStream() == runtimev1.LogStream_LOG_STREAM_SYSTEM {
		return prefix + p.dim("-- "+front.Line(l.GetText()))
	}
	return prefix + p.paint(levelColor(l.GetLevel()), front.Colored(l.GetText()))
}

// label says who wrote a line, where that is not clear.
func (p *logPrinter) label(l *runtimev1.LogLine) string {
	seen := p.instances[l.GetService()]
	if seen == nil {
		seen = map[string]bool{}
		p.instances[l.GetService()] = seen
	}
	seen[l.GetInstance()] = true
	switch {
	case len(seen) > 1:
		return l.GetInstance()
	case max(p.services, len(p.instances)) > 1:
		return l.GetService()
	default:
		return ""
	}
}

func (p *logPrinter) dim(s string) string { return p.paint(2, s) }

// paint gives a text a colour of its own, or none for 0. Where the text has colours
// itself, these win.
func (p *logPrinter) paint(sgr int, s string) string {
	if !p.color || sgr == 0 || s == "" {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", sgr, s)
}

// serviceColor returns a colour that is always the same for a service.
func serviceColor(name string) int {
	colors := []int{36, 35, 34, 32, 96, 95, 94, 92}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it cannot fail
	return colors[h.Sum32()%uint32(len(colors))]
}

func levelColor(l runtimev1.LogLevel) int {
	switch l {
	case runtimev1.LogLevel_LOG_LEVEL_FATAL, runtimev1.LogLevel_LOG_LEVEL_ERROR:
		return 31
	case runtimev1.LogLevel_LOG_LEVEL_WARN:
		return 33
	case runtimev1.LogLevel_LOG_LEVEL_DEBUG, runtimev1.LogLevel_LOG_LEVEL_TRACE:
		return 2
	default:
		return 0
	}
}
