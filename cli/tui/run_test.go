//go:build unix

package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/term"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/internal/fault"
)

// The terminal is as it was before also when something of the program has a fault: a
// feed, or a screen.
func TestFaultsLeaveTheTerminal(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(c *Config, tty *testTTY){
		"feed in the background": func(c *Config, _ *testTTY) {
			c.Session.Dial = func(ctx context.Context) (context.Context, grpc.ClientConnInterface, error) {
				fault.Go(ctx, func() { panic("a fault") })
				never := make(chan struct{})
				<-never
				return ctx, nil, nil
			}
		},
		"something that takes time": func(c *Config, tty *testTTY) {
			go func() { _ = tty.press(t.Context(), "e") }() // lists the environments
			c.Environments = func() ([]Environment, error) { panic("a fault") }
		},
		"feed": func(c *Config, _ *testTTY) {
			c.Session.Dial = func(context.Context) (context.Context, grpc.ClientConnInterface, error) { panic("a fault") }
		},
		"screen": func(c *Config, _ *testTTY) {
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
			tty := openTTY(t)
			c := testConfig()
			c.In, c.Out, c.Environ, c.Now = ttyInput{tty.File}, tty, []string{"TERM=xterm-256color"}, time.Now
			prepare(c, tty)
			err := Run(t.Context(), *c)
			if _, ok := errors.AsType[*fault.Fault](err); !ok && (name != "screen" || err == nil) {
				t.Errorf("got %v", err)
			}
			tty.check()
			if strings.Contains(tty.text(), "services") {
				t.Errorf("on the screen is still\n%s", tty.text())
			}
		})
	}
}

// testTTY is a pseudo-terminal, and what is on its screen. It is never closed: what a
// program began to read it with may end later than the program.
type testTTY struct {
	*os.File

	t      *testing.T
	pty    *os.File
	before *term.State
	mu     sync.Mutex // of the cells of screen, and wrote
	screen *vt.SafeEmulator
	wrote  chan struct{} // closed, and another one, when something was written to it
}

// ttyInput is a terminal to read from and to set to raw, and no file with a name. Those
// bubbletea closes what it waits with while it may still wait, which is nothing to who
// runs it and a data race to the detector.
type ttyInput struct {
	term interface {
		io.ReadWriteCloser
		Fd() uintptr
	}
}

func (t ttyInput) Read(p []byte) (int, error)  { return t.term.Read(p) }
func (t ttyInput) Write(p []byte) (int, error) { return t.term.Write(p) }
func (t ttyInput) Close() error                { return t.term.Close() }
func (t ttyInput) Fd() uintptr                 { return t.term.Fd() }

