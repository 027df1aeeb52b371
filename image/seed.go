package image

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// SeedType is the artifact type, and the media type of its one layer, of a seed: a part
// of a build cache of Go as a tar stream that zstd has compressed.
const SeedType = "application/vnd.micro.gocache.v1.tar+zstd"

// Seed lets a build begin with what another machine has compiled, when this one has
// compiled nothing yet: half of a first build is Go's standard library.
//
// Who may write to the repository can put anything into what is built with it. So a seed
// never goes into the user's own build cache, which other builds use too: there is one
// cache for each repository.
type Seed struct {
	Dir   string      // keeps the build caches, one for each repository
	Key   string      // what the seed depends on, beside Go, the platform and the flags
	Place PushOptions // the repository with the seeds; each has a tag
	// Least is how many packages there must be to compile for a seed to be worth it;
	// 0: 150.
	Least int
	// Share keeps what was compiled in the repository, when that has no seed; see
	// [Image.ShareSeed].
	Share bool
}

const (
	defaultLeast = 150
	// seedIn is how long a seed may take to come: about what it saves.
	seedIn = 15 * time.Second
	// probeFor is how long it is watched how fast it comes.
	probeFor = 2 * time.Second
	// Limits of a seed.
	maxSeed        = 2 << 30
	maxSeedFile    = 256 << 20
	maxSeedEntries = 100_000
)

// seeded is a build that may make use of a seed.
type seeded struct {
	seed  *Seed
	cache string // the build cache in the place of the user's
	tag   string
	found bool // there is a seed
}

// useSeed finds out whether a build should begin with a seed, and lets it. What goes
// wrong is no reason not to build: it is reported, and the user's own cache used.
func (b *builder) useSeed(ctx context.Context, m *modules) *seeded {
	s := b.options.Seed
	if s == nil || b.several || b.tools.settings["GOCACHEPROG"] != "" {
		return nil
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q", b.tools.settings["GOVERSION"], b.platform.String(), buildFlags(), s.Key)
	u := &seeded{seed: s, tag: hex.EncodeToString(sum.Sum(nil))[:keyLength]}
	place := sha256.Sum256([]byte(s.Place.Registry + "/" + s.Place.Repository))
	u.cache = filepath.Join(s.Dir, hex.EncodeToString(place[:])[:keyLength])
	if _, err := os.Stat(u.marker()); err == nil {
		u.found = true
		b.tools.environ = append(b.tools.environ, "GOCACHE="+u.cache)
		return u
	}
	if !b.cold(ctx, m) {
		return nil
	}
	b.report(Event{Stage: Building, Message: "looking for a seed of the build cache"})
	err := u.fetch(ctx, b.report)
	switch {
	case err == nil:
		u.found = true
	case errors.Is(err, ErrNotFound) && s.Share:
	default:
		b.report(Event{Stage: Building, Message: "without a seed of the build cache: " + err.Error()})
		return nil
	}
	if err := os.MkdirAll(u.cache, 0o700); err != nil {
		return nil
	}
	b.tools.environ = append(b.tools.environ, "GOCACHE="+u.cache)
	return u
}

// marker returns the file that says that the seed is in the cache.
func (u *seeded) marker() string { return filepath.Join(u.cache, "seeded-"+u.tag) }

// cold reports whether most of what the program needs was not compiled here yet.
func (b *builder) cold(ctx context.Context, m *modules) bool {
	if _, err := os.Stat(b.keep); b.keep != "" && err == nil {
		return false // it was built here before
	}
	args := []string{"list", "-e", "-deps", "-trimpath", "-tags=" + buildTags, "-f={{if .Stale}}.{{end}}"}
	out, err := b.tools.run(ctx, command{
		dir: b.dir(), env: append(platformSettings(b.platform), m.env...), args: append(append(args, m.flags...), "."),
	})
	return err == nil && strings.Count(string(out), ".") >= cmp.Or(b.options.Seed.Least, defaultLeast)
}

// fetch gets the seed into the cache. The error is [ErrNotFound] when there is none, and
// [ErrTooLarge] when it would take longer than it saves.
func (u *seeded) fetch(ctx context.Context, progress func(Event)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, seedIn, ErrTooLarge)
	defer cancel()
	p := u.seed.Place
	c, err := connectTo(ctx, p.Registry+"/"+p.Repository, access{p.PlainHTTP, p.TLS, p.Token})
	if err != nil {
		return err
	}
	defer c.close()
	err = u.pull(ctx, c, progress)
	if err != nil {
		return explainPush(ctx, err)
	}
	return os.WriteFile(u.marker(), nil, 0o600)
}

func (u *seeded) pull(ctx context.Context, c *connected, progress func(Event)) error {
	ref, err := name.NewTag(c.Name()+":"+u.tag, c.names...)
	if err != nil {
		return err
	}
	artifact, err := remote.Image(ref, c.options...)
	if err != nil {
		return err
	}
	layers, err := artifact.Layers()
	if err != nil {
		return err
	}
	if len(layers) != 1 {
		return fmt.Errorf("a seed of %d layers", len(layers))
	}
	size, err := layers[0].Size()
	if err != nil {
		return err
	}
	content, err := layers[0].Compressed() // it verifies the digest
	if err != nil {
		return err
	}
	r := &paced{r: content, total: size, began: time.Now(), progress: progress}
	err = unpackSeed(ctx, r, u.cache)
	return errors.Join(err, content.Close())
}

