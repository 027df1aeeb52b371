package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/template"

	"github.com/itchyny/gojq"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic/wire"
)

// value returns an answer as a value of Go, whose numbers are [json.Number]: as they
// are written, none is rounded.
func (j asJSONOf) value(data []byte) (any, error) {
	b, err := j.json(data, wire.EncodeOptions{})
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	err = dec.Decode(&v)
	return v, err
}

// outText returns text as it may be written to standard output: to a terminal
// without control characters.
func (a *App) outText(s string) string {
	if a.Terminal.Out {
		return front.Lines(s)
	}
	return s
}

// templatePrinter writes what a template of Go makes of the JSON of an answer.
type templatePrinter struct {
	asJSONOf
	a *App
	t *template.Template
}

func newTemplatePrinter(a *App, as asJSONOf, text string) (printer, error) {
	t, err := template.New("template").Funcs(template.FuncMap{"json": toJSON}).Parse(text)
	if err != nil {
		return nil, usage("", "-o template: %s", err)
	}
	return &templatePrinter{as, a, t}, nil
}

// toJSON is the function of templates that writes a value as JSON.
func toJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return string(bytes.TrimRight(b.Bytes(), "\n")), err
}

func (p *templatePrinter) message(_ context.Context, data []byte) error {
	v, err := p.value(data)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := p.t.Execute(&b, v); err != nil {
		return &Error{Message: fmt.Sprintf("-o template: %s", err), Exit: ExitError}
	}
	if n := b.Len(); n > 0 && b.Bytes()[n-1] != '\n' {
		b.WriteByte('\n')
	}
	_, err = io.WriteString(p.a.Out, p.a.outText(b.String()))
	return err
}

func (*templatePrinter) end() error { return nil }

// jqPrinter writes what a filter of jq makes of the JSON of an answer: texts as they
// are, everything else as JSON, a line each.
type jqPrinter struct {
	asJSONOf
	a    *App
	code *gojq.Code
}

func newJQPrinter(a *App, as asJSONOf, text string) (printer, error) {
	q, err := gojq.Parse(text)
	if err != nil {
		return nil, usage("", "-o jq: %s", err)
	}
	code, err := gojq.Compile(q)
	if err != nil {
		return nil, usage("", "-o jq: %s", err)
	}
	return &jqPrinter{as, a, code}, nil
}

func (p *jqPrinter) message(ctx context.Context, data []byte) error {
	v, err := p.value(data)
	if err != nil {
		return err
	}
	for it := p.code.RunWithContext(ctx, v); ; {
		v, more := it.Next()
		if !more {
			return nil
		}
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		if err, failed := v.(error); failed {
			var halt *gojq.HaltError
			if errors.As(err, &halt) && halt.Value() == nil {
				return nil
			}
			return &Error{Message: fmt.Sprintf("-o jq: %s", err), Exit: ExitError}
		}
		text, isText := v.(string)
		if !isText {
			b, err := gojq.Marshal(v)
			if err != nil {
				return err
			}
			text = string(b)
		}
		if _, err := io.WriteString(p.a.Out, p.a.outText(text)+"\n"); err != nil {
			return err
		}
	}
}

func (*jqPrinter) end() error { return nil }
