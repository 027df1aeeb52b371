package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/snippet"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
)

// A message means the same in all formats that a body can have.
func TestBodyFormatsAgree(t *testing.T) {
	t.Parallel()
	s := fixture(t)
	tab := table(t, s)
	b := bodies{most: 64 << 20, schema: func() (*dynamic.Schema, error) { return s, nil }}
	for m := range tab.Messages() {
		t.Run(m.Name(), func(t *testing.T) {
			t.Parallel()
			text := snippet.NewTemplate(tab, m).AppendJSON(nil)
			want, err := m.AppendWire(nil, text, wire.DecodeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			d, err := s.Files().FindDescriptorByName(protoreflect.FullName(m.Name()))
			if err != nil {
				t.Fatal(err)
			}
			msg := dynamicpb.NewMessage(d.(protoreflect.MessageDescriptor))
			types := dynamicpb.NewTypes(s.Files())
			if err := (proto.UnmarshalOptions{Resolver: types}).Unmarshal(want, msg); err != nil {
				t.Fatal(err)
			}
			asText, err := prototext.MarshalOptions{Resolver: types}.Marshal(msg)
			if err != nil {
				t.Fatal(err)
			}
			var asYAML bytes.Buffer
			if err := jsonToYAML(&asYAML, text); err != nil {
				t.Fatal(err)
			}
			for format, body := range map[front.BodyFormat][]byte{
				front.BodyJSON: text, front.BodyYAML: asYAML.Bytes(), front.BodyText: asText, front.BodyBinary: want,
			} {
				for got, err := range b.decode(m, format, bytes.NewReader(body)) {
					if err != nil {
						t.Fatalf("%s: %v\n%s", format, err, body)
					}
					fromJSON, err := m.AppendWire(nil, got.JSON, wire.DecodeOptions{})
					if err != nil {
						t.Fatalf("%s: %v\n%s", format, err, got.JSON)
					}
					encoded, err := got.Encode(m)
					if err != nil {
						t.Fatal(err)
					}
					for _, raw := range [][]byte{fromJSON, encoded} {
						same := dynamicpb.NewMessage(msg.Descriptor())
						if err := (proto.UnmarshalOptions{Resolver: types}).Unmarshal(raw, same); err != nil {
							t.Fatal(err)
						}
						if !proto.Equal(msg, same) {
							t.Errorf("%s: got %v, want %v", format, same, msg)
						}
					}
				}
			}
		})
	}
}

// What the schema does not know is sent as it was given, unless flags change the rest.
func TestBinaryBodyKeepsUnknownFields(t *testing.T) {
	t.Parallel()
	tab := table(t, fixture(t))
	m, _ := tab.Message("fixture.v1.Country")
	body := []byte("\x0a\x02NO\xf8\x07\x05") // field 127 is not one of it
	for got, err := range (bodies{most: 64 << 20}).decode(m, front.BodyBinary, bytes.NewReader(body)) {
		if err != nil {
			t.Fatal(err)
		}
		sent, err := got.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(body, sent); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if string(got.JSON) != `{"code":"NO"}` {
			t.Errorf("JSON %s", got.JSON)
		}
	}
}

func TestHostileBodies(t *testing.T) {
	t.Parallel()
	s := fixture(t)
	tab := table(t, s)
	m, _ := tab.Message("fixture.v1.Message")
	b := bodies{most: 64 << 20, schema: func() (*dynamic.Schema, error) { return s, nil }}
	for _, tt := range []struct {
		name   string
		format front.BodyFormat
		body   io.Reader
		want   string
	}{
		{"binary cut", front.BodyBinary, strings.NewReader("\x72\x05ab"), "is no fixture.v1.Message in protobuf's binary form: "},
		{"binary nested", front.BodyBinary, strings.NewReader(strings.Repeat("\xb2\x04\xff\xff\xff\xff\x07", 100_000)), "is no fixture.v1.Message"},
		{"binary endless", front.BodyBinary, endless{}, "has more than 67108864 bytes"},
		{"text cut", front.BodyText, strings.NewReader(`string: "a`), "is not textproto: "},
		{"text unknown", front.BodyText, strings.NewReader(`nosuch: 1`), "is not textproto: "},
		{"text nested", front.BodyText, strings.NewReader(strings.Repeat("next {", 20_000)), "is not textproto: "},
		{"yaml list", front.BodyYAML, strings.NewReader("- a\n"), "is no message: as YAML it is not a mapping"},
		{"yaml text", front.BodyAuto, strings.NewReader("some text\n"), "is no message: as YAML it is not a mapping"},
		{"yaml null", front.BodyYAML, strings.NewReader("---\n"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var err error
			for _, err = range b.decode(m, tt.format, tt.body) {
				if err != nil {
					break
				}
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
