package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// tagAnnotation names a tag in an entry of index.json, as the specification of
// the layout says.
const tagAnnotation = "org.opencontainers.image.ref.name"

// index returns index.json, an empty one when there is none.
func (l *Layout) index() (*v1.IndexManifest, error) {
	data, err := os.ReadFile(filepath.Join(l.dir, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return &v1.IndexManifest{}, nil
	}
	if err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(l.dir, "index.json"), err)
	}
	return &index, nil
}

func (l *Layout) replaceIndex(manifests []v1.Descriptor) error {
	data, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: manifests})
	if err != nil {
		return err
	}
	return l.replace("index.json", data)
}

// enter returns the entries of an index after a manifest was put, and whether
// they differ. Each tag is in one entry; a manifest without a tag has one entry.
func enter(entries []v1.Descriptor, desc v1.Descriptor, tag string) ([]v1.Descriptor, bool) {
	at := func(match func(v1.Descriptor) bool) int { return slices.IndexFunc(entries, match) }
	if tag == "" {
		if at(func(e v1.Descriptor) bool { return e.Digest == desc.Digest }) >= 0 {
			return entries, false
		}
		return append(entries, desc), true
	}
	tagged := func(e v1.Descriptor) bool { return e.Annotations[tagAnnotation] == tag }
	if i := at(tagged); i >= 0 {
		if entries[i].Digest == desc.Digest {
			return entries, false
		}
		entries = untag(entries, tag)
	}
	entries = slices.DeleteFunc(entries, func(e v1.Descriptor) bool {
		return e.Digest == desc.Digest && e.Annotations[tagAnnotation] == ""
	})
	desc.Annotations = map[string]string{tagAnnotation: tag}
	return append(entries, desc), true
}

// untag takes a tag away. What it named stays, without a tag when it had no
// other.
func untag(entries []v1.Descriptor, tag string) []v1.Descriptor {
	i := slices.IndexFunc(entries, func(e v1.Descriptor) bool { return e.Annotations[tagAnnotation] == tag })
	if i < 0 {
		return entries
	}
	e := entries[i]
	entries = slices.Delete(entries, i, i+1)
	if slices.ContainsFunc(entries, func(o v1.Descriptor) bool { return o.Digest == e.Digest }) {
		return entries
	}
	e.Annotations = nil
	return append(entries, e)
}

// Tags returns the tags in the order of their bytes, or [ErrNotFound] when
// nothing was ever put into the layout.
func (l *Layout) Tags() ([]string, error) {
	if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("layout %s: %w", filepath.Base(l.dir), ErrNotFound)
	}
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	tags := []string{}
	for _, e := range index.Manifests {
		if tag := e.Annotations[tagAnnotation]; tag != "" {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return tags, nil
}

// DeleteTag takes a tag away, or returns [ErrNotFound]. The manifest stays.
func (l *Layout) DeleteTag(tag string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, err := l.index()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(index.Manifests, func(e v1.Descriptor) bool { return e.Annotations[tagAnnotation] == tag }) {
		return fmt.Errorf("tag %s: %w", tag, ErrNotFound)
	}
	return l.replaceIndex(untag(index.Manifests, tag))
}
