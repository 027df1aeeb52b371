package cli

import (
	"fmt"
	"slices"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/tui"
)

// say tells about a service, which is in a state then.
func (d *dev) say(s *devService, state tui.PartState, text string) {
	d.show(s, state, text)
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.err, "%s: %s\n", front.Line(d.title(s)), text)
}

// show says on the screen, if there is one, how a service does.
func (d *dev) show(s *devService, state tui.PartState, text string, details ...string) {
	if d.screen == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.screen.Show(tui.Part{ID: s.place, Name: d.title(s), State: state, Text: text, Details: details})
}

// fail tells why a service could not be made.
func (d *dev) fail(s *devService, err error) {
	e := d.app.explain(err)
	d.show(s, tui.Ill, e.Message, slices.Clone(e.Details)...)
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.err, "%s: %s\n", front.Line(d.title(s)), front.Line(e.Message))
	for _, line := range e.Details {
		fmt.Fprintln(d.err, front.Line(line))
	}
	if e.Hint != "" {
		fmt.Fprintf(d.err, "hint: %s\n", front.Line(e.Hint))
	}
}

func (d *dev) title(s *devService) string {
	if s.name != "" {
		return s.name
	}
	return s.place
}
