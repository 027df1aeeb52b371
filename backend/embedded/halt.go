package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
)

// halt is how a database stops for good. After a write or an fsync that failed
// nobody knows what is on the disk: the kernel may have dropped what it could not
// write and call the next fsync a success. So nothing is tried again, and no write
// is taken any more.
type halt struct {
	log    *slog.Logger
	fatal  func(error)
	opened atomic.Bool // before, a failure is Open's to return

	once sync.Once
	err  error
	done chan struct{} // closed when err is set

	end     sync.Once
	stopped chan struct{} // closed when the database is being closed
}

func newHalt(log *slog.Logger, fatal func(error)) *halt {
	if fatal == nil {
		fatal = func(err error) { panic(err) }
	}
	return &halt{log: log, fatal: fatal, done: make(chan struct{}), stopped: make(chan struct{})}
}

// Err returns why the database has stopped, nil when it has not.
func (h *halt) Err() error {
	select {
	case <-h.done:
		return h.err
	default:
		return nil
	}
}

// closing makes nobody wait any more for room on the disk.
func (h *halt) closing() { h.end.Do(func() { close(h.stopped) }) }

// fail stops the database and returns why it has stopped, which is err unless
// something else had failed before.
func (h *halt) fail(err error) error {
	h.once.Do(func() {
		h.err = err
		close(h.done)
		h.log.Error("the database has stopped", "err", err)
		if h.opened.Load() {
			// Not here: this may be a goroutine of Pebble's, under its locks and
			// below a recover of its own.
			go h.fatal(err)
		}
	})
	return h.err
}

// park stops the database and never returns: it is for goroutines of Pebble's,
// which would go on to write, or end the process without a word.
func (h *halt) park(err error) {
	_ = h.fail(err)
	select {}
}

// await calls f and returns its error; or, when the database stops first, why: f
// may never return then.
func (h *halt) await(f func() error) error {
	c := make(chan error, 1)
	go func() {
		// Pebble panics at some kinds of damage.
		defer func() {
			if p := recover(); p != nil {
				c <- fmt.Errorf("%w: %v", ErrDamaged, p)
			}
		}()
		c <- f()
	}()
	select {
	case err := <-c:
		return err
	case <-h.done:
		return h.err
	}
}

// pathless returns err as the machine said it: the names that the standard library
// adds are ours to add.
func pathless(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// pebbleLogger hands Pebble's words on. What it says in normal life is for those
// who work on Pebble.
type pebbleLogger struct{ halt *halt }

func (pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.halt.log.Warn("pebble", "err", fmt.Sprintf(format, args...))
}

// Fatalf must not return.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.halt.park(fmt.Errorf(format, args...))
}
