package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// BodyFormat is how the body of a request is written.
type BodyFormat string

// The formats of bodies.
const (
	BodyAuto   BodyFormat = ""     // by the suffix of the file, else by what it looks like
	BodyJSON   BodyFormat = "json" // one value, or one for each message of a stream
	BodyYAML   BodyFormat = "yaml" // documents for the messages of a stream
	BodyText   BodyFormat = "textproto"
	BodyBinary BodyFormat = "binary"
)

// Shown is what is printed of a call that is not made.
type Shown string

// What can be shown instead of making a call.
const (
	ShowNothing  Shown = "" // the call is made
	ShowTemplate Shown = "template"
	ShowRequest  Shown = "request"
	ShowAs       Shown = "as"
	ShowAll      Shown = "explain"
	// ShowForm has the request filled in on a terminal before the call is made.
	ShowForm Shown = "interactive"
)

// Languages lists what a call can be printed as, in the order of --explain.
func Languages() []string { return []string{"micro", "grpcurl", "curl", "go", "python", "ts"} }

// inputOptions say what the request is made of, and what is shown of it instead of
// sending it.
func inputOptions() []option {
	show := func(s Shown) func(*Request, string) error {
		return func(r *Request, _ string) error {
			if r.Show != ShowNothing && r.Show != s {
				return fmt.Errorf("it excludes --%s", r.Show.option())
			}
			r.Show, r.Whole = s, true
			return nil
		}
	}
	return []option{
		{"json", "", "JSON", "the body as JSON, @FILE or -", func(*Request, string) error { return nil }}, // see takeFlag
		{"in", "", "FORMAT", "how the body is written: json, yaml, textproto or binary", func(r *Request, v string) error {
			switch f := BodyFormat(v); f {
			case BodyJSON, BodyYAML, BodyText, BodyBinary:
				r.In = f
				return nil
			default:
				return fmt.Errorf("%q is none of json, yaml, textproto, binary", v)
			}
		}},
		{"template", "", "", "print an example of the request: JSON; with -o yaml, comments too", show(ShowTemplate)},
		{"dry-run", "", "", "print the request instead of sending it", show(ShowRequest)},
		{"as", "", "LANGUAGE", "print the call instead of making it: as " + strings.Join(Languages(), ", "), func(r *Request, v string) error {
			if v == "typescript" {
				v = "ts"
			}
			if !slices.Contains(Languages(), v) {
				return fmt.Errorf("%q is none of %s", v, strings.Join(Languages(), ", "))
			}
			r.As = v
			return show(ShowAs)(r, "")
		}},
		{"explain", "", "", "print the call in each of these, instead of making it", show(ShowAll)},
		{"interactive", "i", "", "fill in the request on the terminal, and see what comes", show(ShowForm)},
	}
}

// option returns the option that asks for it.
func (s Shown) option() string {
	if s == ShowRequest {
		return "dry-run"
	}
	return string(s)
}

// Message is a message of a request, in one of two forms.
type Message struct {
	JSON []byte
	// Wire is the message as it was given in that form, with fields that the schema
	// does not have. Nil when it was given in another, or changed by flags.
	Wire []byte
}

// Encode returns the wire form.
func (b Message) Encode(m wire.Message) ([]byte, error) {
	if b.Wire != nil {
		return b.Wire, nil
	}
	return m.AppendWire(nil, b.JSON, wire.DecodeOptions{})
}

// typedBody is the body of a request as it was typed.
type typedBody struct {
	arg    string // JSON, @FILE or -
	isJSON bool   // by --json
}

func (b typedBody) given() bool { return b.arg != "" }

func (b typedBody) stdin() bool { return b.arg == "-" || b.arg == "@-" }

// inline reports whether the body itself stands on the command line.
func (b typedBody) inline() bool { return !b.stdin() && !strings.HasPrefix(b.arg, "@") }

// what names the body in errors.
func (b typedBody) what() string {
	switch {
	case b.stdin():
		return "standard input"
	case b.inline():
		return "the body"
	default:
		return b.arg[1:]
	}
}

// format returns how the body is written as far as its name tells.
func (b typedBody) format(asked BodyFormat) BodyFormat {
	switch {
	case asked != BodyAuto:
		return asked
	case b.stdin() && !b.isJSON, !b.given():
		return BodyAuto
	case b.isJSON, b.inline():
		return BodyJSON
	}
	switch strings.ToLower(filepath.Ext(b.arg)) {
	case ".json", ".ndjson", ".jsonl":
		return BodyJSON
	case ".yaml", ".yml":
		return BodyYAML
	case ".textproto", ".textpb", ".txtpb", ".pbtxt", ".prototxt":
		return BodyText
	case ".bin", ".binpb", ".pb", ".binarypb":
		return BodyBinary
	default:
		return BodyAuto
	}
}

