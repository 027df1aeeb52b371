package dynamic

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// MergeSchemas returns one serialized schema with the files of several. Files that are
// in more than one have to be the same.
func MergeSchemas(sets ...[]byte) ([]byte, error) {
	if len(sets) == 1 {
		return sets[0], nil
	}
	out := &descriptorpb.FileDescriptorSet{}
	have := map[string]*descriptorpb.FileDescriptorProto{}
	for _, raw := range sets {
		set := &descriptorpb.FileDescriptorSet{}
		if err := unmarshal(raw, set); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSchema, err)
		}
		for _, f := range set.GetFile() {
			old := have[f.GetName()]
			if old == nil {
				have[f.GetName()] = f
				out.File = append(out.File, f)
				continue
			}
			if content(old) != content(f) {
				return nil, fmt.Errorf("%w: there are two different files %q", ErrSchema, f.GetName())
			}
		}
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(out)
}

// OnlyService returns a serialized schema without all gRPC services but one. What they
// are made of stays.
func OnlyService(raw []byte, service string) ([]byte, error) {
	set := &descriptorpb.FileDescriptorSet{}
	if err := unmarshal(raw, set); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	for _, f := range set.GetFile() {
		keep := f.GetService()[:0]
		old := map[int32]int32{} // where the services that stay were
		for i, s := range f.GetService() {
			full := s.GetName()
			if f.GetPackage() != "" {
				full = f.GetPackage() + "." + full
			}
			if full == service {
				old[int32(i)] = int32(len(keep)) //nolint:gosec // far fewer
				keep = append(keep, s)
			}
		}
		f.Service = keep
		moveComments(f, old)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}

// serviceField is the number of the field of a file that has its services.
const serviceField = 6

// moveComments moves what a file says about its services to where they are now, and
// drops what it says about those that went.
func moveComments(f *descriptorpb.FileDescriptorProto, to map[int32]int32) {
	if f.GetSourceCodeInfo() == nil {
		return
	}
	keep := f.SourceCodeInfo.Location[:0]
	for _, l := range f.GetSourceCodeInfo().GetLocation() {
		if len(l.GetPath()) >= 2 && l.GetPath()[0] == serviceField {
			i, ok := to[l.GetPath()[1]]
			if !ok {
				continue
			}
			l.Path[1] = i
		}
		keep = append(keep, l)
	}
	f.SourceCodeInfo.Location = keep
}
