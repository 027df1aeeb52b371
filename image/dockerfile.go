package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// buildDockerfile lets a container engine build the image of a source.
func buildDockerfile(ctx context.Context, s *Source, platforms []v1.Platform, o BuildOptions) (_ *Image, err error) {
	b, err := newBuilder(s, o)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.Dir, filepath.FromSlash(o.Dockerfile))
	if filepath.IsAbs(o.Dockerfile) && !s.remote() {
		file = o.Dockerfile
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() || s.remote() && !within(s.root, file) {
		return nil, fmt.Errorf("%s in %s: %w", o.Dockerfile, b.place(), ErrNotFound)
	}
	engine, err := FindEngine(ctx)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(o.TempDir, "micro-image-*")
	if err != nil {
		return nil, err
	}
	var archives []*os.File
	closeAll := func() error {
		var err error
		for _, f := range archives {
			err = errors.Join(err, f.Close())
		}
		return errors.Join(err, os.RemoveAll(work))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll())
		}
	}()
	var parts []part
	for n, p := range platforms {
		b.platform = p
		b.report(Event{Stage: Building, Message: b.subject()})
		archive, err := b.byEngine(ctx, engine, file, filepath.Join(work, strconv.Itoa(n)))
		if err != nil {
			return nil, err
		}
		archives = append(archives, archive)
		made, err := readArchive(archive, b.labels())
		if err != nil {
			return nil, fmt.Errorf("image of %s: %w", engine.Name(), err)
		}
		if made.platform.OS != p.OS || made.platform.Architecture != p.Architecture {
			return nil, fmt.Errorf("%s has made an image for %s, and %s is wanted: %w", engine.Name(), made.platform.String(), p.String(), ErrEngine)
		}
		made.platform = p
		parts = append(parts, made)
	}
	i, err := combine(b.name, b.labels(), compileSchema(ctx, s.Dir, s.root, b.report), parts)
	if err != nil {
		return nil, err
	}
	i.close = closeAll
	return i, nil
}

// byEngine builds for one platform and returns an archive of the image, in the form
// that both engines write. Its layers are not compressed.
func (b *builder) byEngine(ctx context.Context, e *Engine, file, to string) (*os.File, error) {
	id := to + ".id"
	args := []string{"build", "--file", file, "--iidfile", id, "--platform", b.platform.String()}
	for name, value := range b.labels() {
		args = append(args, "--label", name+"="+value)
	}
	if e.name == "podman" {
		args = append(args, "--timestamp", strconv.FormatInt(b.created.Unix(), 10))
	}
	err := e.run(ctx, nil, func(line string) { b.report(Event{Stage: Building, Message: line}) }, append(args, b.source.Dir)...)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %s does not say what it has built: %w", ErrEngine, e.name, err)
	}
	b.report(Event{Stage: Packaging, Message: b.subject()})
	if err := e.run(ctx, nil, nil, "save", "--output", to+".tar", strings.TrimSpace(string(text))); err != nil {
		return nil, err
	}
	return os.Open(to + ".tar")
}

// Limits of what is read into memory of an engine's archive.
const (
	maxArchived = 16 << 20
	maxEntries  = 10_000
)

// readArchive returns the first image of an archive in Docker's form. Its layers are
// read where they lie.
func readArchive(f *os.File, labels map[string]string) (part, error) {
	places, err := entries(f)
	if err != nil {
		return part{}, err
	}
	var list []dockerImage
	data, err := places.content("manifest.json")
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err == nil && len(list) == 0 {
		err = errors.New("there is no image in it")
	}
	if err != nil {
		return part{}, err
	}
	configData, err := places.content(list[0].Config)
	if err != nil {
		return part{}, err
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(configData, &config); err != nil {
		return part{}, err
	}
	if len(config.RootFS.DiffIDs) != len(list[0].Layers) {
		return part{}, fmt.Errorf("%d layers, and digests of %d", len(list[0].Layers), len(config.RootFS.DiffIDs))
	}
	var layers []*blob
	for n, name := range list[0].Layers {
		place, ok := places.at[name]
		if !ok {
			return part{}, fmt.Errorf("layer %q: %w", name, ErrNotFound)
		}
		layer, err := newBlob(blob{
			mediaType: types.OCIUncompressedLayer,
			file:      io.NewSectionReader(f, place.offset, place.size), fileSize: place.size,
		})
		if err != nil {
			return part{}, err
		}
		if layer.digest != config.RootFS.DiffIDs[n] {
			return part{}, fmt.Errorf("layer %q has another digest than it should", name)
		}
		layers = append(layers, layer)
	}
	m, err := newManifest(v1.Manifest{Annotations: labels}, types.OCIConfigJSON, configData, layers...)
	if err != nil {
		return part{}, err
	}
	return part{manifest: m, platform: v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}}, nil
}

// archived says where the files of an archive lie in it.
type archived struct {
	file *os.File
	at   map[string]section
}

type section struct{ offset, size int64 }

// entries finds the files of an archive. A link to a file is that file.
func entries(f *os.File) (archived, error) {
	a := archived{file: f, at: map[string]section{}}
	r := tar.NewReader(f)
	for range maxEntries {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return a, err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			// The reader has read the header and nothing else of the file.
			offset, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return a, err
			}
			a.at[h.Name] = section{offset, h.Size}
		case tar.TypeSymlink, tar.TypeLink:
			name := h.Linkname
			if h.Typeflag == tar.TypeSymlink {
				name = filepath.ToSlash(filepath.Join(filepath.Dir(h.Name), h.Linkname))
			}
			if place, ok := a.at[name]; ok {
				a.at[h.Name] = place
			}
		}
	}
	return a, fmt.Errorf("more than %d files: %w", maxEntries, ErrTooLarge)
}

func (a archived) content(name string) ([]byte, error) {
	place, ok := a.at[name]
	if !ok {
		return nil, fmt.Errorf("%q: %w", name, ErrNotFound)
	}
	if place.size > maxArchived {
		return nil, fmt.Errorf("%q: %w", name, ErrTooLarge)
	}
	data := make([]byte, place.size)
	_, err := a.file.ReadAt(data, place.offset)
	return data, err
}
