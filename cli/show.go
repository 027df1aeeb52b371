package cli

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/snippet"
	"github.com/micro/micro/v3/dynamic/wire"
)

// show prints a call, or an example of one, instead of making it.
func (a *App) show(ctx context.Context, conn *grpc.ClientConn, in front.Invocation, entry front.Entry, q question, m wire.Method, r *front.Request, from front.Inputs) error {
	switch r.Show {
	case front.ShowTemplate:
		return a.showTemplate(entry.Table, m, r)
	case front.ShowRequest:
		return a.showRequest(in, m, r, from)
	default:
		return a.showAs(ctx, conn, in, entry, q, m, r, from)
	}
}

func (a *App) showTemplate(t *wire.Table, m wire.Method, r *front.Request) error {
	shown := snippet.NewTemplate(t, m.Input())
	if r.Output == front.FormatYAML {
		_, err := fmt.Fprint(a.Out, front.Lines(shown.YAML()))
		return err
	}
	return front.PrintJSON(a.Out, shown.AppendJSON(nil), r.Output)
}

// showRequest prints the messages of a request as they would be sent.
func (a *App) showRequest(in front.Invocation, m wire.Method, r *front.Request, from front.Inputs) error {
	format := r.Output
	if m.ClientStreaming() && format == front.FormatAuto {
		format = front.FormatJSON // a line each
	}
	n := 0
	for text, err := range a.canonical(in, m, r, from) {
		if err != nil {
			return err
		}
		if format != front.FormatYAML {
			err = front.PrintJSON(a.Out, text, format)
		} else {
			if n > 0 {
				fmt.Fprintln(a.Out, "---")
			}
			err = jsonToYAML(a.Out, text)
		}
		if err != nil {
			return err
		}
		n++
	}
	return nil
}

// canonical yields the messages of a request in the JSON that their wire form has.
func (a *App) canonical(in front.Invocation, m wire.Method, r *front.Request, from front.Inputs) func(yield func([]byte, error) bool) {
	return func(yield func([]byte, error) bool) {
		each := func(b []byte) bool {
			text, err := a.decodeOne(m.Input(), b, wire.EncodeOptions{})
			return yield(text, err) && err == nil
		}
		if r.Stdin {
			for b, err := range a.requests(in, m, r, from) {
				if err != nil {
					yield(nil, err)
					return
				}
				if !each(b) {
					return
				}
			}
			return
		}
		messages, err := a.encode(in, m, r)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, b := range messages {
			if !each(b) {
				return
			}
		}
	}
}
