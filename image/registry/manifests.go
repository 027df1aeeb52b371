package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/micro/micro/v3/image/layout"
)

// reference returns the tag or the digest in the request's path.
func (c *call) reference() (string, error) {
	s := c.req.PathValue("reference")
	if _, err := layout.ParseDigest(s); err == nil || validTag(s) {
		return s, nil
	}
	return "", errorf(http.StatusBadRequest, "MANIFEST_INVALID", "neither a tag nor a digest")
}

// getManifest answers GET and HEAD.
func (r *Registry) getManifest(c *call) error {
	ref, err := c.reference()
	if err != nil {
		return err
	}
	if c.req.Method == http.MethodHead {
		// Who asks and gets a yes will not send the image again.
		if _, err := c.layout.Touch(ref); err != nil {
			return unknown(err, "MANIFEST_UNKNOWN")
		}
	}
	desc, data, err := c.layout.Manifest(ref)
	if err != nil {
		return unknown(err, "MANIFEST_UNKNOWN")
	}
	header := c.w.Header()
	header.Set("Content-Type", string(desc.MediaType))
	header.Set("Docker-Content-Digest", desc.Digest.String())
	header.Set("Etag", `"`+desc.Digest.String()+`"`)
	http.ServeContent(c.w, c.req, "", time.Time{}, bytes.NewReader(data))
	return nil
}

func (r *Registry) putManifest(c *call) error {
	ref, err := c.reference()
	if err != nil {
		return err
	}
	mediaType, _, err := mime.ParseMediaType(c.req.Header.Get("Content-Type"))
	if err != nil {
		return errorf(http.StatusBadRequest, "MANIFEST_INVALID", "no Content-Type")
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.req.Body, layout.MaxManifest))
	if err != nil {
		return readError(err)
	}
	desc, err := c.layout.PutManifest(data, types.MediaType(mediaType), ref)
	if err != nil {
		return err
	}
	header := c.w.Header()
	header.Set("Location", "/v2/"+c.repository+"/manifests/"+desc.Digest.String())
	header.Set("Docker-Content-Digest", desc.Digest.String())
	if subject := subjectOf(data); subject != "" {
		header.Set("OCI-Subject", subject)
	}
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

// subjectOf returns the digest of the manifest that a valid manifest refers to,
// if any.
func subjectOf(manifest []byte) string {
	var m struct {
		Subject *v1.Descriptor `json:"subject"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil || m.Subject == nil {
		return ""
	}
	return m.Subject.Digest.String()
}

// deleteManifest removes a tag, or a manifest with all its tags.
func (r *Registry) deleteManifest(c *call) error {
	ref, err := c.reference()
	if err != nil {
		return err
	}
	r.removing.RLock()
	defer r.removing.RUnlock()
	if d, perr := layout.ParseDigest(ref); perr == nil {
		err = r.deleteDigest(c.req.Context(), c.repository, d)
	} else {
		err = c.layout.DeleteTag(ref)
	}
	if err != nil {
		return unknown(err, "MANIFEST_UNKNOWN")
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// deleteDigest removes a manifest that nobody needs.
func (r *Registry) deleteDigest(ctx context.Context, repository string, d v1.Hash) error {
	needed, err := r.needed(ctx, repository)
	if err != nil {
		return err
	}
	l := r.layout(repository)
	for n := range needed {
		parts, err := l.Parts(n)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if n == d || slices.Contains(parts, d) {
			return fmt.Errorf("%s@%s: %w", repository, d, ErrInUse)
		}
	}
	return l.DeleteManifest(d)
}

// listTags answers with the tags after "last", at most "n" of them, and links to
// those that follow.
func (r *Registry) listTags(c *call) error {
	tags, err := c.layout.Tags()
	if err != nil {
		if e := unknown(err, "NAME_UNKNOWN"); e != err { //nolint:errorlint // the same value, not the same kind
			return errorf(http.StatusNotFound, "NAME_UNKNOWN", "there is no repository "+c.repository)
		}
		return err
	}
	query := c.req.URL.Query()
	if last := query.Get("last"); last != "" {
		i, found := slices.BinarySearch(tags, last)
		if found {
			i++
		}
		tags = tags[i:]
	}
	if query.Has("n") {
		n, err := strconv.Atoi(query.Get("n"))
		if err != nil || n < 0 {
			return errorf(http.StatusBadRequest, "UNSUPPORTED", "n is not a number")
		}
		if n < len(tags) {
			tags = tags[:n]
			if n > 0 {
				next := url.Values{"n": {strconv.Itoa(n)}, "last": {tags[n-1]}}
				c.w.Header().Set("Link", "</v2/"+c.repository+"/tags/list?"+next.Encode()+`>; rel="next"`)
			}
		}
	}
	return c.json("application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{c.repository, tags})
}

// listReferrers answers with an index of the manifests that refer to one, which
// need not be there.
func (r *Registry) listReferrers(c *call) error {
	d, err := c.digest()
	if err != nil {
		return err
	}
	artifactType := c.req.URL.Query().Get("artifactType")
	manifests, err := c.layout.Referrers(d, artifactType)
	if err != nil {
		return err
	}
	if artifactType != "" {
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return c.json(string(types.OCIImageIndex), v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: manifests,
	})
}

func (c *call) json(contentType string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", contentType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	// A client that is gone has nobody to tell.
	_, _ = c.w.Write(data)
	return nil
}
