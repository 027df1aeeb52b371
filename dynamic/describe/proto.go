package describe

import (
	"io"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Proto writes an element as a .proto file has it, with its comments.
func Proto(w io.Writer, d protoreflect.Descriptor) error {
	p := protoprint.Printer{Indent: "  "}
	text, err := p.PrintProtoToString(d)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}
