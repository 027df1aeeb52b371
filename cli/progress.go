package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/tui"
	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/image"
)

const (
	frameTime = 100 * time.Millisecond // between two frames of the line on a terminal
	beatTime  = 10 * time.Second       // between two signs of life elsewhere
)

// progress shows what a long command does: on a terminal as one line that is
// rewritten, elsewhere as a line for each step.
type progress struct {
	w     io.Writer
	live  bool // rewrite in place
	quiet bool // show nothing but notes
	now   func() time.Time
	width func() int
	told  func(step, detail string) // is told of each step as well; nil: nobody

	mu     sync.Mutex
	step   string // what is going on; empty: nothing
	detail string
	began  time.Time
	shown  bool // there is a line that is rewritten
	stop   chan struct{}
	done   sync.WaitGroup
}

func newProgress(app *App) *progress {
	return &progress{w: app.Err, live: app.color() && app.Getenv(accessibleVariable) == "", now: app.Now, width: func() int {
		if app.Terminal.Size == nil {
			return 80
		}
		width, _ := app.Terminal.Size() // which may be another one by and by
		return width
	}}
}

// start begins a step and ends the one before. Callers must end the last with finish or
// fail.
func (p *progress) start(step, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end("")
	p.step, p.detail, p.began = step, front.Line(detail), p.now()
	p.tell()
	if p.quiet {
		return
	}
	interval := frameTime
	if p.live {
		p.draw()
	} else {
		fmt.Fprintln(p.w, strings.TrimSpace(fmt.Sprintf("%-10s %s", p.step, p.detail)))
		interval = beatTime
	}
	if p.stop == nil {
		stop := make(chan struct{}) // p.stop may be gone before the goroutine runs
		p.stop = stop
		p.done.Go(func() { p.animate(stop, interval) })
	}
}

// update changes the detail of the step that is going on.
func (p *progress) update(detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.detail = front.Line(detail)
	p.tell()
	if p.live && p.step != "" {
		p.draw()
	}
}

// tell tells of the step that is going on. p.mu is held.
func (p *progress) tell() {
	if p.told != nil && p.step != "" {
		p.told(p.step, p.detail)
	}
}

// note leaves a line above the step that is going on.
func (p *progress) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintln(p.w, front.Line(line))
	if p.live && p.step != "" {
		p.draw()
	}
}

// finish ends the last step as done.
func (p *progress) finish() { p.close("") }

// fail ends the last step as failed, or as interrupted when that is what err says.
func (p *progress) fail(err error) {
	if isInterrupted(err) {
		p.close("interrupted")
		return
	}
	p.close("failed")
}

// isInterrupted reports whether an error says that the user wants no more of it.
func isInterrupted(err error) bool {
	return errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled
}

func (p *progress) close(how string) {
	p.mu.Lock()
	p.end(how)
	stop := p.stop
	p.stop = nil
	p.mu.Unlock()
	if stop != nil {
		close(stop)
		p.done.Wait()
	}
}

// end leaves the finished step on a line of its own. p.mu is held.
func (p *progress) end(how string) {
	if p.step == "" {
		return
	}
	if p.live {
		end := fmt.Sprintf("  %s", p.now().Sub(p.began).Round(10*time.Millisecond))
		if how != "" {
			end = ": " + how + end
		}
		p.clear()
		fmt.Fprintf(p.w, "%s%s\n", p.fit(fmt.Sprintf("%-10s %s", p.step, p.detail), len(end)), end)
	}
	p.step = ""
}

// draw rewrites the line. p.mu is held.
func (p *progress) draw() {
	elapsed := p.now().Sub(p.began)
	line := fmt.Sprintf("%-10s %s", p.step, p.detail)
	if elapsed > time.Second {
		line += fmt.Sprintf("  %s", elapsed.Round(time.Second))
	}
	line = p.fit(line, 3)
	p.clear()
	fmt.Fprintf(p.w, "%s %s", tui.Spinner(elapsed), line)
	p.shown = true
}

// fit cuts a line that would not stay on one.
func (p *progress) fit(line string, reserve int) string {
	return ansi.Truncate(strings.TrimSpace(line), max(20, p.width()-reserve), "…")
}

// clear removes the line that is rewritten. p.mu is held.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[2K")
		p.shown = false
	}
}

// animate redraws the line, or says from time to time that the step goes on.
func (p *progress) animate(stop <-chan struct{}, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			switch {
			case p.step == "":
			case p.live:
				p.draw()
			default:
				fmt.Fprintf(p.w, "%-10s goes on since %s\n", p.step, p.now().Sub(p.began).Round(time.Second))
			}
			p.mu.Unlock()
		case <-stop:
			return
		}
	}
}

// showStage shows what image does.
func showStage(p *progress) func(image.Event) {
	return func(e image.Event) {
		switch {
		case e.Warning:
			p.note("warning: " + e.Message)
		case e.Stage == image.Fetching && e.Done > 0:
			p.update(fmt.Sprintf("%s %s", e.Message, words.Size(e.Done)))
		case e.Total > 0 && e.Done < e.Total:
			p.update(fmt.Sprintf("%s %d%% of %s", e.Message, e.Done*100/e.Total, words.Size(e.Total)))
		}
	}
}
