package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestCompileStable compiles a schema whose elements come in another order.
func TestCompileStable(t *testing.T) {
	t.Parallel()
	want := compileTest(t, true)
	s := testSchema()
	slices.Reverse(s.Services)
	slices.Reverse(s.Services[0].Methods)
	slices.Reverse(s.Messages[0].Extensions)
	last := len(s.Messages) - 1
	slices.Reverse(s.Messages)
	for i := range s.Messages {
		for _, list := range [][]FieldSchema{s.Messages[i].Fields, s.Messages[i].Extensions} {
			for j := range list {
				if list[j].Kind.isMessage() {
					list[j].Type = last - list[j].Type
				}
			}
		}
	}
	for i := range s.Services {
		for j := range s.Services[i].Methods {
			m := &s.Services[i].Methods[j]
			m.Input, m.Output = last-m.Input, last-m.Output
		}
	}
	got, err := s.Compile(true)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("another order gives other bytes")
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(s *Schema)
		want   string
	}{
		{"two services", func(s *Schema) { s.Services[0].Name = s.Services[1].Name }, "two services"},
		{"two methods", func(s *Schema) { s.Services[1].Methods[0].Name = "Hello" }, "two methods"},
		{"two messages", func(s *Schema) { s.Messages[2].Name = "a.Node" }, "two messages"},
		{"two enums", func(s *Schema) { s.Enums = append(s.Enums, s.Enums[0]) }, "two enums"},
		{"two values", func(s *Schema) { s.Enums[0].Values[3].Name = "RED" }, "two values"},
		{"two numbers", func(s *Schema) { s.Messages[0].Fields[3].Number = 1 }, "two fields of one number"},
		{"two names", func(s *Schema) { s.Messages[0].Fields[3].Names = []string{"childNodes"} }, "two fields of one name"},
		{"two extensions", func(s *Schema) {
			s.Messages[2].Extensions = []FieldSchema{field("b.size", "[b.size]", 1, BoolKind, Optional)}
		}, "two extensions"},
		{"no input", func(s *Schema) { s.Services[1].Methods[0].Input = 99 }, "no such type"},
		{"no enum", func(s *Schema) { s.Messages[0].Fields[3].Type = 1 }, "no such type"},
		{"no message", func(s *Schema) { s.Messages[0].Fields[1].Type = -1 }, "no such type"},
		{"no oneof", func(s *Schema) { s.Messages[0].Fields[4].Oneof = 2 }, "no such oneof"},
		{"number zero", func(s *Schema) { s.Messages[0].Fields[0].Number = 0 }, "impossible number"},
		{"number too great", func(s *Schema) { s.Messages[0].Fields[0].Number = 1 << 29 }, "impossible number"},
		{"no kind", func(s *Schema) { s.Messages[0].Fields[0].Kind = 0 }, "impossible type"},
		{"no cardinality", func(s *Schema) { s.Messages[0].Fields[0].Cardinality = 4 }, "impossible type"},
		{"map of one", func(s *Schema) { s.Messages[1].Fields = s.Messages[1].Fields[:1] }, "a map without key and value"},
		{"name that is not UTF-8", func(s *Schema) { s.Messages[0].Fields[0].JSONName = "\xff" }, "not UTF-8"},
		{"value with a quote", func(s *Schema) { s.Enums[0].Values[0].Name = `a"` }, "not an identifier"},
		{"too many fields", func(s *Schema) { s.Messages[2].Fields = make([]FieldSchema, maxLocal+1) }, "too many fields"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := testSchema()
			test.change(s)
			_, err := s.Compile(true)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
