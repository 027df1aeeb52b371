package tui

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
)

func noDial(ctx context.Context) (context.Context, grpc.ClientConnInterface, error) {
	return ctx, nil, nil
}

// A feed is asked again with a growing pause while the server is away, at once after it
// has delivered, and rarely when it was refused.
func TestFeedComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var runs []time.Duration
		stop := make(chan struct{})
		f := feed{name: "test", run: func(_ context.Context, _ grpc.ClientConnInterface, emit func(tea.Msg)) error {
			runs = append(runs, time.Since(begin).Round(10*time.Millisecond))
			switch len(runs) {
			case 6:
				emit("it delivers")
				return unavailable()
			case 8:
				return errors.New("refused")
			case 9:
				close(stop)
			}
			return unavailable()
		}}
		follow(t.Context(), f, 1, noDial, func(tea.Msg) {}, stop)
		ms := time.Millisecond
		want := []time.Duration{0, 250 * ms, 750 * ms, 1750 * ms, 3750 * ms, 5750 * ms, 6030 * ms, 6530 * ms, 16530 * ms}
		if diff := gocmp.Diff(want, runs); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	})
}

// However fast a feed is, the model gets a message for each frame at most, and nothing
// is lost.
func TestFeedIsHandedOverInFrames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const lines = 20_000
		got, handed := 0, 0
		f := feed{name: "test", run: func(_ context.Context, _ grpc.ClientConnInterface, emit func(tea.Msg)) error {
			for i := range lines {
				emit(i)
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			return nil
		}}
		follow(t.Context(), f, 1, noDial, func(msg tea.Msg) {
			if m, ok := msg.(feedMsg); ok {
				handed++
				for _, one := range m.msgs {
					if one != got {
						t.Fatalf("got %v, want %d", one, got)
					}
					got++
				}
			}
		}, nil)
		if got != lines || handed > 70 {
			t.Errorf("%d of %d messages in %d pieces within two seconds", got, lines, handed)
		}
	})
}
