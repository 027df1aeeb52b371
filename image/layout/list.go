package layout

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Listed is an image of a layout, as [Layout.List] tells of it.
type Listed struct {
	Digest       string
	Tags         []string // ordered
	ArtifactType string   // empty for an image
	Annotations  map[string]string
	Platforms    []ListedPlatform
	Stored       time.Time // when it was stored, or asked for by who has it too
	Attached     []string  // the types of what refers to it, in the order of their coming
}

// ListedPlatform is the image for one platform.
type ListedPlatform struct {
	Platform string // empty: the image does not say
	Digest   string
	Size     int64 // bytes of the manifest and what it is made of; 0: not here
}

// List returns the images, the newest first: all manifests but those that are part of
// another or refer to another.
func (l *Layout) List() ([]Listed, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	parts := map[v1.Hash]bool{}
	attached := map[v1.Hash][]string{}
	known := map[v1.Hash]*facts{}
	for _, e := range index.Manifests {
		if known[e.Digest] != nil {
			continue
		}
		k, err := l.known(e)
		if err != nil {
			return nil, err
		}
		known[e.Digest] = k
		for _, d := range k.children {
			parts[d] = true
		}
		if k.subject != (v1.Hash{}) {
			attached[k.subject] = append(attached[k.subject], k.descriptor.ArtifactType)
		}
	}
	var list []Listed
	at := map[v1.Hash]int{}
	for _, e := range index.Manifests {
		k := known[e.Digest]
		if parts[e.Digest] || k.subject != (v1.Hash{}) {
			continue
		}
		i, seen := at[e.Digest]
		if !seen {
			i = len(list)
			at[e.Digest] = i
			item, err := l.describe(k, known)
			if err != nil {
				return nil, err
			}
			item.Attached = attached[e.Digest]
			list = append(list, item)
		}
		if tag := e.Annotations[tagAnnotation]; tag != "" {
			list[i].Tags = append(list[i].Tags, tag)
			slices.Sort(list[i].Tags)
		}
	}
	slices.SortStableFunc(list, func(a, b Listed) int { return b.Stored.Compare(a.Stored) })
	return list, nil
}

// describe tells of an image.
func (l *Layout) describe(k *facts, known map[v1.Hash]*facts) (Listed, error) {
	item := Listed{Digest: k.descriptor.Digest.String(), Annotations: k.descriptor.Annotations}
	info, err := os.Stat(l.blobPath(k.descriptor.Digest))
	if err != nil {
		return item, err
	}
	item.Stored = info.ModTime()
	if !k.descriptor.MediaType.IsIndex() {
		platform, err := l.platform(k)
		if err != nil {
			return item, err
		}
		if platform == "" && k.descriptor.ArtifactType != "" {
			item.ArtifactType = k.descriptor.ArtifactType
		}
		item.Platforms = []ListedPlatform{{platform, item.Digest, l.sizeOf(k)}}
		return item, nil
	}
	_, data, err := l.Manifest(item.Digest)
	if err != nil {
		return item, err
	}
	doc, err := parse(data, k.descriptor.MediaType)
	if err != nil {
		return item, err
	}
	for _, m := range doc.Manifests {
		p := ListedPlatform{Digest: m.Digest.String()}
		if m.Platform != nil {
			p.Platform = m.Platform.String()
		}
		if child := known[m.Digest]; child != nil {
			p.Size = l.sizeOf(child)
		}
		item.Platforms = append(item.Platforms, p)
	}
	return item, nil
}

// platform returns what the configuration of an image says of its platform, empty when
// that is something else.
func (l *Layout) platform(k *facts) (string, error) {
	if len(k.blobs) == 0 {
		return "", nil
	}
	data, err := l.ReadBlob(k.blobs[0], maxConfig)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrTooLarge) {
		return "", err
	}
	var config v1.ConfigFile
	if json.Unmarshal(data, &config) != nil || config.OS == "" { // data is nil when it is not here
		return "", nil //nolint:nilerr // it does not say, and that is no error
	}
	return v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}.String(), nil
}

// sizeOf returns how many bytes a manifest has with its blobs.
func (l *Layout) sizeOf(k *facts) int64 {
	size := k.descriptor.Size
	for _, d := range k.blobs {
		if n, err := l.Size(d); err == nil {
			size += n
		}
	}
	return size
}

// Bytes returns how much all blobs take on the disk.
func (l *Layout) Bytes() (int64, error) {
	var total int64
	for _, algorithm := range []string{"sha256", "sha512"} {
		entries, err := os.ReadDir(l.blobs(algorithm))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
	}
	return total, nil
}

// Parts returns the manifests that an index is made of, none for others.
func (l *Layout) Parts(d v1.Hash) ([]v1.Hash, error) {
	desc, err := l.Resolve(d.String())
	if err != nil {
		return nil, err
	}
	k, err := l.known(desc)
	if err != nil {
		return nil, err
	}
	return k.children, nil
}
