package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
)

// bodies reads bodies that are not JSON. It gets the schema as descriptors, for text
// that only they can read, when it needs it.
type bodies struct {
	most   int // bytes of a body that has to be read as a whole
	schema func() (*dynamic.Schema, error)
}

// decode yields the messages of a body; see [front.Inputs].
func (b bodies) decode(m wire.Message, format front.BodyFormat, r io.Reader) iter.Seq2[front.Message, error] {
	return func(yield func(front.Message, error) bool) {
		if format == front.BodyAuto {
			br := bufio.NewReader(r)
			r = br
			var err error
			if format, err = guess(br); err != nil {
				yield(front.Message{}, err)
				return
			}
		}
		switch format {
		case front.BodyJSON:
			front.ReadJSON(r)(yield)
		case front.BodyYAML:
			readYAML(r)(func(msg front.Message, err error) bool {
				if err == nil && msg.JSON[0] != '{' && m.WellKnown() == 0 {
					err = errors.New("is no message: as YAML it is not a mapping of fields to values")
				}
				return yield(msg, err) && err == nil
			})
		default:
			yield(b.one(m, format, r))
		}
	}
}

// guess tells how a body is written that nothing else says it of.
func guess(r *bufio.Reader) (front.BodyFormat, error) {
	head, err := r.Peek(1)
	for err == nil && (head[0] == ' ' || head[0] == '\n' || head[0] == '\r' || head[0] == '\t') {
		if _, err = r.Discard(1); err == nil {
			head, err = r.Peek(1)
		}
	}
	if front.LooksLikeJSON(head) {
		return front.BodyJSON, nil
	}
	head, _ = r.Peek(min(r.Buffered(), r.Size()))
	if i := len(head) - utf8.UTFMax; i > 0 {
		head = head[:i] // a character may be cut
	}
	if bytes.IndexByte(head, 0) >= 0 || !utf8.Valid(trimCut(head)) {
		return "", errors.New("is no text: say how it is written, as with --in binary")
	}
	return front.BodyYAML, nil
}

// trimCut takes off the beginning of a character whose end is missing.
func trimCut(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			return b
		}
	}
	return b
}

// one reads the only message of a body in one of the formats of protobuf itself.
func (b bodies) one(m wire.Message, format front.BodyFormat, r io.Reader) (front.Message, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(b.most)+1))
	if err != nil {
		return front.Message{}, fmt.Errorf("cannot be read: %w", err)
	}
	if len(data) > b.most {
		return front.Message{}, fmt.Errorf("has more than %d bytes; --max-size lets it be larger", b.most)
	}
	if format == front.BodyText {
		if data, err = b.parseText(m, data); err != nil {
			return front.Message{}, err
		}
	}
	text, err := m.AppendJSON(nil, data, wire.EncodeOptions{})
	if err != nil {
		return front.Message{}, fmt.Errorf("is no %s in protobuf's binary form: %w", m.Name(), err)
	}
	return front.Message{JSON: text, Wire: slices.Clip(data)}, nil
}

// parseText turns protobuf's text form into its wire form.
func (b bodies) parseText(m wire.Message, text []byte) ([]byte, error) {
	schema, err := b.schema()
	if err != nil {
		return nil, fmt.Errorf("is textproto, which needs the whole schema: %w", err)
	}
	d, err := schema.Files().FindDescriptorByName(protoreflect.FullName(m.Name()))
	if err != nil {
		return nil, fmt.Errorf("is textproto, and the schema has no %s any more: %w", m.Name(), err)
	}
	md, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("is textproto, and %s is no message", m.Name())
	}
	msg := dynamicpb.NewMessage(md)
	types := dynamicpb.NewTypes(schema.Files())
	if err := (prototext.UnmarshalOptions{Resolver: types}).Unmarshal(text, msg); err != nil {
		return nil, fmt.Errorf("is not textproto: %s", plainSpaces(err))
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(msg)
}

// plainSpaces returns the text of an error of protobuf, which varies its spaces so
// that nobody relies on it, with plain ones.
func plainSpaces(err error) string {
	s := bytes.ReplaceAll([]byte(err.Error()), []byte("\u00a0"), []byte(" "))
	return string(bytes.TrimPrefix(s, []byte("proto: ")))
}
