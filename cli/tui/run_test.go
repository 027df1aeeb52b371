//go:build unix

package tui

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/term"
	"google.golang.org/grpc"
)

// The terminal is as it was before also when something of the program has a fault: a
// feed, or a screen.
func TestFaultsLeaveTheTerminal(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(c *Config){
		"feed": func(c *Config) {
			c.Session.Dial = func(context.Context) (context.Context, grpc.ClientConnInterface, error) { panic("a fault") }
		},
		"screen": func(c *Config) {
			explain := c.Explain
			c.Explain = func(err error) string {
				if err != nil {
					panic("a fault")
				}
				return explain(err)
			}
			c.Session.Dial = func(ctx context.Context) (context.Context, grpc.ClientConnInterface, error) {
				return ctx, nil, unavailable()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := pty.Setsize(p, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
				t.Fatal(err)
			}
			screen := vt.NewSafeEmulator(80, 24)
			go func() { _, _ = io.Copy(p, screen) }() // what a terminal answers
			read := make(chan struct{})
			go func() {
				_, _ = io.Copy(screen, p) // until the other end is closed
				close(read)
			}()
			before, err := term.GetState(int(tty.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			c := testConfig()
			c.In, c.Out, c.Environ, c.Now = tty, tty, []string{"TERM=xterm-256color"}, time.Now
			prepare(c)
			err = Run(t.Context(), *c)
			if err == nil || !strings.Contains(err.Error(), "fault") {
				t.Errorf("got %v", err)
			}
			after, err := term.GetState(int(tty.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			if *before != *after {
				t.Errorf("the terminal was\n%+v\nand is\n%+v", before, after)
			}
			_ = tty.Close()
			select {
			case <-read:
			case <-time.After(time.Minute):
				t.Fatal("the terminal stays open")
			}
			if screen.IsAltScreen() || screen.CursorHidden() {
				t.Error("the screen is not what it was before")
			}
		})
	}
}
