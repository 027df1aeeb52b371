package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/logfile"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// process is a [supervisor.Process]: one life of an instance in a container of its own.
type process struct {
	engine  *engine
	id      string // of the container
	output  supervisor.Output
	streams io.ReadCloser // from before its start; nil when it was taken over
	adopted bool
	killed  atomic.Bool // by us
	// memoryKills is what the machine's count was before the start.
	memoryKills int64
	// strayCommand is one that goes on although it should not.
	strayCommand atomic.Pointer[string]
}

var _ supervisor.Process = (*process)(nil)

// String implements [supervisor.Process].
func (p *process) String() string { return "container " + p.id[:min(12, len(p.id))] }

// Terminate implements [supervisor.Process].
func (p *process) Terminate() error { return p.signal("SIGTERM") }

// Kill implements [supervisor.Process].
func (p *process) Kill() {
	p.killed.Store(true)
	if err := p.signal("SIGKILL"); err != nil {
		p.engine.log.Warn("a container was not killed", "container", p.id, "err", err)
	}
}

func (p *process) signal(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	return p.engine.client.kill(ctx, p.id, name)
}

// discard removes the container.
func (p *process) discard() {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	if err := p.engine.client.remove(ctx, p.id); err != nil {
		p.engine.log.Warn("a container of no more use stays until the next start of the server", "container", p.id, "err", err)
	}
}

// Wait implements [supervisor.Process]. While the engine is away, nothing is known to
// have changed.
func (p *process) Wait(ended func()) (runtime.Exit, bool) {
	ctx, cancel := p.engine.untilClosed()
	defer cancel()
	is, err := p.attend(ctx)
	if err != nil {
		return runtime.Exit{}, false
	}
	ended()
	exit := exitOf(is)
	if p.adopted {
		exit.At = is.FinishedAt // it may be long ago
	}
	if exit.Signal == "SIGKILL" && !p.killed.Load() {
		// With control groups of version 1 not every engine knows.
		exit.OutOfMemory = is.OOMKilled || !p.adopted && p.engine.memory.Took(p.memoryKills, supervisor.MemoryKills())
	}
	p.discard()
	return exit, true
}

// longestPause is between looks at an engine that does not answer.
const longestPause = time.Second

// attend returns how the container ended, when all that it wrote is in the log. The
// error is ctx's.
func (p *process) attend(ctx context.Context) (state, error) {
	if p.streams != nil && p.listen(ctx) == nil {
		if is, err := p.engine.client.inspect(ctx, p.id); err == nil && !is.Running {
			return is, nil
		}
	}
	// The engine went away, or this process has come later.
	var at *places
	for pause := longestPause / 64; ; pause = min(2*pause, longestPause) {
		is, err := p.engine.client.inspect(ctx, p.id)
		switch {
		case isNotFound(err):
			return state{ExitCode: 128 + 9, FinishedAt: time.Now()}, nil // somebody removed it
		case err == nil:
			if at == nil {
				at, err = p.places(ctx)
			}
			if err == nil {
				err = p.read(ctx, at, is.Running)
			}
			if err == nil && !is.Running {
				return is, nil
			}
		}
		if err := wait(ctx, pause); err != nil {
			return state{}, err
		}
	}
}

// wait waits, and returns ctx's error when it ends first.
func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listen writes what comes from the streams into the log until the container has ended.
// It returns an error when they were cut off.
func (p *process) listen(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = p.streams.Close() })
	defer func() {
		if stop() {
			_ = p.streams.Close() // it was read
		}
	}()
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	var readers sync.WaitGroup
	readers.Go(func() { logfile.ReadLines(outR, p.output.Log, p.output.Release, runtime.Stdout) })
	readers.Go(func() { logfile.ReadLines(errR, p.output.Log, p.output.Release, runtime.Stderr) })
	err := frames(p.streams, outW, errW)
	if err == nil {
		err = p.engine.client.wait(ctx, p.id) // they end with the engine, too
	}
	var end error
	if err != nil {
		end = io.ErrUnexpectedEOF
	}
	_ = outW.CloseWithError(end) // it returns nil
	_ = errW.CloseWithError(end)
	readers.Wait()
	return err
}

// place is how far a stream was read: up to so many lines of a second, since some
// engines tell no more of the time of a line.
type place struct {
	second time.Time
	lines  int
}

type places struct{ stdout, stderr place }

func (ps *places) of(stream runtime.Stream) *place {
	if stream == runtime.Stderr {
		return &ps.stderr
	}
	return &ps.stdout
}

// recentLines is how many lines of a second are told from each other.
const recentLines = 10_000

// places returns how far the log says that the streams were read.
func (p *process) places(ctx context.Context) (*places, error) {
	lines, err := p.output.Recent(ctx, recentLines)
	if err != nil {
		return nil, err
	}
	ps := &places{}
	for _, line := range lines {
		if line.Stream != runtime.System {
			ps.of(line.Stream).passed(line.Time)
		}
	}
	return ps, nil
}

