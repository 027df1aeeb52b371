package cli

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic/wire"
)

// printer writes the answers of a call, each when it comes.
type printer interface {
	// message takes an answer in wire form.
	message(ctx context.Context, data []byte) error
	// end is told when no more come.
	end() error
}

// newPrinter returns the printer for the answers of a method. An error is that of the
// command line; nothing has been called then.
func (a *App) newPrinter(m wire.Method, r *front.Request) (printer, error) {
	as := asJSONOf{a, m.Output()}
	switch r.Output {
	case front.FormatYAML:
		return &yamlPrinter{asJSONOf: as, w: a.Out}, nil
	case front.FormatTable:
		if m.ServerStreaming() {
			return &rowPrinter{asJSONOf: as, w: a.Out}, nil
		}
		return &tablePrinter{asJSONOf: as, w: a.Out}, nil
	case front.FormatText:
		return &textPrinter{asJSONOf: as, w: a.Out, safe: a.Terminal.Out}, nil
	case front.FormatTemplate:
		return newTemplatePrinter(a, as, r.Expr)
	case front.FormatJQ:
		return newJQPrinter(a, as, r.Expr)
	case front.FormatRaw:
		if a.Terminal.Out {
			return nil, usage("", "the bytes of a message are not for a terminal; send them to a file or a program: -o raw >answer.bin")
		}
		return &rawPrinter{w: a.Out, delimited: m.ServerStreaming()}, nil
	default:
		f := r.Output
		if m.ServerStreaming() {
			f = front.FormatJSON // a line each
		}
		return &jsonPrinter{asJSONOf: as, w: a.Out, format: f}, nil
	}
}

// asJSONOf makes JSON of messages.
type asJSONOf struct {
	app *App
	m   wire.Message
}

func (j asJSONOf) json(data []byte, o wire.EncodeOptions) ([]byte, error) {
	o.Resolve = front.Builtin
	b, err := j.app.decodeOne(j.m, data, o)
	if err != nil {
		return nil, &Error{Message: "the answer does not fit the schema: " + err.Error() + "; -o raw prints its bytes", Exit: ExitError}
	}
	return b, nil
}

// jsonPrinter writes JSON.
type jsonPrinter struct {
	asJSONOf
	w      io.Writer
	format front.Format
}

func (p *jsonPrinter) message(_ context.Context, data []byte) error {
	b, err := p.json(data, wire.EncodeOptions{})
	if err != nil {
		return err
	}
	return front.PrintJSON(p.w, b, p.format)
}

func (*jsonPrinter) end() error { return nil }

// yamlPrinter writes YAML documents.
type yamlPrinter struct {
	asJSONOf
	w io.Writer
	n int
}

func (p *yamlPrinter) message(_ context.Context, data []byte) error {
	b, err := p.json(data, wire.EncodeOptions{})
	if err != nil {
		return err
	}
	if p.n++; p.n > 1 {
		fmt.Fprintln(p.w, "---")
	}
	return jsonToYAML(p.w, b)
}

func (*yamlPrinter) end() error { return nil }

// rawPrinter writes messages in wire form. Those of a stream have their length before
// them, as a varint: the form that protobuf libraries call delimited.
type rawPrinter struct {
	w         io.Writer
	delimited bool
}

func (p *rawPrinter) message(_ context.Context, data []byte) error {
	if p.delimited {
		data = append(binary.AppendUvarint(nil, uint64(len(data))), data...)
	}
	_, err := p.w.Write(data)
	return err
}

func (*rawPrinter) end() error { return nil }
