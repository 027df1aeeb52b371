package dynamic

import (
	"path"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// AddComments returns a schema with the comments that another has of the same
// files. Reflection has none: compilers leave them out of programs. Files that differ in
// anything else, and a commented schema that is none, change nothing.
func AddComments(schema, commented []byte) []byte {
	var set, source descriptorpb.FileDescriptorSet
	if len(commented) == 0 || unmarshal(commented, &source) != nil || unmarshal(schema, &set) != nil {
		return schema
	}
	byContent := map[string]*descriptorpb.SourceCodeInfo{}
	for _, f := range source.GetFile() {
		if key := content(f); key != "" && f.GetSourceCodeInfo() != nil {
			byContent[key] = f.GetSourceCodeInfo()
		}
	}
	added := false
	for _, f := range set.GetFile() {
		if info := byContent[content(f)]; info != nil && f.GetSourceCodeInfo() == nil {
			f.SourceCodeInfo, added = info, true
		}
	}
	if !added {
		return schema // to the byte: it is known by its digest
	}
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(&set)
	if err != nil || len(out) > MaxSchema {
		return schema
	}
	return out
}

// content returns what a file declares, nothing when that cannot be told. How files are called depends on where a
// compiler was started, and what Go calls a package on who generated its code.
func content(f *descriptorpb.FileDescriptorProto) string {
	f = proto.CloneOf(f)
	f.Name, f.SourceCodeInfo = nil, nil
	for i, d := range f.GetDependency() {
		f.Dependency[i] = path.Base(d)
	}
	if f.GetOptions() != nil {
		f.Options.GoPackage = nil
		if proto.Size(f.GetOptions()) == 0 {
			f.Options = nil
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(f)
	if err != nil {
		return ""
	}
	return string(b)
}
