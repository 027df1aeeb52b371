package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Annotations of an entry of index.json: by the first the specification of the layout
// names an image, by the second containerd does.
const (
	refAnnotation  = "org.opencontainers.image.ref.name"
	nameAnnotation = "io.containerd.image.name"
)

// WriteArchive writes the image as one tar file that every tool can load: an OCI image
// layout, and beside it the file by which Docker and Podman find the image of their own
// platform. They know it as REPOSITORY:TAG afterwards. What is attached is not in it:
// tools that load an archive take it for further images. The same image makes the same
// bytes.
func (i *Image) WriteArchive(ctx context.Context, w io.Writer, repository, tag string) error {
	a := &archiveWriter{tar: tar.NewWriter(w), blobs: map[v1.Hash]bool{}}
	for _, p := range i.parts {
		if err := a.manifest(ctx, p.manifest); err != nil {
			return fmt.Errorf("write %s as an archive: %w", i.name, err)
		}
	}
	if i.root != i.parts[0].manifest {
		a.blob(&blob{digest: i.root.descriptor.Digest, head: i.root.data})
	}
	entry := i.root.descriptor
	entry.Annotations = map[string]string{refAnnotation: tag, nameAnnotation: repository + ":" + tag}
	a.json("index.json", v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{entry}})
	a.json("oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"})
	a.json("manifest.json", []dockerImage{i.docker(repository, tag)})
	if err := errors.Join(a.err, a.tar.Close()); err != nil {
		return fmt.Errorf("write %s as an archive: %w", i.name, err)
	}
	return nil
}

// dockerImage is an entry of the manifest.json of Docker's archives.
type dockerImage struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// docker returns what an engine of this machine takes, or the first image where
// there is none for it.
func (i *Image) docker(repository, tag string) dockerImage {
	p := i.parts[0]
	for _, other := range i.parts {
		if other.platform.OS == "linux" && other.platform.Architecture == runtime.GOARCH {
			p = other
			break
		}
	}
	d := dockerImage{Config: blobName(p.config.digest), RepoTags: []string{repository + ":" + tag}}
	for _, l := range p.layers {
		d.Layers = append(d.Layers, blobName(l.digest))
	}
	return d
}

func blobName(d v1.Hash) string { return "blobs/" + d.Algorithm + "/" + d.Hex }

// archiveWriter writes files with contents of known length, each once. After the first
// error it writes nothing.
type archiveWriter struct {
	tar   *tar.Writer
	blobs map[v1.Hash]bool
	err   error
}

// manifest writes a manifest with its blobs.
func (a *archiveWriter) manifest(ctx context.Context, m *manifest) error {
	for _, b := range append(m.blobs(), &blob{digest: m.descriptor.Digest, head: m.data}) {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		a.blob(b)
	}
	return a.err
}

func (a *archiveWriter) blob(b *blob) {
	if !a.blobs[b.digest] {
		a.blobs[b.digest] = true
		a.file(blobName(b.digest), b.open(), b.length())
	}
}

func (a *archiveWriter) json(name string, v any) {
	data, err := json.Marshal(v)
	a.err = errors.Join(a.err, err)
	b := blob{head: data}
	a.file(name, b.open(), b.length())
}

func (a *archiveWriter) file(name string, content io.Reader, size int64) {
	if a.err != nil {
		return
	}
	a.err = a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, Format: tar.FormatPAX})
	if a.err == nil {
		_, a.err = io.Copy(a.tar, content)
	}
}
