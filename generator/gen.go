package generator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Result says what [Gen] did.
type Result struct {
	Sources int      // .proto files that were compiled
	Written []string // files that are new or different now, below the directory
	Notes   []string // what the person who wrote the .proto files should know
}

// GenOption says what [Gen] makes besides.
type GenOption func(*genOptions)

type genOptions struct{ micro bool }

// Micro makes a NAME.pb.micro.go of every file with services.
func Micro() GenOption { return func(o *genOptions) { o.micro = true } }

// Gen compiles every .proto file below dir and writes the Go code of each beside
// it: NAME.pb.go with the messages and, where there are services, NAME_grpc.pb.go
// with their clients and servers. Where there is a NAME.pb.micro.go, which the generator
// of Micro 3 made, it is made again; and NAME_grpc.pb.go only where there is one too. It needs neither protoc nor its plug-ins, and
// the same files always give the same code.
//
// Files import each other by their paths below a folder named proto, else by
// those in the module, and the files that come with protobuf as
// google/protobuf/…. A file without go_package belongs to the Go package of its
// folder; one whose go_package is in another module is imported only.
//
// Nothing is written when a file does not compile, which is a [*ProtoError]. Each
// file is written whole or not at all, and not touched when nothing changes.
func Gen(ctx context.Context, dir string, opts ...GenOption) (Result, error) {
	var o genOptions
	for _, opt := range opts {
		opt(&o)
	}
	m, err := findModule(dir)
	if err != nil {
		return Result{}, err
	}
	sources, err := readSources(ctx, dir)
	if err != nil {
		return Result{}, err
	}
	if err := nameSources(m, sources); err != nil {
		return Result{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Result{}, err
	}
	defer root.Close()
	files, notes, err := emit(ctx, m, sources, func(stem string) (grpc, micro bool) {
		_, noMicro := root.Stat(stem + ".pb.micro.go")
		_, noGRPC := root.Stat(stem + "_grpc.pb.go")
		return noMicro != nil || noGRPC == nil || o.micro, noMicro == nil || o.micro
	})
	if err != nil {
		return Result{}, err
	}
	result := Result{Sources: len(sources), Notes: notes}
	for _, f := range files {
		old, err := root.ReadFile(f.Path)
		if err == nil && bytes.Equal(old, f.Content) {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return result, err
		}
		if err := replaceFile(root, f); err != nil {
			return result, fmt.Errorf("write %s: %w", f.Path, err)
		}
		result.Written = append(result.Written, f.Path)
	}
	return result, nil
}

// Describe compiles every .proto file below dir, with the names that [Gen] gives
// them, to a serialized google.protobuf.FileDescriptorSet with comments: the files
// and all that they import, dependencies first. The same files give the same bytes.
func Describe(ctx context.Context, dir string) ([]byte, error) {
	m, err := findModule(dir)
	if err != nil {
		return nil, err
	}
	sources, err := readSources(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := nameSources(m, sources); err != nil {
		return nil, err
	}
	files, _, err := compile(ctx, sources)
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&descriptorpb.FileDescriptorSet{File: files})
}
