package front

// Sources are where the schema of a call comes from when not from the server.
type Sources struct {
	Protos     []string // .proto files
	Imports    []string // directories that they are looked for in
	Protosets  []string // files with a serialized FileDescriptorSet
	Repository string   // a directory, a git address, or oci:// and an image
}

// IsEmpty reports whether the server is to be asked.
func (s Sources) IsEmpty() bool {
	return len(s.Protos) == 0 && len(s.Protosets) == 0 && s.Repository == ""
}

// schemaOptions say where the schema comes from. They are read before there is one;
// see [Invocation.Options].
func schemaOptions() []option {
	set := func(f func(s *Sources, v string)) func(*Request, string) error {
		return func(r *Request, v string) error {
			f(&r.Sources, v)
			r.Whole = true
			return nil
		}
	}
	return []option{
		{"proto", "", "FILE", "a .proto file that says what the server speaks; can be repeated", set(func(s *Sources, v string) {
			s.Protos = append(s.Protos, v)
		})},
		{"import", "I", "DIR", "where .proto files are looked for; can be repeated", set(func(s *Sources, v string) {
			s.Imports = append(s.Imports, v)
		})},
		{"protoset", "", "FILE", "a file with compiled .proto files (protoc -o); can be repeated", set(func(s *Sources, v string) {
			s.Protosets = append(s.Protosets, v)
		})},
		{"schema", "", "SOURCE", "a directory or git address with .proto files, or oci://IMAGE", set(func(s *Sources, v string) {
			s.Repository = v
		})},
	}
}
