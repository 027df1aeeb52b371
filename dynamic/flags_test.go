package dynamic

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// TestFlagsToWire writes random messages as flags, or in part as a body below them,
// and gets the same messages from what package request makes of that.
func TestFlagsToWire(t *testing.T) {
	t.Parallel()
	eachCase(t, func(r *randomAPI, rnd *rand.Rand) (string, bool, error) {
		name := r.names[rnd.IntN(len(r.names))]
		d, err := r.files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return name, false, err
		}
		md := d.(protoreflect.MessageDescriptor)
		want, err := r.jsonable(rnd, md)
		if err != nil {
			return name, false, nil //nolint:nilerr // it has no JSON form
		}
		text, flags, err := r.typed(rnd, want)
		what := fmt.Sprintf("%s\nbody %s\nflags %q", name, text, flags)
		if err != nil {
			return what, true, err
		}
		m, _ := r.table.Message(name)
		got, err := build(m, text, flags)
		if err != nil {
			return what, true, err
		}
		parsed, err := r.parse(md, got, 0, true)
		if err != nil {
			return what, true, fmt.Errorf("not a wire form: %x: %w", got, err)
		}
		gotCanonical, err := r.canonical(parsed)
		if err != nil {
			return what, true, err
		}
		wantCanonical, err := r.canonical(want)
		if err != nil {
			return what, true, err
		}
		if !bytes.Equal(gotCanonical, wantCanonical) {
			return what, true, fmt.Errorf("got\n%v\nwant\n%v", parsed, want)
		}
		return what, true, nil
	})
}

// jsonable returns a random message that has a JSON form, with nothing in it that
// this form does not have.
func (r *randomAPI) jsonable(rnd *rand.Rand, d protoreflect.MessageDescriptor) (m *dynamicpb.Message, err error) {
	g := &wireGen{Rand: rnd, api: r.api, names: r.names, exts: r.exts}
	if m, err = r.parse(d, g.message(d), 0, true); err != nil {
		return nil, err
	}
	defer guard(&err)
	text, err := protojson.MarshalOptions{Resolver: r.types, AllowPartial: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	return r.unmarshal(d, text, wire.DecodeOptions{AllowPartial: true})
}

// typed writes a message as flags over a body, which is empty when there is none.
func (r *randomAPI) typed(rnd *rand.Rand, m *dynamicpb.Message) (body []byte, flags [][2]string, err error) {
	g := &flagGen{Rand: rnd, api: r.api}
	rest := proto.CloneOf[proto.Message](m).ProtoReflect()
	if rnd.IntN(3) == 0 {
		under := m.New()
		m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			if rnd.IntN(2) == 0 {
				under.Set(f, v)
				// Flags add to a list; a value they replace.
				if f.IsList() || f.Message() != nil || rnd.IntN(2) == 0 {
					rest.Clear(f)
				}
			}
			return true
		})
		body, err = protojson.MarshalOptions{Resolver: r.types, AllowPartial: true, UseProtoNames: rnd.IntN(2) == 0}.Marshal(under.Interface())
		if err != nil {
			return nil, nil, err
		}
	}
	g.fields("", rest)
	return body, g.out, g.err
}

// build makes a message of flags over a body.
func build(m wire.Message, text []byte, flags [][2]string) ([]byte, error) {
	body := request.NewBody()
	if len(text) > 0 {
		var err error
		if body, err = request.ParseBody(text); err != nil {
			return nil, err
		}
	}
	for _, f := range flags {
		if err := body.Set(m, f[0], f[1], request.Values{Now: time.Now}); err != nil {
			return nil, fmt.Errorf("%s: %w", f[0], err)
		}
	}
	out, err := m.AppendWire(nil, body.JSON(), wire.DecodeOptions{AllowPartial: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", body.JSON(), err)
	}
	return out, nil
}