// LooksLikeJSON reports whether the beginning of a body is that of JSON. So is
// nothing at all: that it is missing is then what the error says.
func LooksLikeJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) == 0 || strings.IndexByte(`{["`, text[0]) >= 0
}

// errWhole says that only microd understands a body.
var errWhole = errors.New("a body that is not JSON")

// messages reads the messages of a body that is no stream: all of them.
func (b typedBody) messages(m wire.Method, format BodyFormat, from Inputs, readFile func(string) ([]byte, error)) ([]Message, error) {
	var text []byte
	var err error
	switch {
	case b.inline():
		text, err = expandJSON([]byte(b.arg), from.Getenv)
	case b.stdin():
		text, err = readFile("-")
	default:
		text, err = readFile(b.arg[1:])
	}
	if err != nil {
		return nil, err
	}
	if format == BodyAuto && LooksLikeJSON(text) {
		format = BodyJSON
	}
	if format == BodyJSON && !m.ClientStreaming() {
		if len(bytes.TrimSpace(text)) == 0 {
			return nil, &Error{Message: b.what() + " is empty; {} is a request without fields", Exit: ExitUsage}
		}
		return []Message{{JSON: text}}, nil
	}
	var all []Message
	for msg, err := range from.decode(m, format, bytes.NewReader(text)) {
		if err != nil {
			if errors.Is(err, errWhole) {
				return nil, err
			}
			return nil, &Error{Message: b.what() + " " + err.Error(), Exit: ExitUsage}
		}
		all = append(all, msg)
	}
	if len(all) != 1 && !m.ClientStreaming() {
		return nil, &Error{
			Message: fmt.Sprintf("%s has %d messages, and %s takes one", b.what(), len(all), request.Endpoint(m)),
			Exit:    ExitUsage,
		}
	}
	return all, nil
}

// decode yields the messages that a reader has. Errors go on after the name of the
// body: "is not JSON: …".
func (from Inputs) decode(m wire.Method, format BodyFormat, r io.Reader) iter.Seq2[Message, error] {
	switch {
	case format == BodyJSON:
		return ReadJSON(r)
	case from.Decode != nil:
		return from.Decode(m.Input(), format, r)
	default:
		return func(yield func(Message, error) bool) { yield(Message{}, errWhole) }
	}
}

// ReadJSON yields one JSON value after the other, as they come.
func ReadJSON(r io.Reader) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		dec := json.NewDecoder(r)
		for {
			var value json.RawMessage
			err := dec.Decode(&value)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				if errors.Is(err, io.ErrUnexpectedEOF) {
					err = errors.New("it ends in the middle")
				}
				yield(Message{}, fmt.Errorf("is not JSON: %w", err))
				return
			}
			if !yield(Message{JSON: value}, nil) {
				return
			}
		}
	}
}

// Stream yields the messages that standard input has for a client stream as they
// come, each under the fields that were given as flags.
func (r *Request) Stream(m wire.Method, from Inputs) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		n := 0
		for msg, err := range from.decode(m, r.In, from.Stdin) {
			if n++; err == nil {
				msg, err = r.Complete(m.Input(), msg)
			}
			if _, ok := errors.AsType[*FlagError](err); err != nil && !ok {
				err = &Error{Message: fmt.Sprintf("message %d of standard input %s", n, err), Exit: ExitUsage}
			}
			if !yield(msg, err) || err != nil {
				return
			}
		}
	}
}

// Complete puts the fields that were given as flags over a message.
func (r *Request) Complete(m wire.Message, msg Message) (Message, error) {
	if len(r.flags) == 0 {
		if !takesObject(m) {
			return msg, nil
		}
		if msg.Wire != nil {
			return msg, nil
		}
	}
	b, err := request.ParseBody(msg.JSON)
	if err != nil {
		return msg, err
	}
	for _, f := range r.flags {
		if err := b.Set(m, f.name, f.value, r.values); err != nil {
			e := &FlagError{Flag: "--" + f.name, Message: err.Error()}
			if unknown, ok := errors.AsType[*request.UnknownFieldError](err); ok {
				e.Near = unknown.Near(f.name)
			}
			return msg, e
		}
	}
	return Message{JSON: b.JSON()}, nil
}

// takesObject reports whether the JSON of a message is an object.
func takesObject(m wire.Message) bool {
	switch m.WellKnown() {
	case 0, wire.Any, wire.Struct, wire.Empty:
		return true
	default:
		return false
	}
}
