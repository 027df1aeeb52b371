package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxSchema bounds a schema that is pulled, in bytes.
const maxSchema = 16 << 20

// PullSchema returns the schema that is attached to an image in a registry, as
// [Image.Schema] returned it. Reference is HOST/REPOSITORY[:TAG][@DIGEST]; a registry on
// this machine is asked without TLS. Credentials are those of the user's container tools.
// The error is [ErrNotFound] when there is no such image or it has no schema, [ErrAuth]
// and [ErrUnreachable] as those of [Image.Push].
func PullSchema(ctx context.Context, reference string) ([]byte, error) {
	schema, err := pullSchema(ctx, reference)
	if err == nil {
		return schema, nil
	}
	if t, ok := errors.AsType[*transport.Error](err); ok && t.StatusCode == http.StatusNotFound {
		err = ErrNotFound // without what the registry says of it, mostly long
	}
	return nil, fmt.Errorf("schema of %s: %w", reference, explainPush(ctx, err))
}

func pullSchema(ctx context.Context, reference string) (schema []byte, err error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	desc, err := remote.Get(ref, options...)
	if err != nil {
		return nil, err
	}
	index, err := remote.Referrers(ref.Context().Digest(desc.Digest.String()), append(options, remote.WithFilter("artifactType", SchemaType))...)
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, m := range list.Manifests {
		if m.ArtifactType != SchemaType {
			continue
		}
		artifact, err := remote.Image(ref.Context().Digest(m.Digest.String()), options...)
		if err != nil {
			return nil, err
		}
		layers, err := artifact.Layers()
		if err != nil {
			return nil, err
		}
		if len(layers) != 1 {
			return nil, fmt.Errorf("its schema has %d layers, not one", len(layers))
		}
		content, err := layers[0].Compressed()
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, content.Close()) }() // it verifies the digest
		schema, err := io.ReadAll(io.LimitReader(content, maxSchema+1))
		if err == nil && len(schema) > maxSchema {
			err = fmt.Errorf("it has more than %d bytes: %w", maxSchema, ErrTooLarge)
		}
		return schema, err
	}
	return nil, fmt.Errorf("the image has none: %w", ErrNotFound)
}

// Schema compiles the .proto files of the source: those of its directory and of the
// folder proto in it, or where there are none there all below the directory. It is
// serialized, with comments. The error is [ErrNotFound] when there is no .proto file.
func (s *Source) Schema(ctx context.Context) ([]byte, error) {
	files, err := protoFiles(s.Dir)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		if files, err = protoFilesBelow(s.Dir); err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no .proto files: %w", s.Address, ErrNotFound)
	}
	return compileFiles(ctx, s.Dir, s.root, files)
}

// protoFilesBelow returns all .proto files below a directory, relative to it and in
// order, but for those of other people's code and hidden ones.
func protoFilesBelow(dir string) ([]string, error) {
	var files []string
	ignore := NewIgnore(dir)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		switch hidden := strings.HasPrefix(e.Name(), "."); {
		case e.IsDir() && (hidden || e.Name() == "node_modules" || e.Name() == "vendor" || ignore.Match(filepath.ToSlash(rel), true)):
			return fs.SkipDir
		case hidden || !e.Type().IsRegular() || !strings.HasSuffix(path, ".proto") || ignore.Match(filepath.ToSlash(rel), false):
			return nil
		}
		files = append(files, rel)
		if len(files) > maxProtoFiles {
			return fmt.Errorf("more than %d .proto files", maxProtoFiles)
		}
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotFound
	}
	slices.Sort(files)
	return files, err
}
