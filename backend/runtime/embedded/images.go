package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sync"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// images is what was unpacked, once for each digest and for all instances:
//
//	<dir>/<hex>/image.json   what the image says of itself
//	<dir>/<hex>/root/        its files
//
// A folder is made in staging and moved here when it is whole. It is a copy of
// what the registry keeps, so it is not synced to the disk: after a start of the
// machine, which may have come before the disk had everything, all are made anew.
//
// All methods are safe for concurrent use.
type images struct {
	dir, staging string
	open         runtime.OpenImage
	limits       limits
	boot         string // of the machine; empty: unknown
	log          *slog.Logger

	mu   sync.Mutex
	uses map[string]*image
}

// image is an unpacked image. It stays as long as it is in use.
type image struct {
	images *images
	digest string // in hex
	dir    string
	config imageConfig

	uses  int           // guarded by images.mu
	ready chan struct{} // closed when unpacking has ended
	err   error         // of unpacking
}

// Key implements [supervisor.Image].
func (img *image) Key() string { return img.digest }

// Release implements [supervisor.Image].
func (img *image) Release() { img.images.release(img) }

// imageConfig is what is kept of a [runtime.Image].
type imageConfig struct {
	Boot       string   `json:"boot"`
	Entrypoint []string `json:"entrypoint"`
	Cmd        []string `json:"cmd"`
	Env        []string `json:"env"`
}

const (
	imageFile = "image.json"
	imageRoot = "root"
)

// acquire returns the image of a reference and unpacks it when that has not been
// done. The caller releases it once.
func (is *images) acquire(ctx context.Context, ref string) (*image, error) {
	digest, err := supervisor.DigestOf(ref)
	if err != nil {
		return nil, err
	}
	for {
		is.mu.Lock()
		img := is.uses[digest]
		mine := img == nil
		if mine {
			img = &image{images: is, digest: digest, dir: filepath.Join(is.dir, digest), ready: make(chan struct{})}
			is.uses[digest] = img
		}
		img.uses++
		is.mu.Unlock()

		if mine {
			err := is.unpack(ctx, ref, img)
			if err != nil {
				is.forget(img)
			}
			img.err = err
			close(img.ready)
			return img, err
		}
		select {
		case <-img.ready:
			if img.err == nil {
				return img, nil
			}
			// Whoever unpacked it may have been called off: see for ourselves.
		case <-ctx.Done():
			is.release(img)
			return nil, ctx.Err()
		}
	}
}

// adopt returns the image of a digest if it has been unpacked since the machine
// was started, nil otherwise. The caller releases it.
func (is *images) adopt(digest string) *image {
	is.mu.Lock()
	defer is.mu.Unlock()
	if img := is.uses[digest]; img != nil {
		img.uses++
		return img
	}
	if b, err := hex.DecodeString(digest); err != nil || len(b) != sha256.Size || is.boot == "" {
		return nil
	}
	img := &image{images: is, digest: digest, dir: filepath.Join(is.dir, digest), uses: 1, ready: make(chan struct{})}
	text, err := os.ReadFile(filepath.Join(img.dir, imageFile))
	if err != nil || json.Unmarshal(text, &img.config) != nil || img.config.Boot != is.boot {
		return nil
	}
	close(img.ready)
	is.uses[digest] = img
	return img
}

// release ends a use; the last one removes the image.
func (is *images) release(img *image) {
	is.mu.Lock()
	img.uses--
	if img.uses > 0 || is.uses[img.digest] != img {
		is.mu.Unlock()
		return
	}
	delete(is.uses, img.digest)
	// Out of the way before the next one with this digest can come.
	trash := supervisor.TrashName(is.staging)
	err := os.Rename(img.dir, trash)
	is.mu.Unlock()
	if err == nil {
		err = os.RemoveAll(trash)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		is.log.Warn("an unused image stays on the disk", "image", img.digest, "err", err)
	}
}

// forget drops an image that could not be unpacked.
func (is *images) forget(img *image) {
	is.mu.Lock()
	defer is.mu.Unlock()
	delete(is.uses, img.digest)
}

// clean removes what nobody uses.
func (is *images) clean() error {
	is.mu.Lock()
	defer is.mu.Unlock()
	entries, err := os.ReadDir(is.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if is.uses[e.Name()] == nil {
			err = errors.Join(err, os.RemoveAll(filepath.Join(is.dir, e.Name())))
		}
	}
	return err
}

// unpack opens an image and puts its files into img.dir.
func (is *images) unpack(ctx context.Context, ref string, img *image) (err error) {
	from, err := is.open(ctx, ref)
	if err != nil {
		return fmt.Errorf("open image %q: %w", ref, err)
	}
	if from.OS != goruntime.GOOS || from.Architecture != goruntime.GOARCH {
		return supervisor.Refuse("it is made for %s/%s, and this machine is %s/%s", from.OS, from.Architecture, goruntime.GOOS, goruntime.GOARCH)
	}
	img.config = imageConfig{Boot: is.boot, Entrypoint: from.Entrypoint, Cmd: from.Cmd, Env: from.Env}
	config, err := json.Marshal(img.config)
	if err != nil {
		return err
	}
	staging, err := os.MkdirTemp(is.staging, "image-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(staging))
		}
	}()
	if err := is.layers(ctx, from, filepath.Join(staging, imageRoot)); err != nil {
		return fmt.Errorf("unpack image %q: %w", ref, err)
	}
	if err := os.WriteFile(filepath.Join(staging, imageFile), config, 0o600); err != nil {
		return err
	}
	return os.Rename(staging, img.dir)
}

// layers unpacks the layers of an image into a new folder.
func (is *images) layers(ctx context.Context, from *runtime.Image, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // who gets here may read it
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, limits: is.limits}
	for i, open := range from.Layers {
		r, err := open()
		if err == nil {
			err = errors.Join(u.layer(ctx, r), r.Close())
		}
		if err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	return nil
}
