package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// redrawTime is the least time between two pictures of the table.
const redrawTime = 100 * time.Millisecond

// follow shows the state of services, and each change of it, until ctx ends. Of one
// service it ends when that is gone.
func (o *statusOptions) follow(ctx context.Context, app *App, client runtimev1.RuntimeClient, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Watch(ctx, &runtimev1.WatchRequest{Name: name})
	if err != nil {
		return err
	}
	switch {
	case o.out != asTable:
		err = o.followMessages(app, stream)
	case o.plain || !app.Terminal.Out || app.Getenv("TERM") == "dumb":
		err = o.followLines(app, stream)
	default:
		err = o.followTable(ctx, app, stream)
	}
	if name != "" && status.Code(err) == codes.NotFound {
		fmt.Fprintf(app.Err, "%s is gone\n", front.Line(name))
		return nil
	}
	return err
}

// watchStream is what a watch of services is read from.
type watchStream = grpc.ServerStreamingClient[runtimev1.WatchResponse]

// followMessages writes what the server says.
func (o *statusOptions) followMessages(app *App, stream watchStream) error {
	return receive(stream, func(rsp *runtimev1.WatchResponse) error { return o.out.element(app.Out, rsp, nil) })
}

// followLines writes a line for each state that a service comes to.
func (o *statusOptions) followLines(app *App, stream watchStream) error {
	last := map[string]string{}
	return receive(stream, func(rsp *runtimev1.WatchResponse) error {
		name, text := rsp.GetRemoved(), "gone"
		if s := rsp.GetService(); s != nil {
			name, text = s.GetName(), words.State(s)
		}
		if rsp.GetSynced() || last[name] == text {
			return nil
		}
		last[name] = text
		_, err := fmt.Fprintf(app.Out, "%s %s %s\n", app.Now().Local().Format("15:04:05"), front.Line(name), front.Line(text))
		return err
	})
}

// followTable keeps a table on the terminal up to date.
func (o *statusOptions) followTable(ctx context.Context, app *App, stream watchStream) error {
	changes, failed := make(chan *runtimev1.WatchResponse), make(chan error, 1)
	go func() {
		failed <- receive(stream, func(rsp *runtimev1.WatchResponse) error {
			select {
			case changes <- rsp:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	services := map[string]*runtimev1.Service{}
	shown := 0
	draw := time.NewTimer(redrawTime)
	defer draw.Stop()
	for {
		select {
		case rsp := <-changes:
			if s := rsp.GetService(); s != nil {
				services[s.GetName()] = s
			}
			delete(services, rsp.GetRemoved())
			draw.Reset(redrawTime)
		case <-draw.C:
			var err error
			if shown, err = o.redraw(app, services, shown); err != nil {
				return err
			}
			draw.Reset(time.Second) // what is said of times has changed
		case err := <-failed:
			return err
		}
	}
}

// redraw writes the table in place of the last, which has so many lines, and returns
// how many it has now.
func (o *statusOptions) redraw(app *App, services map[string]*runtimev1.Service, shown int) (int, error) {
	var list []*runtimev1.Service
	for _, name := range slices.Sorted(maps.Keys(services)) {
		list = append(list, services[name])
	}
	var table strings.Builder
	t := newTable(&table)
	o.list(app, t, list)
	if err := t.flush(); err != nil {
		return 0, err
	}
	width, height := 80, 24
	if app.Terminal.Size != nil {
		width, height = app.Terminal.Size()
	}
	var out strings.Builder
	if shown > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", shown)
	}
	out.WriteString("\r\x1b[J")
	lines := strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n")
	if len(lines) > max(2, height-1) { // what has left the screen cannot be written again
		hidden := len(lines) - max(2, height-1) + 1
		lines = append(lines[:len(lines)-hidden], fmt.Sprintf("… %d more lines", hidden))
	}
	for _, line := range lines {
		if r := []rune(line); len(r) >= width {
			line = string(r[:max(1, width-1)])
		}
		out.WriteString(line + "\n")
	}
	_, err := io.WriteString(app.Out, out.String())
	return len(lines), err
}
