package front

import (
	"slices"
	"strings"
)

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

// HelpCommand returns the command that shows the page of the endpoint, or of the service
// as long as no endpoint is named. It says where the schema comes from as the command
// line does.
func (in Invocation) HelpCommand() string {
	words := append([]string{"micro", in.Service}, in.Words...)
	return strings.Join(append(append(words, "--help"), in.schemaArgs()...), " ")
}

// FieldsCommand returns the command with words of the form name=value as flags; empty when
// there is none.
func (in Invocation) FieldsCommand() string {
	words := []string{"micro", in.Service}
	fields := false
	for _, w := range in.Words {
		if name, value, is := strings.Cut(w, "="); is && name != "" {
			w, fields = "--"+name+"="+inShell(value), true
		}
		words = append(words, w)
	}
	if !fields {
		return ""
	}
	return strings.Join(append(words, in.schemaArgs()...), " ")
}

// schemaArgs returns the options that say where the schema comes from, for a shell.
func (in Invocation) schemaArgs() []string {
	var all []string
	known := schemaOptions()
	for o, typed := range in.options() {
		if slices.ContainsFunc(known, func(k option) bool { return k.name == o.name }) {
			all = append(all, typed.flag, inShell(typed.value))
		}
	}
	return all
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
