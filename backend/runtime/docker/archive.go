package docker

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// An image goes to the engine as an archive such as `docker save` writes. So the engine
// needs no way to the server's registry, no right to it, and no exception for a
// registry without TLS, and it may be on another machine.

// layerFile is a layer of an image in a file, since an archive says first how long what
// follows is.
type layerFile struct {
	file   *os.File
	size   int64
	digest string // in hex
}

func (l *layerFile) name() string { return l.digest + "/layer.tar" }

// spool writes a layer into a file in dir that has no name.
func spool(dir string, open func() (io.ReadCloser, error)) (_ *layerFile, err error) {
	from, err := open()
	if err != nil {
		return nil, err
	}
	defer from.Close()
	f, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(from, maxImage))
	if err != nil {
		return nil, err
	}
	if size == maxImage {
		return nil, supervisor.Refuse("it has more than %d bytes", int64(maxImage))
	}
	if err := checkLayer(f); err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return &layerFile{f, size, hex.EncodeToString(hash.Sum(nil))}, err
}

// maxImage bounds what a layer may take of the disk.
const maxImage = 8 << 30

// checkLayer refuses what no engine should be given: an archive that is none, and names
// that lead out of a container.
func checkLayer(f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for r := tar.NewReader(bufio.NewReader(f)); ; {
		header, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return supervisor.Refuse("%w", err)
		}
		name := strings.TrimPrefix(path.Clean(header.Name), "/")
		if name != "" && !filepath.IsLocal(filepath.FromSlash(name)) {
			return supervisor.Refuse("its file %q is outside of it", header.Name)
		}
	}
}

// load gives the engine an image under a name.
func (c *client) load(ctx context.Context, dir, name string, img *runtime.Image) error {
	var layers []*layerFile
	defer func() {
		for _, l := range layers {
			_ = l.file.Close() // it was read
		}
	}()
	for i, open := range img.Layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := spool(dir, open)
		if err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		layers = append(layers, l)
	}
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(writeArchive(w, name, img, layers)) }()
	defer r.Close()
	return c.call(ctx, http.MethodPost, "/images/load", url.Values{"quiet": {"true"}}, io.Reader(r), nil)
}

// writeArchive writes an image as an archive.
func writeArchive(to io.Writer, name string, img *runtime.Image, layers []*layerFile) error {
	var diffIDs, files []string
	for _, l := range layers {
		diffIDs, files = append(diffIDs, "sha256:"+l.digest), append(files, l.name())
	}
	config, err := json.Marshal(map[string]any{
		"os": img.OS, "architecture": img.Architecture,
		"config": map[string]any{"Entrypoint": img.Entrypoint, "Cmd": img.Cmd, "Env": img.Env, "WorkingDir": img.WorkingDir},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return err
	}
	digest := sha256.Sum256(config)
	configName := hex.EncodeToString(digest[:]) + ".json"
	manifest, err := json.Marshal([]any{map[string]any{"Config": configName, "RepoTags": []string{name}, "Layers": files}})
	if err != nil {
		return err
	}
	w := tar.NewWriter(to)
	add := func(name string, size int64, from io.Reader) error {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size})
		if err == nil {
			_, err = io.Copy(w, from)
		}
		return err
	}
	err = errors.Join(add(configName, int64(len(config)), bytes.NewReader(config)), add("manifest.json", int64(len(manifest)), bytes.NewReader(manifest)))
	written := map[string]bool{}
	for _, l := range layers {
		if err == nil && !written[l.digest] {
			written[l.digest] = true
			err = add(l.name(), l.size, l.file)
		}
	}
	return errors.Join(err, w.Close())
}
