package dynamic

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// commentOn returns the comment on Orders.Place in a schema, and whether it is
// usable.
func commentOn(tb testing.TB, raw []byte) string {
	tb.Helper()
	s, err := ParseSchema(raw)
	if err != nil {
		tb.Fatal(err)
	}
	for _, svc := range s.Services() {
		return Comment(svc.Methods().ByName("Place"))
	}
	return ""
}

func TestAddComments(t *testing.T) {
	t.Parallel()
	const comment = "Place takes an order.\n\nIt answers with the order as it was taken."
	// change returns the schema after a change of the file of the shop, without
	// comments as reflection has it.
	change := func(f func(*descriptorpb.FileDescriptorProto)) []byte {
		set := compileProto(t, "order.proto")
		for _, file := range set.GetFile() {
			file.SourceCodeInfo = nil
			if file.GetPackage() == "shop.v1" {
				f(file)
			}
		}
		return marshal(t, set)
	}
	commented := orderSchema(t)
	for _, test := range []struct {
		name   string
		schema []byte
		want   string
	}{
		{"the same file", change(func(*descriptorpb.FileDescriptorProto) {}), comment},
		{"under another name", change(func(f *descriptorpb.FileDescriptorProto) { f.Name = new("api/v1/order.proto") }), comment},
		{"in another package of Go", change(func(f *descriptorpb.FileDescriptorProto) {
			f.Options = &descriptorpb.FileOptions{GoPackage: new("example.com/shop")}
		}), comment},
		{"with another option", change(func(f *descriptorpb.FileDescriptorProto) {
			f.Options = &descriptorpb.FileOptions{JavaPackage: new("shop")}
		}), ""},
		{"with a field more", change(func(f *descriptorpb.FileDescriptorProto) {
			f.MessageType[0].Field = append(f.MessageType[0].Field, &descriptorpb.FieldDescriptorProto{
				Name: new("more"), Number: proto.Int32(2), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
			})
		}), ""},
		{"with comments of its own", change(func(f *descriptorpb.FileDescriptorProto) {
			f.SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{
				{Path: []int32{6, 0, 2, 0}, Span: []int32{1, 1, 1}, LeadingComments: new(" Its own.\n")},
			}}
		}), "Its own."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := AddComments(test.schema, commented)
			if c := commentOn(t, got); c != test.want {
				t.Errorf("got %q, want %q", c, test.want)
			}
			if bytes.Equal(got, test.schema) != (test.want != comment) {
				t.Error("a schema that gets no comments has to stay as it is")
			}
			if again := AddComments(got, commented); !bytes.Equal(got, again) {
				t.Error("adding them again made something else")
			}
		})
	}
}

// TestAddNoComments leaves a schema as it is, to the byte, when there is nothing to
// add: its digest is its name.
func TestAddNoComments(t *testing.T) {
	t.Parallel()
	schema := marshal(t, setOf(file("b.proto", nil), file("a.proto", nil)))
	schema = append(schema, 0xa0, 0x06, 0x01) // a field that is not known
	damaged := []byte{0xff}
	for name, test := range map[string]struct{ schema, commented []byte }{
		"nothing":              {schema, nil},
		"damaged":              {schema, damaged},
		"none of its files":    {schema, orderSchema(t)},
		"without comments":     {schema, schema},
		"a damaged schema":     {damaged, orderSchema(t)},
		"no end of its parts":  {schema, repeated(MaxSchema/2, 1)},
		"a schema of no files": {nil, orderSchema(t)},
	} {
		if got := AddComments(test.schema, test.commented); !bytes.Equal(got, test.schema) {
			t.Errorf("%s: got %x, want %x", name, got, test.schema)
		}
	}
}
