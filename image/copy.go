package image

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// ErrPlatform is returned for an image that there is not for a platform.
var ErrPlatform = errors.New("no image for the platform")

// maxReferrers is how many things that refer to an image are copied with it.
const maxReferrers = 100

// CopyOptions say which image is copied.
type CopyOptions struct {
	Reference string // HOST/REPOSITORY[:TAG][@DIGEST]
	// Platforms are those to copy an image for. For one, an index is left behind and
	// its image taken; for several it is taken whole, and must have them. None: all.
	Platforms []string

	PlainHTTP bool        // without TLS
	TLS       *tls.Config // nil: the system's certificates
	// Token is as that of [PushOptions].
	Token func(ctx context.Context) (string, error)
}

// Found is an image in a registry.
type Found struct {
	Digest     string // of what [Copy] would copy
	Repository string // with the registry
	Tag        string // that it was asked for with; empty: none
}

// Find finds an image in a registry, as [Copy] does, and copies nothing.
func Find(ctx context.Context, from CopyOptions) (Found, error) {
	s, err := findSource(ctx, from)
	if err != nil {
		return Found{}, fmt.Errorf("image %s: %w", from.Reference, explainPush(ctx, err))
	}
	defer s.close()
	return Found{Digest: s.digest.String(), Repository: s.ref.Context().Name(), Tag: s.tag()}, nil
}

// found is an image in a registry, with the way to it.
type found struct {
	*connected
	ref    name.Reference
	image  remote.Taggable
	digest v1.Hash
	size   int64
}

func (f *found) tag() string {
	if tag, ok := f.ref.(name.Tag); ok {
		return tag.TagStr()
	}
	return ""
}

// findSource finds what is to be copied. The caller closes it.
func findSource(ctx context.Context, from CopyOptions) (*found, error) {
	ref, err := name.ParseReference(from.Reference)
	if err != nil {
		return nil, err
	}
	source, err := connectTo(ctx, ref.Context().Name(), access{from.PlainHTTP, from.TLS, from.Token})
	if err != nil {
		return nil, err
	}
	f := &found{connected: source, ref: ref}
	if err := f.get(from); err != nil {
		source.close()
		return nil, err
	}
	return f, nil
}

func (f *found) get(from CopyOptions) (err error) {
	if from.PlainHTTP { // the same, to be asked for in clear
		if f.ref, err = name.ParseReference(from.Reference, name.Insecure); err != nil {
			return err
		}
	}
	desc, err := remote.Get(f.ref, f.options...)
	if err != nil {
		return err
	}
	if f.image, err = choose(desc, from.Platforms); err != nil {
		return err
	}
	f.digest, f.size, err = measure(f.image)
	return err
}

// Copied is what was copied.
type Copied struct {
	Reference  string // REPOSITORY@sha256:HEX where it is now
	Repository string // where it came from, with the registry
	Tag        string // that it was asked for with; empty: none
	Size       int64  // bytes, shared parts included
}

// Copy copies an image from one registry to another, but for what is there already, with
// what refers to it: schema, SBOM, record, signatures. Its digest stays the same. The
// error is [ErrNotFound], [ErrPlatform], [ErrAuth] or [ErrUnreachable].
func Copy(ctx context.Context, from CopyOptions, to PushOptions) (Copied, error) {
	out, err := copyImage(ctx, from, to)
	if err != nil {
		return Copied{}, fmt.Errorf("image %s: %w", from.Reference, explainPush(ctx, err))
	}
	return out, nil
}

func copyImage(ctx context.Context, from CopyOptions, to PushOptions) (out Copied, err error) {
	source, err := findSource(ctx, from)
	if err != nil {
		return out, err
	}
	defer source.close()
	target, err := connectTo(ctx, to.Registry+"/"+to.Repository, access{to.PlainHTTP, to.TLS, to.Token})
	if err != nil {
		return out, err
	}
	defer target.close()
	target.transport.sent = newSent(source.size, to)
	pusher, err := remote.NewPusher(target.options...)
	if err != nil {
		return out, err
	}
	// As with an image that was built, what refers to it comes first.
	repository := source.ref.Context()
	for _, d := range append(partsOf(source.image), source.digest) {
		if err := copyReferrers(ctx, repository.Digest(d.String()), source.connected, target, pusher); err != nil {
			return out, err
		}
	}
	digest := source.digest.String()
	at, err := target.reference(to.Tag, digest)
	if err != nil {
		return out, err
	}
	if err := pusher.Push(ctx, at, source.image); err != nil {
		return out, err
	}
	return Copied{Reference: to.Repository + "@" + digest, Repository: repository.Name(), Tag: source.tag(), Size: source.size}, nil
}

