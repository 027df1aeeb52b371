package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/image"
)

// shown is what a progress writes when steps go on for some time.
func shown(t *testing.T, live bool, width int, steps func(p *progress)) string {
	t.Helper()
	var b bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		steps(&progress{w: &b, live: live, now: time.Now, width: func() int { return width }})
	})
	return b.String()
}

// wait lets time pass in a bubble, until all that it wakes is done.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestProgressPlain(t *testing.T) {
	t.Parallel()
	got := shown(t, false, 80, func(p *progress) {
		p.start("packaging", "./shop")
		p.update("shop from ./shop")
		p.note("warning: no go.sum\x1b[2J\nmicro: done")
		wait(25*time.Second + time.Millisecond)
		p.start("pushing", "a/shop\x1b]0;x\a\n")
		p.start("starting", "")
		p.finish()
		p.finish()
		wait(time.Minute)
	})
	want := `packaging  ./shop
warning: no go.sum\x1b[2J micro: done
packaging  goes on since 10s
packaging  goes on since 20s
pushing    a/shop\x1b]0;x\x07
starting
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestProgressLive(t *testing.T) {
	t.Parallel()
	got := shown(t, true, 40, func(p *progress) {
		p.start("packaging", "./shop")
		wait(frameTime)
		p.update("shop\x1b[2J")
		p.note("warning: \x1b[2J")
		wait(2*time.Second - frameTime)
		p.start("pushing", strings.Repeat("é", 100))
		p.fail(io.ErrUnexpectedEOF)
	})
	// Every time that the line is rewritten, what was there goes.
	frames := strings.Split(got, "\r\x1b[2K")
	want := []string{
		"⠋ packaging  ./shop",
		"⠙ packaging  ./shop",
		`⠙ packaging  shop\x1b[2J`,
		"warning: \\x1b[2J\n⠙ packaging  shop\\x1b[2J",
	}
	if d := cmp.Diff(want, frames[:len(want)]); d != "" {
		t.Errorf("the first frames (-want +got)\n%s", d)
	}
	want = []string{
		`⠋ packaging  shop\x1b[2J  2s`,
		"packaging  shop\\x1b[2J  2s\n⠋ pushing    " + strings.Repeat("é", 25) + "…",
		"pushing    " + strings.Repeat("é", 16) + "…: failed  0s\n",
	}
	if d := cmp.Diff(want, frames[max(0, len(frames)-3):]); d != "" {
		t.Errorf("the last frames (-want +got)\n%s", d)
	}
	for _, f := range frames {
		for line := range strings.Lines(f) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 40 {
				t.Errorf("%q is %d wide, which is not one line of 40", line, n)
			}
		}
	}
}

// TestProgressFailed says which step failed.
func TestProgressFailed(t *testing.T) {
	t.Parallel()
	got := shown(t, true, 80, func(p *progress) {
		p.start("pushing", "shop")
		wait(90*time.Second + 5*time.Millisecond)
		p.fail(io.ErrUnexpectedEOF)
		p.fail(io.ErrUnexpectedEOF)
	})
	if want := "pushing    shop: failed  1m30.01s\n"; !strings.HasSuffix(got, "\r\x1b[2K"+want) {
		t.Errorf("got …%q, want …%q", got[max(0, len(got)-60):], want)
	}
}

// TestProgressInterrupted says which step the user did not wait for.
func TestProgressInterrupted(t *testing.T) {
	t.Parallel()
	for _, err := range []error{fmt.Errorf("read: %w", context.Canceled), status.Error(codes.Canceled, "context canceled")} {
		got := shown(t, true, 80, func(p *progress) {
			p.start("starting", "shop")
			p.fail(err)
		})
		if want := "starting   shop: interrupted  0s\n"; !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q in the end", got, want)
		}
	}
}

// TestProgressOfNothing ends what never began.
func TestProgressOfNothing(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{true, false} {
		got := shown(t, live, 0, func(p *progress) {
			p.update("x")
			p.finish()
			p.fail(io.ErrUnexpectedEOF)
		})
		if got != "" {
			t.Errorf("got %q", got)
		}
	}
}

func TestShowStage(t *testing.T) {
	t.Parallel()
	got := shown(t, false, 80, func(p *progress) {
		show := showStage(p)
		show(image.Event{Warning: true, Message: "old\x1b[2J"})
		show(image.Event{Message: "layer", Done: 1 << 19, Total: 1 << 20})
		if p.detail != "layer 50% of 1.0 MiB" {
			t.Errorf("got %q", p.detail)
		}
		show(image.Event{Message: "all of it", Done: 5, Total: 5})
		if p.detail != "layer 50% of 1.0 MiB" {
			t.Errorf("the end of a part: got %q", p.detail)
		}
	})
	if want := "warning: old\\x1b[2J\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLiveOnlyOnTerminals rewrites a line only where somebody sees that.
func TestLiveOnlyOnTerminals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		terminal bool
		noColor  bool
		env      string
		want     bool
	}{
		{"a terminal", true, false, "", true},
		{"a file", false, false, "", false},
		{"--no-color", true, true, "", false},
		{"NO_COLOR", true, false, "NO_COLOR=1", false},
		{"a dumb terminal", true, false, "TERM=dumb", false},
		{"somebody is read to", true, false, "MICRO_ACCESSIBLE=1", false},
	} {
		app, _, _ := testApp(t, test.env)
		app.Terminal = Terminal{Err: test.terminal, Size: func() (int, int) { return 100, 30 }}
		app.noColor = test.noColor
		p := newProgress(app)
		if p.live != test.want || p.width() != 100 {
			t.Errorf("%s: got live %t, width %d, want %t, 100", test.name, p.live, p.width(), test.want)
		}
	}
}

// TestProgressAtOnce ends a step before anything could be drawn.
func TestProgressAtOnce(t *testing.T) {
	t.Parallel()
	for range 200 {
		got := shown(t, false, 80, func(p *progress) {
			p.start("packaging", "nowhere")
			p.fail(io.ErrUnexpectedEOF)
		})
		if want := "packaging  nowhere\n"; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
