package describe

import (
	"io"
	"regexp"
	"slices"
	"strings"

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
	_, err = io.WriteString(w, method.ReplaceAllString(text, "${1}(${2}) returns (${3})"))
	return err
}

// method is how protoprint writes the head of a method: with more spaces than people do.
var method = regexp.MustCompile(`(?m)^(\s*rpc \w+) \( (.+) \) returns \( (.+) \)`)

// Files returns the .proto files that elements are in, and those that these import,
// ordered by their paths. The files that come with every compiler, google/protobuf/…,
// are left out.
func Files(elements []protoreflect.Descriptor) []protoreflect.FileDescriptor {
	found := make(map[string]protoreflect.FileDescriptor)
	var add func(protoreflect.FileDescriptor)
	add = func(fd protoreflect.FileDescriptor) {
		if found[fd.Path()] != nil || strings.HasPrefix(fd.Path(), "google/protobuf/") {
			return
		}
		found[fd.Path()] = fd
		for i := range fd.Imports().Len() {
			add(fd.Imports().Get(i).FileDescriptor)
		}
	}
	for _, d := range elements {
		add(d.ParentFile())
	}
	files := make([]protoreflect.FileDescriptor, 0, len(found))
	for _, fd := range found {
		files = append(files, fd)
	}
	slices.SortFunc(files, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	return files
}