// choose returns what to copy: an image, or an index.
func choose(desc *remote.Descriptor, platforms []string) (remote.Taggable, error) {
	wanted := make([]v1.Platform, 0, len(platforms))
	if len(platforms) > 0 {
		var err error
		if wanted, err = ParsePlatforms(platforms); err != nil {
			return nil, err
		}
	}
	switch {
	case desc.MediaType.IsIndex():
		index, err := desc.ImageIndex()
		if err != nil {
			return nil, err
		}
		return chooseOf(index, wanted)
	case desc.MediaType.IsImage():
		image, err := desc.Image()
		if err != nil {
			return nil, err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		if config.OS == "" {
			return nil, errors.New("it is no image of a program")
		}
		own := v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
		for _, p := range wanted {
			if p.OS != own.OS || p.Architecture != own.Architecture {
				return nil, fmt.Errorf("%w %s: it is for %s alone", ErrPlatform, p.String(), own.String())
			}
		}
		return image, nil
	default:
		return nil, fmt.Errorf("it is no image but a %q", desc.MediaType)
	}
}

// chooseOf returns the image for the only platform that is wanted, or the index when it
// has all of them.
func chooseOf(index v1.ImageIndex, wanted []v1.Platform) (remote.Taggable, error) {
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var digest v1.Hash
	for _, p := range wanted {
		i := slices.IndexFunc(m.Manifests, func(d v1.Descriptor) bool { return d.Platform != nil && d.Platform.Satisfies(p) })
		if i < 0 {
			return nil, fmt.Errorf("%w %s: there are %s", ErrPlatform, p.String(), platformsOf(m))
		}
		digest = m.Manifests[i].Digest
	}
	if len(wanted) == 1 {
		return index.Image(digest)
	}
	return index, nil
}

func platformsOf(m *v1.IndexManifest) string {
	var names []string
	for _, d := range m.Manifests {
		// Builders keep what they know of an image beside it, as one for no platform.
		if d.Platform != nil && d.Platform.OS != "unknown" {
			names = append(names, d.Platform.String())
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// measure returns the digest of an image or an index, and how many bytes it has.
func measure(t remote.Taggable) (digest v1.Hash, size int64, err error) {
	switch i := t.(type) {
	case v1.Image:
		if digest, err = i.Digest(); err != nil {
			return digest, 0, err
		}
		m, err := i.Manifest()
		if err != nil {
			return digest, 0, err
		}
		for _, d := range append(m.Layers, m.Config) {
			size += d.Size
		}
		n, err := i.Size()
		return digest, size + n, err
	case v1.ImageIndex:
		if digest, err = i.Digest(); err != nil {
			return digest, 0, err
		}
		m, err := i.IndexManifest()
		if err != nil {
			return digest, 0, err
		}
		for _, d := range m.Manifests {
			child, err := i.Image(d.Digest)
			if err != nil { // an index in the index, whose size does not matter
				continue
			}
			_, n, err := measure(child)
			if err != nil {
				return digest, 0, err
			}
			size += n
		}
		n, err := i.Size()
		return digest, size + n, err
	default:
		return digest, 0, fmt.Errorf("neither an image nor an index: %T", t)
	}
}

// partsOf returns the manifests that an index names, and none of an image.
func partsOf(t remote.Taggable) []v1.Hash {
	index, ok := t.(v1.ImageIndex)
	if !ok {
		return nil
	}
	m, err := index.IndexManifest()
	if err != nil { // it was read before
		return nil
	}
	var parts []v1.Hash
	for _, d := range m.Manifests {
		parts = append(parts, d.Digest)
	}
	return parts
}

// copyReferrers copies what refers to an image. A registry that cannot say what does has
// none.
func copyReferrers(ctx context.Context, of name.Digest, source, target *connected, pusher *remote.Pusher) error {
	index, err := remote.Referrers(of, source.options...)
	if err != nil {
		return nil //nolint:nilerr // as above: an image is whole without
	}
	m, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for n, d := range m.Manifests {
		if n == maxReferrers {
			break
		}
		if !d.MediaType.IsImage() {
			continue
		}
		artifact, err := remote.Image(of.Context().Digest(d.Digest.String()), source.options...)
		if err != nil {
			return err
		}
		if err := pusher.Push(ctx, target.Digest(d.Digest.String()), artifact); err != nil {
			return err
		}
	}
	return nil
}