// passed takes a line of a time as read.
func (at *place) passed(t time.Time) {
	second := t.UTC().Truncate(time.Second)
	if !at.second.Equal(second) {
		*at = place{second, 0}
	}
	at.lines++
}

// unread returns the lines behind a place.
type unread struct {
	at   *place
	from place // where it was at first
	part []byte
	time time.Time // of part
}

// followTime is how long the engine may go on telling lines of a container that has ended.
const followTime = 2 * time.Second

// Podman does not tell of a line that is written just when it begins to follow, until
// there is another. So it is asked anew when it was silent, first after a second.
const (
	shortestSilence = time.Second
	longestSilence  = time.Minute
)

// read is catchUp that ends with the container, even if the engine's answer does not,
// and takes no silence of the engine for the container's.
func (p *process) read(ctx context.Context, at *places, follow bool) error {
	if !follow {
		return p.catchUp(ctx, at, false, func() {})
	}
	ctx, cancel := context.WithCancel(ctx)
	var waiter sync.WaitGroup
	defer waiter.Wait()
	defer cancel()
	waiter.Go(func() {
		_ = p.engine.client.wait(ctx, p.id) // who looks next sees why
		_ = wait(ctx, followTime)
		cancel()
	})
	for silence := shortestSilence; ; silence = min(2*silence, longestSilence) {
		turn, end := context.WithCancel(ctx)
		timer := time.AfterFunc(silence, end)
		err := p.catchUp(turn, at, true, func() { timer.Reset(silence) })
		timer.Stop()
		silent := turn.Err() != nil && ctx.Err() == nil
		end()
		if !silent {
			return err
		}
	}
}

// catchUp writes into the log what the engine has kept of the streams behind a place,
// and what comes until the container ends. It calls heard when the engine tells
// anything, and returns an error when it was cut off.
func (p *process) catchUp(ctx context.Context, at *places, follow bool, heard func()) error {
	query := url.Values{"stdout": {"1"}, "stderr": {"1"}, "timestamps": {"1"}}
	if follow {
		query.Set("follow", "1")
	}
	if since := earlier(at.stdout.second, at.stderr.second); !since.IsZero() {
		query.Set("since", strconv.FormatInt(since.Unix()-1, 10))
	}
	rsp, err := p.engine.client.open(ctx, http.MethodGet, "/containers/"+p.id+"/logs", query, nil)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	behind := map[runtime.Stream]*unread{
		runtime.Stdout: {at: &at.stdout, from: at.stdout},
		runtime.Stderr: {at: &at.stderr, from: at.stderr},
	}
	err = eachFrame(rsp.Body, func(stream runtime.Stream, frame io.Reader) error {
		heard()
		text, err := io.ReadAll(frame)
		if err != nil {
			return err
		}
		return behind[stream].add(text, func(line []byte) { p.output.Log.Append(p.output.Release, stream, line) })
	})
	if err == nil && !follow {
		for stream, u := range behind {
			if len(u.part) > 0 && u.isNew() {
				p.output.Log.Append(p.output.Release, stream, u.part)
			}
		}
	}
	return err
}

// earlier returns the earlier of two times, zero when one is.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// add takes a frame, which is a line or a part of one behind its time.
func (u *unread) add(frame []byte, line func([]byte)) error {
	stamp, text, ok := bytes.Cut(frame, []byte(" "))
	t, err := time.Parse(time.RFC3339Nano, string(stamp))
	if !ok || err != nil {
		return fmt.Errorf("the engine gives a line no time: %q", stamp)
	}
	if len(u.part) == 0 {
		u.time = t
	}
	whole, ends := bytes.CutSuffix(text, []byte("\n"))
	u.part = append(u.part, whole...)
	if !ends && len(u.part) < runtime.MaxLine {
		return nil
	}
	if u.isNew() {
		line(bytes.TrimSuffix(u.part, []byte("\r")))
		u.at.passed(u.time)
	}
	u.part = u.part[:0]
	return nil
}

// isNew reports whether the line at hand was not read before. It is asked once for each.
func (u *unread) isNew() bool {
	switch second := u.time.UTC().Truncate(time.Second); {
	case second.Before(u.from.second):
		return false
	case second.Equal(u.from.second) && u.from.lines > 0:
		u.from.lines--
		return false
	default:
		return true
	}
}

// signals are the names of those that programs die of.
var signalNames = [...]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 16: "SIGSTKFLT",
	24: "SIGXCPU", 25: "SIGXFSZ", 26: "SIGVTALRM", 27: "SIGPROF", 29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS",
}

// exitOf returns how a container ended. Engines tell the end by a signal as a code; a
// program that ends with such a code itself is taken for one that a signal has ended.
func exitOf(is state) runtime.Exit {
	if n := is.ExitCode - 128; n > 0 && n < len(signalNames) && signalNames[n] != "" {
		return runtime.Exit{Code: -1, Signal: signalNames[n]}
	}
	return runtime.Exit{Code: is.ExitCode}
}
