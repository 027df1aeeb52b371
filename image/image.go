// Package image makes images of services.
//
//	Fetch    a directory or a git address   →  Source
//	Build    Source                         →  Image, by the user's own go command
//	Push     Image                          →  any registry; only what is missing there
//	WriteLayout                             →  a directory that other tools read
//
// No container engine takes part. An image is two layers, one with what a Go
// program expects of a system and one with the program, and what is attached to
// it: the schema of the service's API. It is the same for the same source, byte
// for byte, wherever and whenever it is built.
package image

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/micro/micro/v3/image/layout"
)

// SchemaType is [layout.SchemaType].
const SchemaType = layout.SchemaType

// Labels that the OCI image specification has names for.
const (
	titleLabel    = "org.opencontainers.image.title"
	sourceLabel   = "org.opencontainers.image.source"
	revisionLabel = "org.opencontainers.image.revision"
	versionLabel  = "org.opencontainers.image.version"
)

// Image is an image that was built, with what is attached to it. It holds the
// program open until it is closed. Its methods may be called by one goroutine at
// a time.
type Image struct {
	name     string
	platform v1.Platform
	schema   []byte
	image    *manifest
	attached []*manifest // refer to image
	close    func() error
}

// manifest is a manifest with all that it names.
type manifest struct {
	descriptor v1.Descriptor
	data       []byte
	config     *blob
	layers     []*blob
}

// Name returns the name of the service.
func (i *Image) Name() string { return i.name }

// Digest returns the digest of the image as "sha256:HEX".
func (i *Image) Digest() string { return i.image.descriptor.Digest.String() }

// Platform returns the platform that the image is for, such as "linux/amd64".
func (i *Image) Platform() string { return i.platform.String() }

// Schema returns the serialized FileDescriptorSet of the service's API, or
// nothing when there are no .proto files or they do not compile. The caller
// leaves it as it is.
func (i *Image) Schema() []byte { return i.schema }

// Size returns how many bytes the image has with all that is attached.
func (i *Image) Size() int64 {
	var size int64
	for _, m := range i.manifests() {
		size += m.size()
	}
	return size
}

// Close releases the program. The image cannot be used any more.
func (i *Image) Close() error { return i.close() }

// manifests returns the image and what is attached, the image first.
func (i *Image) manifests() []*manifest {
	return append([]*manifest{i.image}, i.attached...)
}

func (m *manifest) size() int64 {
	size := m.descriptor.Size + m.config.length()
	for _, l := range m.layers {
		size += l.length()
	}
	return size
}

// assemble makes the image of the compiled program.
func (b *builder) assemble() (*Image, error) {
	b.report(Event{Stage: Packaging, Message: b.name})
	base, err := baseLayer(b.created)
	if err != nil {
		return nil, fmt.Errorf("base layer: %w", err)
	}
	file := b.name
	if b.platform.OS == "windows" {
		file += ".exe"
	}
	program, err := programLayer(file, b.program, b.created)
	if err != nil {
		return nil, fmt.Errorf("layer of %s: %w", b.name, err)
	}
	labels := b.labels()
	created := v1.Time{Time: b.created}
	config, err := json.Marshal(v1.ConfigFile{
		OS: b.platform.OS, Architecture: b.platform.Architecture, Variant: b.platform.Variant,
		Created: created,
		Config: v1.Config{
			Entrypoint: []string{path.Join("/app", file)},
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE=/" + certificatesFile},
			WorkingDir: "/",
			User:       nobody + ":" + nobody,
			Labels:     labels,
		},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{base.digest, program.digest}},
		History: []v1.History{
			{Created: created, CreatedBy: "micro", Comment: "certificates, nobody, /tmp"},
			{Created: created, CreatedBy: "micro", Comment: b.name},
		},
	})
	if err != nil {
		return nil, err
	}
	image, err := newManifest(v1.Manifest{Annotations: labels}, types.OCIConfigJSON, config, base, program)
	if err != nil {
		return nil, err
	}
	i := &Image{name: b.name, platform: b.platform, schema: b.schema, image: image, close: b.close}
	if len(b.schema) > 0 {
		schema, err := attach(image, SchemaType, b.schema)
		if err != nil {
			return nil, err
		}
		i.attached = append(i.attached, schema)
	}
	return i, nil
}

// labels returns what the image says of itself. Where a directory lies, and
// which commit it was checked out from, make no difference for what is in the
// image, so they are left out; the caller has them in the [Source].
func (b *builder) labels() map[string]string {
	labels := map[string]string{titleLabel: b.name}
	if !b.source.remote() {
		return labels
	}
	for name, value := range map[string]string{
		sourceLabel:   strings.TrimSuffix(b.source.Address+"//"+b.source.Folder, "//"),
		revisionLabel: b.source.Revision,
		versionLabel:  b.source.Ref,
	} {
		if value != "" {
			labels[name] = value
		}
	}
	return labels
}

// attach returns an artifact with one layer that refers to an image.
func attach(image *manifest, artifactType string, content []byte) (*manifest, error) {
	layer, err := newBlob(blob{mediaType: types.MediaType(artifactType), head: content})
	if err != nil {
		return nil, err
	}
	subject := image.descriptor
	return newManifest(v1.Manifest{ArtifactType: artifactType, Subject: &subject}, types.OCIEmptyJSON, []byte("{}"), layer)
}

// newManifest completes a manifest with a configuration and layers.
func newManifest(m v1.Manifest, configType types.MediaType, config []byte, layers ...*blob) (*manifest, error) {
	c, err := newBlob(blob{mediaType: configType, head: config})
	if err != nil {
		return nil, err
	}
	m.SchemaVersion, m.MediaType, m.Config = 2, types.OCIManifestSchema1, c.descriptor()
	for _, l := range layers {
		m.Layers = append(m.Layers, l.descriptor())
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	d := v1.Descriptor{MediaType: m.MediaType, Digest: layout.Digest(data), Size: int64(len(data))}
	return &manifest{descriptor: d, data: data, config: c, layers: layers}, nil
}

// WriteLayout writes the image with all that is attached into a directory with
// the form of the OCI image layout, under a tag unless that is empty. The
// directory is made when it is not there, and may have other images.
func (i *Image) WriteLayout(ctx context.Context, dir, tag string) error {
	l := layout.New(dir, "")
	for _, m := range i.manifests() {
		for _, b := range append([]*blob{m.config}, m.layers...) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.AddBlob(b.digest, b.open()); err != nil {
				return fmt.Errorf("write image to %s: %w", dir, err)
			}
		}
		if _, err := l.PutManifest(m.data, m.descriptor.MediaType, tag); err != nil {
			return fmt.Errorf("write image to %s: %w", dir, err)
		}
		tag = "" // what is attached has none
	}
	return nil
}

// The methods below make a manifest a [partial.CompressedImageCore].

var _ partial.CompressedImageCore = (*manifest)(nil)

// RawManifest returns the manifest as it is stored.
func (m *manifest) RawManifest() ([]byte, error) { return m.data, nil }

// RawConfigFile returns the configuration as it is stored.
func (m *manifest) RawConfigFile() ([]byte, error) { return m.config.head, nil }

// MediaType returns the type of the manifest.
func (m *manifest) MediaType() (types.MediaType, error) { return m.descriptor.MediaType, nil }

// LayerByDigest returns a layer.
func (m *manifest) LayerByDigest(d v1.Hash) (partial.CompressedLayer, error) {
	for _, l := range m.layers {
		if l.digest == d {
			return l, nil
		}
	}
	return nil, fmt.Errorf("layer %s: %w", d, ErrNotFound)
}
