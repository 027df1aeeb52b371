package layout

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Limits of an image that is read. They are far above what images have.
const (
	maxConfig = 4 << 20
	maxLayers = 512
)

// Image is a program with its files.
type Image struct {
	Digest       string // of the manifest for the platform
	OS           string
	Architecture string
	Variant      string
	Entrypoint   []string
	Cmd          []string
	Env          []string // NAME=value
	WorkingDir   string
	User         string
	Labels       map[string]string
	Layers       []Layer // the lowest first
}

// Layer is a part of an image's files.
type Layer struct {
	DiffID string // the digest of the uncompressed content
	Size   int64  // as it is stored

	// Open returns the layer as an uncompressed tar stream; the caller closes
	// it. Reading ends with [ErrTooLarge] after the limit that the image was
	// asked for with, and with [ErrDigest] instead of [io.EOF] when the content
	// does not have the digest DiffID: what was made of it is to be thrown away
	// unless it was read to its end.
	Open func() (io.ReadCloser, error)
}

// Image returns the image that a tag or a digest names. When that is an index,
// the image for a platform such as "linux/arm64" is taken from it; with an empty
// platform it must have one image only. The error is [ErrNotFound] or
// [ErrPlatform]. No layer gives more than limit bytes.
func (l *Layout) Image(ref, platform string, limit int64) (*Image, error) {
	desc, data, err := l.Manifest(ref)
	if err != nil {
		return nil, err
	}
	for depth := 0; desc.MediaType.IsIndex(); depth++ {
		if depth == 3 {
			return nil, fmt.Errorf("image %s: %w: an index in an index in an index", ref, ErrInvalid)
		}
		doc, err := parse(data, desc.MediaType)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", ref, err)
		}
		child, err := choose(doc.Manifests, platform)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", ref, err)
		}
		if desc, data, err = l.Manifest(child.Digest.String()); err != nil {
			return nil, fmt.Errorf("image %s: %w", ref, err)
		}
	}
	doc, err := parse(data, desc.MediaType)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref, err)
	}
	image, err := l.read(doc, limit)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref, err)
	}
	image.Digest = desc.Digest.String()
	return image, nil
}

func (l *Layout) read(doc *document, limit int64) (*Image, error) {
	if !doc.Config.MediaType.IsConfig() {
		return nil, fmt.Errorf("%w: a %q is no image", ErrInvalid, doc.Config.MediaType)
	}
	data, err := l.ReadBlob(doc.Config.Digest, maxConfig)
	if err != nil {
		return nil, err
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("%w: configuration: %w", ErrInvalid, err)
	}
	if n := len(doc.Layers); n != len(config.RootFS.DiffIDs) || n > maxLayers {
		return nil, fmt.Errorf("%w: %d layers and %d digests of them, at most %d", ErrInvalid, n, len(config.RootFS.DiffIDs), maxLayers)
	}
	image := &Image{
		OS: config.OS, Architecture: config.Architecture, Variant: config.Variant,
		Entrypoint: config.Config.Entrypoint, Cmd: config.Config.Cmd, Env: config.Config.Env,
		WorkingDir: config.Config.WorkingDir, User: config.Config.User, Labels: config.Config.Labels,
	}
	for i, layer := range doc.Layers {
		diffID := config.RootFS.DiffIDs[i]
		if _, ok := compressionOf(layer.MediaType); !ok || !supported(diffID) {
			return nil, fmt.Errorf("%w: layers of the type %q with a %s digest are not supported", ErrInvalid, layer.MediaType, diffID.Algorithm)
		}
		if _, err := l.Size(layer.Digest); err != nil {
			return nil, err
		}
		image.Layers = append(image.Layers, Layer{
			DiffID: diffID.String(),
			Size:   layer.Size,
			Open:   func() (io.ReadCloser, error) { return l.openLayer(layer, diffID, limit) },
		})
	}
	return image, nil
}

// choose returns the manifest of an index for a platform.
func choose(manifests []v1.Descriptor, platform string) (v1.Descriptor, error) {
	images := slices.DeleteFunc(slices.Clone(manifests), func(d v1.Descriptor) bool {
		// Builders keep what they know of an image beside it as an image for
		// no platform.
		return d.Platform != nil && d.Platform.OS == "unknown"
	})
	if platform == "" {
		if len(images) == 1 {
			return images[0], nil
		}
		return v1.Descriptor{}, fmt.Errorf("%w: say which: %s", ErrPlatform, platforms(images))
	}
	want, err := v1.ParsePlatform(platform)
	if err != nil {
		return v1.Descriptor{}, err
	}
	for _, d := range images {
		if d.Platform == nil || d.Platform.OS != want.OS || d.Platform.Architecture != want.Architecture {
			continue
		}
		if want.Variant == "" || variant(*want) == variant(*d.Platform) {
			return d, nil
		}
	}
	return v1.Descriptor{}, fmt.Errorf("%w %s: there are %s", ErrPlatform, platform, platforms(images))
}

// variant returns a platform's variant, one name for those that have two.
func variant(p v1.Platform) string {
	switch p.Architecture + "/" + p.Variant {
	case "arm64/v8", "amd64/v1":
		return ""
	case "arm/":
		return "v7"
	default:
		return p.Variant
	}
}

func platforms(manifests []v1.Descriptor) string {
	var names []string
	for _, d := range manifests {
		if d.Platform != nil {
			names = append(names, d.Platform.String())
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