func openTTY(t *testing.T) *testTTY {
	t.Helper()
	p, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(p, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	v := &testTTY{File: tty, t: t, pty: p, screen: vt.NewSafeEmulator(80, 24), wrote: make(chan struct{})}
	go func() { _, _ = io.Copy(p, v.screen) }() // what a terminal answers
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := p.Read(buf)
			v.mu.Lock()
			_, _ = v.screen.Write(buf[:n])
			close(v.wrote)
			v.wrote = make(chan struct{})
			v.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	if v.before, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	return v
}

// press types keys when a program has the terminal.
func (v *testTTY) press(ctx context.Context, keys string) error {
	for {
		more := v.more()
		if v.screen.IsAltScreen() {
			break
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := io.WriteString(v.pty, keys)
	return err
}

// check fails when the terminal is not as it was.
func (v *testTTY) check() {
	v.t.Helper()
	after, err := term.GetState(int(v.Fd()))
	if err != nil {
		v.t.Fatal(err)
	}
	if *v.before != *after {
		v.t.Errorf("the terminal was\n%+v\nand is\n%+v", v.before, after)
	}
	const mark = "all was written"
	if _, err := io.WriteString(v, mark); err != nil {
		v.t.Fatal(err)
	}
	for timeout := time.After(5 * time.Minute); ; {
		more := v.more()
		if strings.Contains(v.text(), mark) {
			break
		}
		select {
		case <-more:
		case <-timeout:
			v.t.Fatalf("what was written does not come; there is\n%s", v.text())
		}
	}
	if v.screen.IsAltScreen() || v.screen.CursorHidden() {
		v.t.Error("the screen is not what it was before")
	}
}

// more returns what is closed when something was written to the terminal.
func (v *testTTY) more() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.wrote
}

func (v *testTTY) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b strings.Builder
	for y := range v.screen.Height() {
		for x := range v.screen.Width() {
			if c := v.screen.CellAt(x, y); c != nil {
				b.WriteString(c.Content)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A command that is followed ends as it ends, and what it wrote is in the terminal then;
// one that fails before it wrote anything never has the terminal.
func TestFollow(t *testing.T) {
	t.Parallel()
	failed := errors.New("it failed")
	for name, test := range map[string]struct {
		work      func(ctx context.Context, out *Output) error
		keys      string
		want      error
		fault     bool
		has, lost []string
	}{
		"is done": {
			work: func(_ context.Context, out *Output) error {
				for i := range 5 {
					out.Line(fmt.Sprintf("line %d", i), clock())
				}
				_, err := fmt.Fprintf(out, "one\ntwo\n")
				return err
			},
			has: []string{"line 0", "line 4", "one", "two"}, lost: []string{"following"},
		},
		"fails": {
			work: func(_ context.Context, out *Output) error { out.Line("a line", clock()); return failed },
			want: failed, has: []string{"a line"},
		},
		"fails at once": {
			work: func(context.Context, *Output) error { return failed },
			want: failed,
		},
		"has a fault": {
			work:  func(_ context.Context, out *Output) error { out.Line("a line", clock()); panic("a fault") },
			fault: true, has: []string{"a line"},
		},
		"has a fault in the background": {
			work: func(ctx context.Context, out *Output) error {
				out.Line("a line", clock())
				never := make(chan struct{})
				fault.Go(ctx, func() { panic("a fault") })
				<-never
				return nil
			},
			fault: true, has: []string{"a line"},
		},
		"has a fault before it wrote": {
			work: func(ctx context.Context, _ *Output) error {
				fault.Go(ctx, func() { panic("a fault") })
				<-ctx.Done()
				return ctx.Err()
			},
			fault: true,
		},
		"writes after a fault": {
			work: func(ctx context.Context, out *Output) error {
				out.Line("a line", clock())
				fault.Go(ctx, func() { panic("a fault") })
				<-ctx.Done()
				out.Line("nobody reads this", clock())
				return nil
			},
			fault: true, has: []string{"a line"},
		},
		"is interrupted": {
			work: func(ctx context.Context, out *Output) error {
				out.Line("a line", clock())
				<-ctx.Done()
				return ctx.Err()
			},
			keys: "\x03", want: ErrInterrupted, has: []string{"a line"},
		},
		"is quit": {
			work: func(ctx context.Context, out *Output) error {
				out.Line("a line", clock())
				<-ctx.Done()
				return ctx.Err()
			},
			keys: "q", has: []string{"a line"},
		},
		"writes more than is kept": {
			work: func(_ context.Context, out *Output) error {
				for i := range keptLines + 7 {
					out.Line(fmt.Sprintf("line %d", i), clock())
				}
				return nil
			},
			has: []string{fmt.Sprintf("line %d", keptLines+6)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tty := openTTY(t)
			c := testConfig()
			c.In, c.Out, c.Environ, c.Now = ttyInput{tty.File}, tty, []string{"TERM=xterm-256color"}, time.Now
			err := Follow(t.Context(), *c, "test", func(ctx context.Context, out *Output) error {
				if test.keys != "" {
					out.Begin()
					if err := tty.press(ctx, test.keys); err != nil {
						return err
					}
				}
				return test.work(ctx, out)
			})
			if test.fault && (err == nil || !strings.Contains(err.Error(), "a fault")) || !test.fault && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			tty.check()
			for _, has := range test.has {
				if !strings.Contains(tty.text(), has) {
					t.Errorf("%q is not in the terminal:\n%s", has, tty.text())
				}
			}
			for _, lost := range test.lost {
				if strings.Contains(tty.text(), lost) {
					t.Errorf("%q is in the terminal:\n%s", lost, tty.text())
				}
			}
		})
	}
}
