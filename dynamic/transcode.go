package dynamic

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/micro/micro/v3/dynamic/wire"
)

// Encode turns JSON into the wire form of a message of the schema's table. What the
// table does not take goes by way of protojson, which [Schema.Slow] counts.
func (s *Schema) Encode(m wire.Message, json []byte) (out []byte, err error) {
	out, err = m.AppendWire(nil, json, wire.DecodeOptions{})
	if !errors.Is(err, wire.ErrUnsupported) {
		return out, err
	}
	s.slow.Add(1)
	defer noPanic(m, &err)
	msg, err := s.message(m)
	if err != nil {
		return nil, err
	}
	if err := (protojson.UnmarshalOptions{Resolver: s.types()}).Unmarshal(json, msg); err != nil {
		return nil, err
	}
	return proto.Marshal(msg)
}

// Decode turns the wire form of a message into JSON, in the same way.
func (s *Schema) Decode(m wire.Message, data []byte) (out []byte, err error) {
	out, err = m.AppendJSON(nil, data, wire.EncodeOptions{})
	if !errors.Is(err, wire.ErrUnsupported) {
		return out, err
	}
	s.slow.Add(1)
	defer noPanic(m, &err)
	msg, err := s.message(m)
	if err != nil {
		return nil, err
	}
	if err := (proto.UnmarshalOptions{Resolver: s.types()}).Unmarshal(data, msg); err != nil {
		return nil, err
	}
	if out, err = (protojson.MarshalOptions{Resolver: s.types()}).Marshal(msg); err != nil {
		return nil, err
	}
	var compact bytes.Buffer // protojson varies its spaces on purpose
	err = stdjson.Compact(&compact, out)
	return compact.Bytes(), err
}

// noPanic makes an error of a panic: protojson trusts that what is called like a
// message of google.protobuf has its fields, and schemas come from strangers.
func noPanic(m wire.Message, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %s is not what its name says: %v", ErrSchema, m.Name(), r)
	}
}

// Fast reports whether the tables take every message of the schema, so that nothing
// goes the slow way.
func (s *Schema) Fast() (bool, error) {
	t, err := s.Table()
	if err != nil {
		return false, err
	}
	for m := range t.Messages() {
		if !m.Supported() {
			return false, nil
		}
	}
	return true, nil
}

// Slow returns how many messages went the slow way.
func (s *Schema) Slow() int64 { return s.slow.Load() }

func (s *Schema) types() *dynamicpb.Types { return dynamicpb.NewTypes(s.files) }

// message returns an empty message of the type that a table has.
func (s *Schema) message(m wire.Message) (proto.Message, error) {
	d, err := s.files.FindDescriptorByName(protoreflect.FullName(m.Name()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name(), err)
	}
	md, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is not a message", m.Name())
	}
	return dynamicpb.NewMessage(md), nil
}
