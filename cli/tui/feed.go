package tui

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/internal/fault"
)

// feed is something that is asked of the server and handed over as messages. It is
// asked again when it fails, until it is stopped.
type feed struct {
	name string
	// run hands over what comes with emit, which blocks while too much waits to be
	// shown, and returns when ctx ends or there is no more.
	run func(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error
	// every is the time until it is run again when it had no error; 0: never.
	every time.Duration
	// own: it connects by itself, and is run without a connection.
	own bool
	// single: it is run once, and its screen, an [ender], is told how that ended.
	single bool
}

// ender is a screen with feeds that are run once.
type ender interface {
	screen
	ended(m *Model, err error)
}

// The messages of feeds.
type (
	// feedMsg is what a feed has handed over since the last.
	feedMsg struct {
		id   int
		msgs []tea.Msg
	}
	// startMsg says that a watch begins, and sends all that there is before what changes.
	startMsg struct{ of string }
	// endedMsg says that a run of a feed has ended, without an error when there is no more.
	endedMsg struct {
		id  int
		err error
	}
)

const (
	firstPause = 250 * time.Millisecond
	// longestPause is the longest time until a server that is away is asked again, and
	// refusedPause the same for one that refuses.
	longestPause = 2 * time.Second
	refusedPause = 10 * time.Second
	// handOver is the time from one message of a feed to the next.
	handOver = time.Second / framesPerSecond
	// maxWaiting is how many messages of a feed wait at most until it is held up.
	maxWaiting = 1024
)

// isLost reports whether an error means that the server is away, and not that it
// refuses.
func isLost(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	default:
		return false
	}
}

// follow runs a feed again and again.
func follow(ctx context.Context, f feed, id int, dial func(context.Context) (context.Context, grpc.ClientConnInterface, error), send func(tea.Msg), stop <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	pause := firstPause
	for {
		got, err := runOnce(ctx, f, id, dial, send)
		if ctx.Err() != nil {
			return
		}
		send(endedMsg{id, err})
		if f.single {
			return
		}
		next := f.every
		switch {
		case err == nil && next == 0:
			return
		case err == nil:
		case !isLost(err):
			next = refusedPause
		default:
			if got {
				pause = firstPause
			}
			next, pause = pause, min(2*pause, longestPause)
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return
		}
	}
}

// runOnce runs a feed until it ends, and reports whether anything came.
func runOnce(ctx context.Context, f feed, id int, dial func(context.Context) (context.Context, grpc.ClientConnInterface, error), send func(tea.Msg)) (got bool, err error) {
	waiting := make(chan tea.Msg, maxWaiting)
	done := make(chan struct{})
	fault.Go(ctx, func() {
		defer close(done)
		handOverAll(id, waiting, send)
	})
	defer func() {
		close(waiting)
		<-done
	}()
	callCtx, conn, err := dial(ctx)
	if err != nil {
		return false, err
	}
	err = f.run(callCtx, conn, func(msg tea.Msg) {
		if _, isStart := msg.(startMsg); !isStart {
			got = true
		}
		select {
		case waiting <- msg:
		case <-ctx.Done():
		}
	})
	return got, err
}

// handOverAll sends what waits, the first of it at once and then all that has come in
// the time of a frame: the model is not asked to draw what nobody would see.
func handOverAll(id int, waiting <-chan tea.Msg, send func(tea.Msg)) {
	for msg := range waiting {
		msgs := []tea.Msg{msg}
		for more := true; more; {
			select {
			case msg, ok := <-waiting:
				if more = ok; ok {
					msgs = append(msgs, msg)
				}
			default:
				more = false
			}
		}
		send(feedMsg{id, msgs})
		time.Sleep(handOver)
	}
}

// once is a feed that asks one question.
func once[Rsp any](name string, every time.Duration, ask func(ctx context.Context, conn grpc.ClientConnInterface) (Rsp, error)) feed {
	return feed{name: name, every: every, run: func(ctx context.Context, conn grpc.ClientConnInterface, emit func(tea.Msg)) error {
		rsp, err := ask(ctx, conn)
		if err == nil {
			emit(rsp)
		}
		return err
	}}
}

// drain hands over what a stream sends until it ends.
func drain[Rsp any](stream grpc.ServerStreamingClient[Rsp], err error, emit func(tea.Msg)) error {
	return each(stream, err, func(rsp *Rsp) { emit(rsp) })
}

// watch is drain for a stream that the server never ends by itself.
func watch[Rsp any](stream grpc.ServerStreamingClient[Rsp], err error, emit func(tea.Msg)) error {
	if err = drain(stream, err, emit); err == nil {
		err = status.Error(codes.Unavailable, "the server ended the stream")
	}
	return err
}

// each calls f with what a stream sends until it ends.
func each[Rsp any](stream grpc.ServerStreamingClient[Rsp], err error, f func(*Rsp)) error {
	for err == nil {
		var rsp *Rsp
		if rsp, err = stream.Recv(); err == nil {
			f(rsp)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