// paced is a transfer that is given up when it is seen to take too long.
type paced struct {
	r           io.Reader
	total, done int64
	began       time.Time
	progress    func(Event)
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	report(p.progress, Event{Stage: Building, Message: "seed of the build cache", Done: p.done, Total: p.total})
	if took := time.Since(p.began); err == nil && took > probeFor && p.done < p.total &&
		took.Seconds()*float64(p.total)/float64(p.done+1) > seedIn.Seconds() {
		return n, fmt.Errorf("it would take %s: %w", (took * time.Duration(p.total/(p.done+1))).Round(time.Second), ErrTooLarge)
	}
	return n, err
}

// unpackSeed puts the files of a seed into a build cache. Each is checked as far as that
// is possible: what is kept under a digest has it.
func unpackSeed(ctx context.Context, r io.Reader, dir string) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSeedFile))
	if err != nil {
		return err
	}
	defer z.Close()
	var total int64
	files := tar.NewReader(z)
	for range maxSeedEntries {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r) // to the end, where its digest is verified
			return err
		}
		if err != nil {
			return err
		}
		if total += h.Size; !isCacheFile(h.Name) || h.Typeflag != tar.TypeReg || h.Size > maxSeedFile || total > maxSeed {
			return fmt.Errorf("a seed with %q of %d bytes", h.Name, h.Size)
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := cacheFile(dir, h.Name, files); err != nil {
			return err
		}
	}
	return fmt.Errorf("a seed of more than %d files: %w", maxSeedEntries, ErrTooLarge)
}

// isCacheFile reports whether a name is that of an entry of a build cache: XX/HEX-a for
// an action, XX/HEX-d for what it has made.
func isCacheFile(name string) bool {
	folder, file, ok := strings.Cut(name, "/")
	digits, kind, ok2 := strings.Cut(file, "-")
	_, err := hex.DecodeString(digits)
	return ok && ok2 && err == nil && len(digits) == 2*sha256.Size && strings.ToLower(digits) == digits &&
		digits[:2] == folder && (kind == "a" || kind == "d")
}

// cacheFile writes one file, whole or not at all.
func cacheFile(dir, name string, r io.Reader) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".seed-*")
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), r)
	digits, kind, _ := strings.Cut(filepath.Base(path), "-")
	if err == nil && kind == "d" && hex.EncodeToString(sum.Sum(nil)) != digits {
		err = fmt.Errorf("a seed with another content than %s", name)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// ShareSeed keeps what was compiled for the image as a seed for other machines, if that
// was asked for and there is none yet. It returns how many bytes it sent, 0 when there
// was nothing to do.
func (i *Image) ShareSeed(ctx context.Context) (int64, error) {
	u := i.seeded
	if u == nil || u.found || !u.seed.Share {
		return 0, nil
	}
	f, err := os.CreateTemp("", "micro-seed-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is in the system's directory for such
	defer f.Close()
	if err := packSeed(ctx, f, u.cache); err != nil {
		return 0, fmt.Errorf("seed of the build cache: %w", err)
	}
	n, err := u.push(ctx, f)
	if err != nil {
		return 0, fmt.Errorf("seed of the build cache: %w", explainPush(ctx, err))
	}
	u.found = true
	return n, os.WriteFile(u.marker(), nil, 0o600)
}

func (u *seeded) push(ctx context.Context, f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	layer, err := newBlob(blob{mediaType: SeedType, file: f, fileSize: info.Size()})
	if err != nil {
		return 0, err
	}
	m, err := newManifest(v1.Manifest{ArtifactType: SeedType}, types.OCIEmptyJSON, []byte("{}"), layer)
	if err != nil {
		return 0, err
	}
	p := u.seed.Place
	c, err := connectTo(ctx, p.Registry+"/"+p.Repository, access{p.PlainHTTP, p.TLS, p.Token})
	if err != nil {
		return 0, err
	}
	defer c.close()
	ref, err := c.reference(u.tag, "")
	if err != nil {
		return 0, err
	}
	c.transport.sent = newSent(m.size(), p)
	pusher, err := remote.NewPusher(c.options...)
	if err != nil {
		return 0, err
	}
	return m.size(), pusher.Push(ctx, ref, m.taggable())
}

// packSeed writes the entries of a build cache: what was made before the actions that
// lead to it, so that no action is there without.
func packSeed(ctx context.Context, w io.Writer, dir string) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	out := tar.NewWriter(z)
	for _, kind := range []string{"-d", "-a"} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			name := filepath.ToSlash(rel)
			if err != nil || !e.Type().IsRegular() || !strings.HasSuffix(name, kind) || !isCacheFile(name) {
				return err
			}
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			return packFile(out, path, name)
		})
		if err != nil {
			return errors.Join(err, z.Close())
		}
	}
	return errors.Join(out.Close(), z.Close())
}

func packFile(out *tar.Writer, path, name string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the go command cleans up at times
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() > maxSeedFile {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.CopyN(out, f, info.Size())
	return err
}
