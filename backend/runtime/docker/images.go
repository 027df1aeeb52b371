package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	goruntime "runtime"
	"strings"
	"sync"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// images is what the engine was given, once for each digest and for all instances of
// one runtime: another one that shares the engine has names of its own. An image that
// nobody uses is taken away.
type images struct {
	client  *client
	staging string // for layers on their way
	name    string // of all images, which the digest follows
	open    runtime.OpenImage
	log     *slog.Logger

	mu   sync.Mutex
	uses map[string]*image // by digest
}

// image is one that is being loaded or was.
type image struct {
	images *images
	digest string // in hex
	uses   int    // guarded by images.mu

	programs sync.Map      // where those are that can be started, by their names
	loading  chan struct{} // holds one while somebody looks after it
	config   imageConfig   // when it is ready
}

// imageConfig is what an image says of itself.
type imageConfig struct {
	Entrypoint []string
	Cmd        []string
	Env        []string
	WorkingDir string
}

var _ supervisor.Image = (*image)(nil)

// Key implements [supervisor.Image].
func (img *image) Key() string { return img.digest }

// ref returns the engine's name of an image.
func (img *image) ref() string { return img.images.name + ":" + img.digest }

// use returns the image of a digest, which the caller releases.
func (is *images) use(digest string) *image {
	is.mu.Lock()
	defer is.mu.Unlock()
	img := is.uses[digest]
	if img == nil {
		img = &image{images: is, digest: digest, loading: make(chan struct{}, 1)}
		is.uses[digest] = img
	}
	img.uses++
	return img
}

// Release implements [supervisor.Image].
func (img *image) Release() {
	is := img.images
	is.mu.Lock()
	defer is.mu.Unlock()
	img.uses--
	if img.uses > 0 {
		return
	}
	delete(is.uses, img.digest)
	// Before the next one with this digest can come.
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	if err := is.client.removeImage(ctx, img.ref()); err != nil {
		is.log.Warn("an unused image stays in the engine", "image", img.ref(), "err", err)
	}
}

// acquire returns the image of a reference, which the engine has then. The caller
// releases it.
func (is *images) acquire(ctx context.Context, ref string) (*image, error) {
	digest, err := supervisor.DigestOf(ref)
	if err != nil {
		return nil, err
	}
	img := is.use(digest)
	select {
	case img.loading <- struct{}{}:
		err = img.load(ctx, ref)
		<-img.loading
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		img.Release()
		return nil, err
	}
	return img, nil
}

// load gives the engine an image unless it has it.
func (img *image) load(ctx context.Context, ref string) (err error) {
	is := img.images
	if img.config, err = is.client.inspectImage(ctx, img.ref()); err == nil || !isNotFound(err) {
		return err
	}
	from, err := is.open(ctx, ref)
	if err != nil {
		return fmt.Errorf("open image %q: %w", ref, err)
	}
	if from.OS != "linux" || from.Architecture != goruntime.GOARCH {
		return supervisor.Refuse("it is made for %s/%s, and the engine is linux/%s", from.OS, from.Architecture, goruntime.GOARCH)
	}
	if len(from.Layers) == 0 {
		return supervisor.Refuse("it has no files")
	}
	if err := is.client.load(ctx, is.staging, img.ref(), from); err != nil {
		return fmt.Errorf("load image %q: %w", ref, err)
	}
	img.config, err = is.client.inspectImage(ctx, img.ref())
	return err
}

// clean takes away the images of before that nobody uses.
func (is *images) clean(ctx context.Context) error {
	refs, err := is.client.listImages(ctx, is.name)
	if err != nil {
		return err
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	for _, ref := range refs {
		_, digest, _ := strings.Cut(strings.TrimPrefix(ref, is.name), ":")
		if is.uses[digest] != nil {
			continue
		}
		if err := is.client.removeImage(ctx, ref); err != nil {
			is.log.Warn("an unused image stays in the engine", "image", ref, "err", err)
		}
	}
	return nil
}

// removeImage takes a name from an image, which goes with its last one. An unknown one
// is no error.
func (c *client) removeImage(ctx context.Context, ref string) error {
	err := c.call(ctx, http.MethodDelete, "/images/"+ref, nil, nil, nil)
	if isNotFound(err) {
		return nil
	}
	return err
}

func (c *client) inspectImage(ctx context.Context, ref string) (imageConfig, error) {
	var is struct{ Config imageConfig }
	err := c.call(ctx, http.MethodGet, "/images/"+ref+"/json", nil, nil, &is)
	return is.Config, err
}

// listImages returns the names of images that have a repository. Podman cannot tell of
// any while somebody takes one away, so it is asked again then.
func (c *client) listImages(ctx context.Context, repository string) ([]string, error) {
	var all []struct{ RepoTags []string }
	list := func() error {
		return c.call(ctx, http.MethodGet, "/images/json", url.Values{"all": {"false"}}, nil, &all)
	}
	err := list()
	for tries := 1; tries < 10 && errors.As(err, new(*apiError)); tries++ {
		err = list()
	}
	if err != nil {
		return nil, err
	}
	var refs []string
	for _, img := range all {
		for _, ref := range img.RepoTags {
			if strings.HasPrefix(ref, repository+":") {
				refs = append(refs, ref)
			}
		}
	}
	return refs, nil
}
