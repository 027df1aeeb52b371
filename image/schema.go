package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/micro/micro/v3/internal/protofiles"
)

// Limits of the .proto files of a service.
const (
	maxProtoFiles = 1000
	maxProtoSize  = 4 << 20 // of one file
)

// compileSchema compiles the .proto files of the main package's directory and
// of the folder proto in it. It returns nothing when there are none. A file that
// does not compile is no reason not to build the program, which has its own
// copy: there is a warning then, and no schema.
func compileSchema(ctx context.Context, dir, modRoot string, report func(Event)) []byte {
	data, err := compileProtos(ctx, dir, modRoot)
	if err != nil && ctx.Err() == nil {
		report(Event{Stage: Building, Warning: true, Message: "no schema: " + err.Error()})
		return nil
	}
	return data
}

// compileProtos compiles the .proto files of a directory. It returns nothing when there
// are none.
func compileProtos(ctx context.Context, dir, modRoot string) ([]byte, error) {
	files, err := protoFiles(dir)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	return compileFiles(ctx, dir, modRoot, files)
}

// compileFiles compiles .proto files, named relative to a directory. What they import
// is looked for in the directory, in the folder proto of it, or in the module's root,
// whichever has all of it: a file has one name, the one below the root that it was found
// in.
func compileFiles(ctx context.Context, dir, modRoot string, files []string) ([]byte, error) {
	roots := []string{dir}
	if slices.ContainsFunc(files, func(f string) bool { return filepath.Dir(f) != "." }) {
		roots = append(roots, filepath.Join(dir, "proto"))
	}
	if modRoot != "" && modRoot != dir {
		roots = append(roots, modRoot)
	}
	var first error
	for _, root := range roots {
		names, ok := below(root, dir, files)
		if !ok {
			continue
		}
		compiler := protocompile.Compiler{
			Resolver:       protocompile.WithStandardImports(protocompile.CompositeResolver{inFolder(root), linkedIn()}),
			SourceInfoMode: protocompile.SourceInfoStandard,
		}
		compiled, err := compiler.Compile(ctx, names...)
		if err == nil {
			return marshalSchema(compiled)
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// protoFiles returns the .proto files directly in a directory and those below
// the folder proto in it, relative to the directory and in order.
func protoFiles(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.proto"))
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(filepath.Join(dir, "proto"), func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case strings.HasSuffix(path, ".proto") && e.Type().IsRegular():
			files = append(files, path)
		}
		if len(files) > maxProtoFiles {
			return fmt.Errorf("more than %d .proto files", maxProtoFiles)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		if files[i], err = filepath.Rel(dir, f); err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return files, nil
}

// below returns the names that files of a directory have below a root, and
// false when one of them is not below it.
func below(root, dir string, files []string) ([]string, bool) {
	var names []string
	for _, f := range files {
		name, err := filepath.Rel(root, filepath.Join(dir, f))
		if err != nil || !filepath.IsLocal(name) {
			return nil, false
		}
		names = append(names, filepath.ToSlash(name))
	}
	return names, true
}

// inFolder finds files in a folder. Nothing outside it is read, whatever a
// source imports or links to.
func inFolder(dir string) protocompile.Resolver {
	return &protocompile.SourceResolver{Accessor: func(name string) (io.ReadCloser, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		f, err := root.Open(filepath.FromSlash(name))
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && (!info.Mode().IsRegular() || info.Size() > maxProtoSize) {
			err = fmt.Errorf("%s is not a file of at most %d bytes", name, maxProtoSize)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}}
}

// linkedIn finds files whose Go code is part of this program, such as those of
// google/api that annotate methods.
func linkedIn() protocompile.Resolver {
	return protocompile.ResolverFunc(func(name string) (protocompile.SearchResult, error) {
		if !strings.HasPrefix(name, "google/") {
			return protocompile.SearchResult{}, protoregistry.NotFound
		}
		d, err := protoregistry.GlobalFiles.FindFileByPath(name)
		return protocompile.SearchResult{Desc: d}, err
	})
}

// marshalSchema returns the files with all that they import, each after what it
// imports.
func marshalSchema(compiled linker.Files) ([]byte, error) {
	files, err := protofiles.WithImports(compiled...)
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&descriptorpb.FileDescriptorSet{File: files})
}
