package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// MaxManifest is the length in bytes of the longest manifest.
const MaxManifest = 4 << 20

// document is what matters here of the two kinds of manifests.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// facts are what the layout remembers of a manifest.
type facts struct {
	descriptor v1.Descriptor // as the list of referrers shows it
	subject    v1.Hash       // the manifest that this one refers to, if any
	blobs      []v1.Hash     // configuration and layers
	children   []v1.Hash     // the manifests of an index
}

// known returns the facts of a manifest of the index.
func (l *Layout) known(m v1.Descriptor) (*facts, error) {
	if k, ok := l.facts.Load(m.Digest); ok {
		return k.(*facts), nil
	}
	data, err := l.ReadBlob(m.Digest, MaxManifest)
	if err != nil {
		return nil, err
	}
	doc, err := parse(data, m.MediaType)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", m.Digest, err)
	}
	return l.learn(m.Digest, doc, int64(len(data))), nil
}

func (l *Layout) learn(d v1.Hash, doc *document, size int64) *facts {
	k := &facts{descriptor: v1.Descriptor{
		MediaType: doc.MediaType, Digest: d, Size: size,
		ArtifactType: doc.ArtifactType, Annotations: doc.Annotations,
	}}
	if doc.Config != nil {
		k.blobs = append(k.blobs, doc.Config.Digest)
		if k.descriptor.ArtifactType == "" {
			k.descriptor.ArtifactType = string(doc.Config.MediaType)
		}
	}
	for _, layer := range doc.Layers {
		k.blobs = append(k.blobs, layer.Digest)
	}
	for _, child := range doc.Manifests {
		k.children = append(k.children, child.Digest)
	}
	if doc.Subject != nil {
		k.subject = doc.Subject.Digest
	}
	l.facts.Store(d, k)
	return k
}

// parse reads a manifest of a media type. The error is [ErrInvalid].
func parse(data []byte, mediaType types.MediaType) (*document, error) {
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if doc.MediaType == "" {
		doc.MediaType = mediaType
	}
	switch {
	case doc.MediaType != mediaType:
		return nil, fmt.Errorf("%w: it says that it is %q and comes as %q", ErrInvalid, doc.MediaType, mediaType)
	case doc.SchemaVersion != 2:
		return nil, fmt.Errorf("%w: schema version %d, only 2 is supported", ErrInvalid, doc.SchemaVersion)
	case mediaType.IsIndex():
		if doc.Config != nil || doc.Layers != nil {
			return nil, fmt.Errorf("%w: an index with layers", ErrInvalid)
		}
	case mediaType.IsImage():
		if doc.Config == nil || doc.Manifests != nil {
			return nil, fmt.Errorf("%w: an image without a configuration or with manifests", ErrInvalid)
		}
	default:
		return nil, fmt.Errorf("%w: media type %q is not supported", ErrInvalid, mediaType)
	}
	for _, d := range doc.all() {
		if !supported(d.Digest) || d.Size < 0 {
			return nil, fmt.Errorf("%w: a descriptor without a digest or a size", ErrInvalid)
		}
	}
	return &doc, nil
}

// all returns every descriptor of the document.
func (doc *document) all() []v1.Descriptor {
	all := slices.Concat(doc.Layers, doc.Manifests)
	if doc.Config != nil {
		all = append(all, *doc.Config)
	}
	if doc.Subject != nil {
		all = append(all, *doc.Subject)
	}
	return all
}

// PutManifest stores a manifest. When ref is a tag, it names the manifest from
// then on; when it is a digest, the manifest must have it, or the error is
// [ErrDigest]; it can be empty. The layers and the configuration of an image
// must be there, else the error is [ErrUnknownBlob]; the manifests of an index
// and the subject need not be. What is no manifest, or not of this media type,
// is [ErrInvalid].
func (l *Layout) PutManifest(data []byte, mediaType types.MediaType, ref string) (v1.Descriptor, error) {
	if len(data) > MaxManifest {
		return v1.Descriptor{}, fmt.Errorf("a manifest of %d bytes, at most %d are stored: %w", len(data), MaxManifest, ErrTooLarge)
	}
	digest, tag := Digest(data), ref
	if d, err := ParseDigest(ref); err == nil {
		if !Is(d, data) {
			return v1.Descriptor{}, ErrDigest
		}
		digest, tag = d, ""
	}
	doc, err := parse(data, mediaType)
	if err != nil {
		return v1.Descriptor{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.haveAll(doc); err != nil {
		return v1.Descriptor{}, err
	}
	desc := v1.Descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(data)), ArtifactType: doc.ArtifactType}
	if err := l.AddBlob(desc.Digest, bytes.NewReader(data)); err != nil {
		return v1.Descriptor{}, err
	}
	index, err := l.index()
	if err != nil {
		return v1.Descriptor{}, err
	}
	if manifests, changed := enter(index.Manifests, desc, tag); changed {
		if err := l.replaceIndex(manifests); err != nil {
			return v1.Descriptor{}, err
		}
	}
	l.learn(desc.Digest, doc, desc.Size)
	return desc, nil
}

