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
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/micro/micro/v3/image/layout"
)

// What is attached to an image; see package layout.
const (
	SchemaType = layout.SchemaType
	SBOMType   = layout.SBOMType
	RecordType = layout.RecordType
)

// Labels that the OCI image specification has names for.
const (
	titleLabel    = "org.opencontainers.image.title"
	sourceLabel   = "org.opencontainers.image.source"
	revisionLabel = "org.opencontainers.image.revision"
	versionLabel  = "org.opencontainers.image.version"
)

// Image is an image that was made, for one platform or for several, with what is
// attached to it. It holds the programs open until it is closed. Its methods may
// be called by one goroutine at a time.
type Image struct {
	name   string
	schema []byte
	// root is what the digest names: the image, or an index of several.
	root     *manifest
	parts    []part
	attached []*manifest // refer to the root or to a part
	seeded   *seeded     // how it was built; nil: as always
	close    func() error
}

// part is the image for one platform.
type part struct {
	*manifest
	platform v1.Platform
	contents contents
}

// manifest is a manifest with all that it names, but for other manifests.
type manifest struct {
	descriptor v1.Descriptor
	data       []byte
	config     *blob // nil: it is an index
	layers     []*blob
}

// Platform is an image for one platform.
type Platform struct {
	Platform string // such as "linux/amd64"
	Digest   string // "sha256:HEX"
	Size     int64  // bytes, without what is attached
}

// Name returns the name of the service.
func (i *Image) Name() string { return i.name }

// Digest returns the digest of the image, or of the index when there are several
// platforms, as "sha256:HEX".
func (i *Image) Digest() string { return i.root.descriptor.Digest.String() }

// Platforms returns the images for the platforms, in the order that was asked for.
func (i *Image) Platforms() []Platform {
	list := make([]Platform, len(i.parts))
	for n, p := range i.parts {
		list[n] = Platform{p.platform.String(), p.descriptor.Digest.String(), p.size()}
	}
	return list
}

// Schema returns the serialized FileDescriptorSet of the service's API, or
// nothing when there are no .proto files or they do not compile. The caller
// leaves it as it is.
func (i *Image) Schema() []byte { return i.schema }

// Size returns how many bytes the image has with all that is attached. What it
// has more than once counts once.
func (i *Image) Size() int64 {
	var size int64
	seen := map[v1.Hash]bool{}
	for _, m := range i.manifests() {
		size += m.descriptor.Size
		for _, b := range m.blobs() {
			if !seen[b.digest] {
				seen[b.digest] = true
				size += b.length()
			}
		}
	}
	return size
}

// Close releases the programs. The image cannot be used any more.
func (i *Image) Close() error { return i.close() }

// manifests returns all manifests in the order to store them in: what is attached,
// the images, and the root last. When that is there, all is.
func (i *Image) manifests() []*manifest {
	all := slices.Clone(i.attached)
	for _, p := range i.parts {
		if p.manifest != i.root {
			all = append(all, p.manifest)
		}
	}
	return append(all, i.root)
}

// blobs returns the configuration, if there is one, and the layers.
func (m *manifest) blobs() []*blob {
	if m.config == nil {
		return nil
	}
	return append([]*blob{m.config}, m.layers...)
}

func (m *manifest) size() int64 {
	size := m.descriptor.Size
	for _, b := range m.blobs() {
		size += b.length()
	}
	return size
}

// combine makes one image of those for several platforms, and attaches to each and
// to the whole what is known of it.
func combine(name string, labels map[string]string, schema []byte, parts []part) (*Image, error) {
	i := &Image{name: name, schema: schema, root: parts[0].manifest, parts: parts}
	if len(parts) > 1 {
		root, err := newIndex(labels, parts)
		if err != nil {
			return nil, err
		}
		i.root = root
		if err := i.attach(root, parts); err != nil {
			return nil, err
		}
	}
	for _, p := range parts {
		if err := i.attach(p.manifest, []part{p}); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// attach attaches what is known of a manifest that is made of some parts.
func (i *Image) attach(to *manifest, parts []part) error {
	sbom, err := i.spdx(to, parts)
	if err != nil {
		return err
	}
	content := []artifact{{SchemaType, i.schema}, {SBOMType, sbom}}
	if len(parts) == 1 {
		record, err := parts[0].contents.record.about(i.name, to)
		if err != nil {
			return err
		}
		content = append(content, artifact{RecordType, record})
	}
	for _, a := range content {
		if len(a.content) == 0 {
			continue
		}
		m, err := a.manifest(to)
		if err != nil {
			return err
		}
		i.attached = append(i.attached, m)
	}
	return nil
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

// artifact is something that is attached to an image.
type artifact struct {
	kind    string // its type, and the media type of its one layer
	content []byte
}

// manifest returns a manifest that refers to an image.
func (a artifact) manifest(image *manifest) (*manifest, error) {
	layer, err := newBlob(blob{mediaType: types.MediaType(a.kind), head: a.content})
	if err != nil {
		return nil, err
	}
	subject := image.descriptor
	return newManifest(v1.Manifest{ArtifactType: a.kind, Subject: &subject}, types.OCIEmptyJSON, []byte("{}"), layer)
}

// newIndex returns an index of images.
func newIndex(labels map[string]string, parts []part) (*manifest, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: labels}
	for _, p := range parts {
		d := p.descriptor
		d.Platform = &p.platform
		index.Manifests = append(index.Manifests, d)
	}
	data, err := json.Marshal(index)
	if err != nil {
		return nil, err
	}
	return &manifest{descriptor: describe(index.MediaType, data), data: data}, nil
}

func describe(t types.MediaType, data []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: t, Digest: layout.Digest(data), Size: int64(len(data))}
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
	return &manifest{descriptor: describe(m.MediaType, data), data: data, config: c, layers: layers}, nil
}

// WriteLayout writes the image with all that is attached into a directory with
// the form of the OCI image layout, under a tag unless that is empty. The
// directory is made when it is not there, and may have other images.
func (i *Image) WriteLayout(ctx context.Context, dir, tag string) error {
	l := layout.New(dir, "")
	for _, m := range i.manifests() {
		for _, b := range m.blobs() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.AddBlob(b.digest, b.open()); err != nil {
				return fmt.Errorf("write image to %s: %w", dir, err)
			}
		}
		name := ""
		if m == i.root {
			name = tag
		}
		if _, err := l.PutManifest(m.data, m.descriptor.MediaType, name); err != nil {
			return fmt.Errorf("write image to %s: %w", dir, err)
		}
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
