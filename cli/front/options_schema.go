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
// see [Invocation.Early].
func schemaOptions() []option {
	early := func(r *Request, _ string) error {
		r.Whole = true
		return nil
	}
	return []option{
		{"proto", "", "FILE", "a .proto file that says what the server speaks; can be repeated", early},
		{"import", "I", "DIR", "where .proto files are looked for; can be repeated", early},
		{"protoset", "", "FILE", "a file with compiled .proto files (protoc -o); can be repeated", early},
		{"schema", "", "SOURCE", "a directory or git address with .proto files, or oci://IMAGE", early},
	}
}

// Early is what has to be known of a command line before there is a schema.
type Early struct {
	Sources Sources
	Headers [][2]string
}

// Early reads those options. What is wrong with them [Invocation.Build] says.
func (in Invocation) Early(getenv func(string) string) Early {
	var e Early
	r := &Request{}
	for args := in.args; len(args) > 0; args = args[1:] {
		name, value, has := cutOption(args[0])
		var add func(v string)
		switch name {
		case "--proto":
			add = func(v string) { e.Sources.Protos = append(e.Sources.Protos, v) }
		case "--import", "-I":
			add = func(v string) { e.Sources.Imports = append(e.Sources.Imports, v) }
		case "--protoset":
			add = func(v string) { e.Sources.Protosets = append(e.Sources.Protosets, v) }
		case "--schema":
			add = func(v string) { e.Sources.Repository = v }
		case "--header", "-H":
			add = func(v string) {
				if v, err := expand(v, getenv); err == nil {
					_ = setHeader(r, v)
				}
			}
		default:
			continue
		}
		if !has && len(args) > 1 {
			args = args[1:]
			value, has = args[0], true
		}
		if has {
			add(value)
		}
	}
	e.Headers = r.Headers
	return e
}