// haveAll checks that what an image is made of is there.
func (l *Layout) haveAll(doc *document) error {
	needed := doc.Layers
	if doc.Config != nil {
		needed = append([]v1.Descriptor{*doc.Config}, needed...)
	}
	for _, d := range needed {
		if !d.MediaType.IsDistributable() {
			continue // kept elsewhere by its licence
		}
		size, err := l.Size(d.Digest)
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("%w: %s", ErrUnknownBlob, d.Digest)
		}
		if err != nil {
			return err
		}
		if size != d.Size {
			return fmt.Errorf("%w: blob %s has %d bytes, not %d", ErrInvalid, d.Digest, size, d.Size)
		}
	}
	return nil
}

// Manifest returns a manifest by its tag or its digest, after it has checked
// the content. The error is [ErrNotFound] when there is none.
func (l *Layout) Manifest(ref string) (v1.Descriptor, []byte, error) {
	desc, err := l.Resolve(ref)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	data, err := l.ReadBlob(desc.Digest, MaxManifest)
	return desc, data, err
}

// Resolve returns what a tag or a digest names, or [ErrNotFound]. Only
// manifests are found, not other blobs.
func (l *Layout) Resolve(ref string) (v1.Descriptor, error) {
	index, err := l.index()
	if err != nil {
		return v1.Descriptor{}, err
	}
	d, err := ParseDigest(ref)
	named := func(e v1.Descriptor) bool { return e.Digest == d }
	if err != nil {
		named = func(e v1.Descriptor) bool { return e.Annotations[tagAnnotation] == ref }
	}
	if i := slices.IndexFunc(index.Manifests, named); i >= 0 {
		e := index.Manifests[i]
		return v1.Descriptor{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size, ArtifactType: e.ArtifactType}, nil
	}
	return v1.Descriptor{}, fmt.Errorf("manifest %s: %w", ref, ErrNotFound)
}

// Referrers returns the manifests whose subject is d, the oldest first, and of
// an artifact type only, unless that is empty. None is no error.
func (l *Layout) Referrers(d v1.Hash, artifactType string) ([]v1.Descriptor, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	found := []v1.Descriptor{}
	for _, e := range index.Manifests {
		k, err := l.known(e)
		if err != nil {
			return nil, err
		}
		if k.subject != d || artifactType != "" && k.descriptor.ArtifactType != artifactType {
			continue
		}
		if !slices.ContainsFunc(found, func(o v1.Descriptor) bool { return o.Digest == e.Digest }) {
			found = append(found, k.descriptor)
		}
	}
	return found, nil
}

// Attachment returns the content of the newest artifact of a type that refers to
// the manifest that a tag or a digest names: its first layer, of at most limit
// bytes. The error is [ErrNotFound] when there is none.
func (l *Layout) Attachment(ref, artifactType string, limit int64) ([]byte, error) {
	desc, err := l.Resolve(ref)
	if err != nil {
		return nil, err
	}
	referrers, err := l.Referrers(desc.Digest, artifactType)
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Backward(referrers) {
		_, data, err := l.Manifest(r.Digest.String())
		if err != nil {
			return nil, err
		}
		doc, err := parse(data, r.MediaType)
		if err != nil {
			return nil, err
		}
		if len(doc.Layers) > 0 {
			return l.ReadBlob(doc.Layers[0].Digest, limit)
		}
	}
	return nil, fmt.Errorf("%s of %s: %w", artifactType, desc.Digest, ErrNotFound)
}

// DeleteManifest removes a manifest with its tags, or returns [ErrNotFound].
// Its layers stay until [Layout.Sweep].
func (l *Layout) DeleteManifest(d v1.Hash) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, err := l.index()
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(index.Manifests), func(e v1.Descriptor) bool { return e.Digest == d })
	if len(kept) == len(index.Manifests) {
		return fmt.Errorf("manifest %s: %w", d, ErrNotFound)
	}
	if err := l.replaceIndex(kept); err != nil {
		return err
	}
	if err := l.removeBlob(d); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// needs reports whether the manifest is made of a blob.
func (k *facts) needs(d v1.Hash) bool {
	return slices.Contains(k.blobs, d) || slices.Contains(k.children, d)
}
