package tui

import (
	"context"
	"fmt"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/internal/fault"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
)

// Plain writes what the first screen shows as lines, one for each change, until ctx
// ends; with message it hands over each message of the server instead, and which API it
// is of. It fails when the server cannot be reached at first; later it waits for it to
// come back.
func Plain(ctx context.Context, c Config, message func(api string, m proto.Message) error) error {
	ctx, watch := fault.NewWatch(ctx)
	w := &plainWriter{config: &c, message: message, said: map[string]string{}}
	w.shared.reset()
	msgs := make(chan tea.Msg)
	var feeds sync.WaitGroup
	for id, f := range w.shared.feeds() {
		w.names = append(w.names, f.name)
		feeds.Go(fault.Guard(ctx, func() {
			follow(ctx, f, id, c.Session.Dial, func(msg tea.Msg) {
				select {
				case msgs <- msg:
				case <-ctx.Done():
				}
			}, nil)
		}))
	}
	defer func() {
		watch.End()
		awaitAll(&feeds, watch)
		c.Session.close()
	}()
	for {
		select {
		case msg := <-msgs:
			if err := w.receive(msg); err != nil {
				return err
			}
		case <-ctx.Done():
			if fault := watch.Err(); fault != nil {
				return fault
			}
			return ctx.Err()
		}
	}
}

// plainWriter writes lines.
type plainWriter struct {
	config  *Config
	message func(api string, m proto.Message) error
	shared  shared
	names   []string          // of the feeds
	said    map[string]string // of each service: the last line of how it is
	began   bool              // the server has answered
	lost    bool
	figures time.Time // when figures were written last
}

// figuresPeriod is the time between two lines of the figures of a service.
const figuresPeriod = 10 * time.Second

func (w *plainWriter) receive(msg tea.Msg) error {
	switch msg := msg.(type) {
	case endedMsg:
		return w.ended(msg)
	case feedMsg:
		for _, one := range msg.msgs {
			if err := w.one(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// ended says that the server is away, once.
func (w *plainWriter) ended(msg endedMsg) error {
	switch {
	case msg.err == nil:
		return nil
	case !w.began && w.names[msg.id] == "services":
		return msg.err
	case !isLost(msg.err):
		return w.say(w.names[msg.id], w.config.Explain(msg.err))
	case w.lost:
		return nil
	}
	w.lost = true
	return w.say("server", "lost, trying again: "+w.config.Explain(msg.err))
}

func (w *plainWriter) one(msg tea.Msg) error {
	if _, isStart := msg.(startMsg); !isStart {
		w.began = true
		if w.lost {
			w.lost = false
			if err := w.say("server", "is back"); err != nil {
				return err
			}
		}
	}
	before := w.shared.names()
	w.shared.receive(nil, msg)
	if w.message != nil {
		return w.pass(msg)
	}
	switch msg := msg.(type) {
	case *runtimev1.WatchResponse:
		return w.state(msg.GetService().GetName(), before)
	case *registryv1.WatchResponse:
		return w.state(msg.GetService().GetName(), before)
	case *statsv1.WatchResponse:
		return w.stats(msg.GetFrame())
	}
	return nil
}

// pass hands over a message of the server.
func (w *plainWriter) pass(msg tea.Msg) error {
	switch msg := msg.(type) {
	case *runtimev1.WatchResponse:
		return w.message("runtime", msg)
	case *registryv1.WatchResponse:
		return w.message("registry", msg)
	case *statsv1.WatchResponse:
		return w.message("stats", msg)
	}
	return nil
}

// state writes how a service is, when that has changed, and which are gone.
func (w *plainWriter) state(name string, before []string) error {
	text := ""
	switch s := w.shared.run[name]; {
	case s != nil:
		text = words.State(s)
	case w.shared.registered[name] != nil && w.shared.synced:
		text = fmt.Sprintf("registered, instances %d", len(w.shared.registered[name].GetInstances()))
	}
	if text != "" && w.said[name] != text {
		w.said[name] = text
		if err := w.say(name, text); err != nil {
			return err
		}
	}
	for _, name := range before {
		if w.shared.run[name] == nil && w.shared.registered[name] == nil && w.said[name] != "" {
			delete(w.said, name)
			if err := w.say(name, "is gone"); err != nil {
				return err
			}
		}
	}
	return nil
}

// stats writes the figures of the services that are called, now and then.
func (w *plainWriter) stats(f *statsv1.Frame) error {
	now := w.config.Now()
	if now.Sub(w.figures) < figuresPeriod {
		return nil
	}
	w.figures = now
	for _, s := range f.GetServices() {
		n := s.GetFigures()
		if n.GetCalls() == 0 {
			continue
		}
		cpu, memory := usageText(s.GetUsage())
		text := fmt.Sprintf("%s calls/s, %s failed, p50 %s, p95 %s, p99 %s, cpu %s, memory %s", rateText(n), words.Failed(n),
			words.Latency(n.GetP50()), words.Latency(n.GetP95()), words.Latency(n.GetP99()), cpu, memory)
		if err := w.say(s.GetName(), text); err != nil {
			return err
		}
	}
	return nil
}

// say writes a line.
func (w *plainWriter) say(what, text string) error {
	if w.message != nil {
		return nil
	}
	_, err := fmt.Fprintln(w.config.Out, w.config.Now().Local().Format("15:04:05"), w.config.Line(what), w.config.Line(text))
	return err
}
