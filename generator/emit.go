package generator

import (
	"context"
	"fmt"
	"go/token"
	"path"
	"strings"
	"unicode"

	"golang.org/x/mod/module"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// emit compiles the files, whose names are set, and returns the Go code made of
// them: .pb.go with the messages and _grpc.pb.go with the services, each beside
// its source. The styles tell in which of them the services of a file are made, by the
// path of the file without its end. The notes are for the person who wrote the files.
func emit(ctx context.Context, m goModule, sources []source, styles func(stem string) (grpc, micro bool)) (out []File, notes []string, err error) {
	if len(sources) == 0 {
		return nil, nil, nil
	}
	descriptors, warnings, err := compile(ctx, sources)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range warnings {
		notes = append(notes, w.String())
	}
	req := &pluginpb.CodeGeneratorRequest{
		Parameter: new("paths=source_relative"),
		ProtoFile: descriptors,
	}
	byName := make(map[string]*descriptorpb.FileDescriptorProto, len(descriptors))
	for _, fd := range descriptors {
		byName[fd.GetName()] = fd
	}
	folders := make(map[string]string, len(sources))
	for _, s := range sources {
		note, own, err := setGoPackage(m, s, byName[s.name])
		if err != nil {
			return nil, nil, err
		}
		if note != "" {
			notes = append(notes, note)
		}
		if own {
			req.FileToGenerate = append(req.FileToGenerate, s.name)
			folders[s.name] = path.Dir(s.path)
		}
	}
	if len(req.FileToGenerate) == 0 {
		return nil, notes, nil
	}
	plugin, err := protogen.Options{}.New(req)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range plugin.Files {
		if !f.Generate {
			continue
		}
		stem := path.Join(folders[f.Desc.Path()], path.Base(f.GeneratedFilenamePrefix))
		code, err := internal_gengo.GenerateFile(plugin, f).Content()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Desc.Path(), err)
		}
		out = append(out, File{Path: stem + ".pb.go", Content: code})
		if len(f.Services) == 0 {
			continue
		}
		grpc, micro := styles(stem)
		for _, style := range []struct {
			wanted bool
			end    string
			emit   func(*protogen.Plugin, *protogen.File) ([]byte, error)
		}{{grpc, "_grpc.pb.go", emitGRPC}, {micro, ".pb.micro.go", emitMicro}} {
			if !style.wanted {
				continue
			}
			if code, err = style.emit(plugin, f); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", f.Desc.Path(), err)
			}
			out = append(out, File{Path: stem + style.end, Content: code})
		}
	}
	return out, notes, nil
}

// setGoPackage makes go_package the place where the code of a file lies. Own is
// false for a file whose code lies in another module: it is imported only.
func setGoPackage(m goModule, s source, fd *descriptorpb.FileDescriptorProto) (note string, own bool, err error) {
	given, name, _ := strings.Cut(fd.GetOptions().GetGoPackage(), ";")
	want := m.importPath(path.Dir(s.path))
	first, _, _ := strings.Cut(given, "/")
	switch {
	case want == "" && given == "":
		return "", false, &ProtoError{[]Problem{{Path: s.path, Message: "the file has no go_package, and there is no go.mod to derive it from"}}}
	case want == "" || given == want:
		return "", true, nil
	case given == "":
		name = goPackageName(fd.GetPackage(), want)
		note = fmt.Sprintf("%s has no go_package: taking %q", s.path, want+";"+name)
	case first == "." || first == ".." || given == first:
		// Relative to where protoc was started, or the name alone.
		if name == "" {
			name = goPackageName(given, want)
		}
	case strings.Contains(first, ".") && given != m.path && !strings.HasPrefix(given, m.path+"/"):
		return fmt.Sprintf("%s belongs to Go package %s: not generated", s.path, given), false, nil
	default:
		return "", false, &ProtoError{[]Problem{{Path: s.path, Message: fmt.Sprintf("go_package is %q, but the file lies in %q", given, want)}}}
	}
	if err := module.CheckImportPath(want); err != nil {
		return "", false, &ProtoError{[]Problem{{Path: s.path, Message: err.Error()}}}
	}
	if !strings.ContainsAny(want, "./") {
		return "", false, &ProtoError{[]Problem{{Path: s.path, Message: fmt.Sprintf("the file lies in the root of module %q; put it below proto/", m.path)}}}
	}
	if fd.Options == nil {
		fd.Options = new(descriptorpb.FileOptions)
	}
	fd.Options.GoPackage = new(want + ";" + name)
	return note, true, nil
}

// goPackageName derives the name of a Go package from the name of a proto
// package, as acme.hello.v1 gives hellov1, else from the Go package's path.
func goPackageName(from, importPath string) string {
	if from == "" || strings.HasPrefix(from, ".") {
		from = path.Base(importPath)
	}
	parts := strings.FieldsFunc(from, func(r rune) bool { return r == '.' || r == '/' })
	last := len(parts) - 1
	name := parts[last]
	if last > 0 && versionLike(name) {
		name = parts[last-1] + name
	}
	return goIdentifier(name)
}

// versionLike reports whether a name is that of a version: v1, v2beta1.
func versionLike(name string) bool {
	return len(name) > 1 && name[0] == 'v' && name[1] >= '0' && name[1] <= '9'
}

// goIdentifier makes a name one that a Go package can have.
func goIdentifier(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' {
			return r
		}
		return '_'
	}, name)
	switch {
	case token.IsKeyword(name), name == "main":
		return name + "pb"
	case name == "" || unicode.IsDigit(rune(name[0])):
		return "_" + name
	}
	return name
}
