package dynamic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/micro/micro/v3/dynamic/wire"
)

// api is a schema both ways: as descriptors, which are the oracle, and as a
// table, which is tested.
type api struct {
	files *protoregistry.Files
	types *dynamicpb.Types
	table *wire.Table
}

func newAPI(set *descriptorpb.FileDescriptorSet) (*api, error) {
	files, err := NewFiles(set)
	if err != nil {
		return nil, err
	}
	return newAPIOf(files)
}

func newAPIOf(files *protoregistry.Files) (*api, error) {
	b, err := Compile(files, CompileOptions{})
	if err != nil {
		return nil, err
	}
	table, err := wire.Open(b)
	if err != nil {
		return nil, err
	}
	return &api{files, dynamicpb.NewTypes(files), table}, nil
}

func (a *api) message(tb testing.TB, name string) (protoreflect.MessageDescriptor, wire.Message) {
	tb.Helper()
	d, err := a.files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	m, ok := a.table.Message(name)
	if !ok {
		tb.Fatalf("%s is not in the table", name)
	}
	return d.(protoreflect.MessageDescriptor), m
}

// errPanicked is what the oracle says when it fails to say anything.
var errPanicked = errors.New("the oracle panicked")

func guard(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", errPanicked, r)
	}
}

// unmarshal is what protojson makes of JSON.
func (a *api) unmarshal(d protoreflect.MessageDescriptor, in []byte, o wire.DecodeOptions) (m *dynamicpb.Message, err error) {
	defer guard(&err)
	m = dynamicpb.NewMessage(d)
	err = protojson.UnmarshalOptions{
		AllowPartial:   o.AllowPartial,
		DiscardUnknown: o.DiscardUnknown,
		RecursionLimit: o.MaxDepth,
		Resolver:       a.types,
	}.Unmarshal(in, m)
	return m, err
}

// marshal is what protojson makes of a wire form, without white space.
func (a *api) marshal(d protoreflect.MessageDescriptor, in []byte, o wire.EncodeOptions) (out []byte, err error) {
	defer guard(&err)
	m, err := a.parse(d, in, o.MaxDepth, o.AllowPartial)
	if err != nil {
		return nil, err
	}
	text, err := protojson.MarshalOptions{
		AllowPartial:      o.AllowPartial,
		UseProtoNames:     o.UseProtoNames,
		UseEnumNumbers:    o.UseEnumNumbers,
		EmitUnpopulated:   o.EmitUnpopulated,
		EmitDefaultValues: o.EmitDefaultValues,
		Resolver:          a.types,
	}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// parse is what the protobuf module makes of a wire form.
func (a *api) parse(d protoreflect.MessageDescriptor, in []byte, depth int, partial bool) (m *dynamicpb.Message, err error) {
	defer guard(&err)
	m = dynamicpb.NewMessage(d)
	err = proto.UnmarshalOptions{AllowPartial: partial, RecursionLimit: depth, Resolver: a.types}.Unmarshal(in, m)
	return m, err
}

// canonical returns bytes that are equal for equal messages, also if they contain
// messages in an Any: their bytes are made canonical too.
func (a *api) canonical(m protoreflect.Message) ([]byte, error) {
	if err := a.canonicalAnys(m); err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(m.Interface())
}

func (a *api) canonicalAnys(m protoreflect.Message) error {
	if m.Descriptor().FullName() == "google.protobuf.Any" {
		fields := m.Descriptor().Fields()
		typ, err := a.types.FindMessageByURL(m.Get(fields.ByNumber(1)).String())
		if err != nil {
			return nil //nolint:nilerr // nothing is known of what is in it
		}
		inner, err := a.parse(typ.Descriptor(), m.Get(fields.ByNumber(2)).Bytes(), 0, true)
		if err != nil {
			return err
		}
		b, err := a.canonical(inner)
		if err != nil {
			return err
		}
		m.Set(fields.ByNumber(2), protoreflect.ValueOfBytes(b))
		return nil
	}
	var err error
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = a.canonicalAnys(v.Message())
				return err == nil
			})
		case f.IsMap() || f.Message() == nil:
		case f.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = a.canonicalAnys(v.List().Get(i).Message())
			}
		default:
			err = a.canonicalAnys(v.Message())
		}
		return err == nil
	})
	return err
}

// compareDecode returns how the table differs from the oracle for JSON, nil when
// it does not. Accepted tells whether both took the input.
func (a *api) compareDecode(d protoreflect.MessageDescriptor, m wire.Message, in []byte, o wire.DecodeOptions) (accepted bool, err error) {
	want, wantErr := a.unmarshal(d, in, o)
	got, gotErr := m.AppendWire(nil, in, o)
	if errors.Is(wantErr, errPanicked) {
		return false, wantErr
	}
	if (wantErr == nil) != (gotErr == nil) {
		return false, errors.New(fmt.Sprint("error: got ", gotErr, ", want ", wantErr))
	}
	if gotErr != nil {
		return false, checkError(gotErr, len(in))
	}
	parsed, err := a.parse(d, got, 0, true)
	if err != nil {
		return true, fmt.Errorf("not a wire form: %x: %w", got, err)
	}
	gotCanonical, err := a.canonical(parsed)
	if err != nil {
		return true, err
	}
	wantCanonical, err := a.canonical(want)
	if err != nil {
		return true, err
	}
	if !bytes.Equal(gotCanonical, wantCanonical) {
		return true, fmt.Errorf("value:\ngot  %x\n%v\nwant %x\n%v", gotCanonical, parsed, wantCanonical, want)
	}
	return true, nil
}

// compareEncode is compareDecode for a wire form.
func (a *api) compareEncode(d protoreflect.MessageDescriptor, m wire.Message, in []byte, o wire.EncodeOptions) (accepted bool, err error) {
	want, wantErr := a.marshal(d, in, o)
	got, gotErr := m.AppendJSON(nil, in, o)
	if errors.Is(wantErr, errPanicked) {
		return false, wantErr
	}
	if (wantErr == nil) != (gotErr == nil) {
		return false, errors.New(fmt.Sprint("error: got ", gotErr, ", want ", wantErr))
	}
	if gotErr != nil {
		return false, checkError(gotErr, len(in))
	}
	if !bytes.Equal(got, want) {
		return true, fmt.Errorf("JSON:\ngot  %s\nwant %s", got, want)
	}
	return true, nil
}

// checkError verifies what every error of a conversion is.
func checkError(err error, size int) error {
	var e *wire.Error
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("not an *Error: %T", err)
	case errors.Is(err, wire.ErrUnsupported):
		return err
	case e.Reason == "" || e.Offset < 0 || e.Offset > size:
		return errors.New("an error that says nothing: " + e.Error())
	}
	return nil
}

// at returns the offset of an error as text.
func at(err error) string {
	var e *wire.Error
	if !errors.As(err, &e) {
		return " nowhere"
	}
	return fmt.Sprintf(" @%d", e.Offset)
}
