package generator

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/internal/protofiles"
)

// Problem is something wrong at one place of a .proto file.
type Problem struct {
	Path    string // below the directory that was generated in, with slashes
	Line    int    // from 1; 0 when the place is not known
	Column  int    // from 1
	Message string
}

// String returns the problem as compilers print it, path:line:column: message.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Path + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.Path, p.Line, p.Column, p.Message)
}

// ProtoError tells why .proto files do not compile.
type ProtoError struct {
	Problems []Problem // at least one, ordered by their place
}

// Error returns the problems, one a line.
func (e *ProtoError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems is the number of problems after which a compilation ends.
const maxProblems = 20

// problems collects what the compiler reports. The compiler calls it by one
// goroutine at a time.
type problems struct {
	paths    map[string]string // by names
	errors   []Problem
	warnings []Problem
}

var errTooMany = errors.New("too many problems")

func (p *problems) Error(err reporter.ErrorWithPos) error {
	p.errors = append(p.errors, p.at(err))
	if len(p.errors) == maxProblems {
		return errTooMany
	}
	return nil
}

func (p *problems) Warning(err reporter.ErrorWithPos) {
	p.warnings = append(p.warnings, p.at(err))
}

func (p *problems) at(err reporter.ErrorWithPos) Problem {
	pos := err.GetPosition()
	name, ok := p.paths[pos.Filename]
	if !ok {
		name = pos.Filename
	}
	return Problem{Path: name, Line: pos.Line, Column: pos.Col, Message: err.Unwrap().Error()}
}

// compile compiles the files to descriptors with comments: the files and all
// that they import, dependencies first. The second result is what the compiler
// warns of. An error about the files is a [*ProtoError].
func compile(ctx context.Context, sources []source) ([]*descriptorpb.FileDescriptorProto, []Problem, error) {
	if bad := notUTF8(sources); bad != nil {
		return nil, nil, &ProtoError{bad}
	}
	byName := make(map[string]source, len(sources))
	names := make([]string, len(sources))
	found := &problems{paths: make(map[string]string, len(sources))}
	for i, s := range sources {
		byName[s.name], names[i], found.paths[s.name] = s, s.name, s.path
	}
	resolve := protocompile.ResolverFunc(func(name string) (protocompile.SearchResult, error) {
		if s, ok := byName[name]; ok {
			return protocompile.SearchResult{Source: bytes.NewReader(s.text)}, nil
		}
		return protocompile.SearchResult{}, notFound(name, sources)
	})
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(resolve),
		Reporter:       found,
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, names...)
	var placed reporter.ErrorWithPos
	sortProblems(found.errors)
	sortProblems(found.warnings)
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case len(found.errors) > 0:
		return nil, nil, &ProtoError{found.errors}
	case errors.As(err, &placed):
		return nil, nil, &ProtoError{[]Problem{found.at(placed)}} // a missing import
	case err != nil:
		return nil, nil, err
	}
	protos, err := protofiles.WithImports(files...)
	return protos, slices.Compact(found.warnings), err
}

// notUTF8 finds the first place in each file that is no UTF-8.
func notUTF8(sources []source) (bad []Problem) {
	for _, s := range sources {
		if utf8.Valid(s.text) {
			continue
		}
		line, column := 1, 1
		for rest := s.text; ; {
			r, size := utf8.DecodeRune(rest)
			if r == utf8.RuneError && size == 1 {
				break
			}
			rest, column = rest[size:], column+1
			if r == '\n' {
				line, column = line+1, 1
			}
		}
		bad = append(bad, Problem{Path: s.path, Line: line, Column: column, Message: "the text is no UTF-8"})
	}
	return bad
}

// notFound says which import is missing, and how the file that was probably
// meant is imported.
func notFound(name string, sources []source) error {
	for _, s := range sources {
		if path.Base(s.path) == path.Base(name) {
			return fmt.Errorf("there is no %q; %s is imported as %q", name, s.path, s.name)
		}
	}
	return fmt.Errorf("there is no %q; put it below proto/", name)
}

func sortProblems(p []Problem) {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
