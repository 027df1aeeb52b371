package registry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/micro/micro/v3/backend/store"
)

// maxSchema bounds a schema before compression.
const maxSchema = 16 << 20

func schemaKey(ns, digest string) string { return ns + "/registry/schema/" + digest }

// PutSchema stores a serialized google.protobuf.FileDescriptorSet and returns its
// digest. It stays until [Registry.CollectSchemas] finds that no instance speaks it.
func (r *Registry) PutSchema(ctx context.Context, ns string, files []byte) (string, error) {
	if len(files) > maxSchema {
		return "", invalid("a schema of %d bytes; at most %d are taken", len(files), maxSchema)
	}
	digest := digestOf(files)
	key := schemaKey(ns, digest)
	// One that no instance speaks is written again: it may be about to be collected.
	if d, err := r.Directory(ctx, ns); err != nil {
		return "", err
	} else if d.speaks(digest) {
		if _, err := r.store.Get(ctx, key); err == nil {
			return digest, nil
		} else if !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(files); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	if b.Len() > store.MaxValue {
		return "", invalid("a schema of %d bytes after compression; at most %d are taken", b.Len(), store.MaxValue)
	}
	if _, err := r.store.Txn(ctx, store.Txn{Do: []store.Op{store.Put(key, b.Bytes())}}); err != nil {
		return "", err
	}
	return digest, nil
}

// Schema returns the schema with a digest.
func (r *Registry) Schema(ctx context.Context, ns, digest string) ([]byte, error) {
	rec, err := r.store.Get(ctx, schemaKey(ns, digest))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(rec.Value))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rec.Key, err)
	}
	files, err := io.ReadAll(io.LimitReader(z, maxSchema+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rec.Key, err)
	}
	if len(files) > maxSchema {
		return nil, fmt.Errorf("%s: more than %d bytes", rec.Key, maxSchema)
	}
	if is := digestOf(files); is != digest {
		return nil, fmt.Errorf("%s: holds %s", rec.Key, is)
	}
	return files, nil
}

func digestOf(files []byte) string {
	sum := sha256.Sum256(files)
	return "sha256:" + hex.EncodeToString(sum[:])
}
