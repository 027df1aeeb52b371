package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// The program of a container is looked at before it is started: the engine starts
// another one, which passes signals on to it, and would only tell of a code when that
// cannot start the program.

// fileInfo is what an engine says of a file in a container.
type fileInfo struct {
	Mode       fs.FileMode `json:"mode"`
	LinkTarget string      `json:"linkTarget"`
}

// maxLinks bounds how many symbolic links are followed.
const maxLinks = 16

// program returns where a program of an image is, after a look into a container of it.
// The error is [runtime.ErrImage], among others, when there is none that can be started.
func (img *image) program(ctx context.Context, container, name string) (string, error) {
	if found, ok := img.programs.Load(name); ok {
		path, _ := found.(string)
		return path, nil
	}
	client := img.images.client
	config, err := client.inspectImage(ctx, img.ref())
	if err != nil {
		return "", err
	}
	path, err := client.findProgram(ctx, container, name, searchPath(config))
	if err == nil {
		img.programs.Store(name, path)
	}
	return path, err
}

// findProgram returns where in a container a program is that can be started. The error
// is [runtime.ErrImage], among others.
func (c *client) findProgram(ctx context.Context, id, program, search string) (string, error) {
	for _, place := range candidates(program, search) {
		name, info, err := c.stat(ctx, id, place)
		switch {
		case isNotFound(err):
			continue
		case err != nil:
			return "", fmt.Errorf("look at program %q: %w", program, err)
		case !info.Mode.IsRegular() || info.Mode&0o111 == 0:
			return "", supervisor.Refuse("its program %q is not executable", program)
		}
		head, err := c.head(ctx, id, name)
		if err != nil {
			return "", fmt.Errorf("look at program %q: %w", program, err)
		}
		if !bytes.HasPrefix(head, []byte("\x7fELF")) && !bytes.HasPrefix(head, []byte("#!")) {
			return "", supervisor.Refuse("its program %q is no program for Linux", program)
		}
		return place, nil
	}
	return "", supervisor.Refuse("its program %q is not in it", program)
}

// candidates returns where in a container a program may be.
func candidates(program, search string) []string {
	if strings.Contains(program, "/") {
		return []string{path.Join("/", program)}
	}
	var names []string
	for dir := range strings.SplitSeq(search, ":") {
		if dir != "" {
			names = append(names, path.Join("/", dir, program))
		}
	}
	return names
}

// stat follows symbolic links, and returns where they end.
func (c *client) stat(ctx context.Context, id, name string) (string, fileInfo, error) {
	for range maxLinks {
		var info fileInfo
		rsp, err := c.open(ctx, http.MethodHead, "/containers/"+id+"/archive", url.Values{"path": {name}}, nil)
		if err != nil {
			return name, info, err
		}
		text, err := base64.StdEncoding.DecodeString(rsp.Header.Get("X-Docker-Container-Path-Stat"))
		if err = errors.Join(err, rsp.Body.Close()); err == nil {
			err = json.Unmarshal(text, &info)
		}
		if err != nil || info.Mode&fs.ModeSymlink == 0 || info.LinkTarget == "" {
			return name, info, err
		}
		if path.IsAbs(info.LinkTarget) {
			name = path.Clean(info.LinkTarget)
		} else {
			name = path.Join(path.Dir(name), info.LinkTarget)
		}
	}
	return name, fileInfo{}, supervisor.Refuse("its program is behind more than %d links", maxLinks)
}

// head returns the first bytes of a file.
func (c *client) head(ctx context.Context, id, name string) ([]byte, error) {
	rsp, err := c.open(ctx, http.MethodGet, "/containers/"+id+"/archive", url.Values{"path": {name}}, nil)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	r := tar.NewReader(rsp.Body)
	if _, err := r.Next(); err != nil {
		return nil, err
	}
	head, err := io.ReadAll(io.LimitReader(r, 4))
	if err == nil {
		_, err = io.Copy(io.Discard, rsp.Body) // else the engine complains
	}
	return head, err
}
