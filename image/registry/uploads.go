package registry

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/micro/micro/v3/image/layout"
)

// startUpload begins an upload. With the parameters mount and from it takes a
// blob of another repository instead, where that is possible; with digest the
// whole blob is in the request.
func (r *Registry) startUpload(c *call) error {
	query := c.req.URL.Query()
	if query.Has("mount") {
		if mounted, err := r.mount(c, query.Get("mount"), query.Get("from")); mounted || err != nil {
			return err
		}
	}
	u, err := r.newUpload(c.repository)
	if err != nil {
		return err
	}
	defer u.mu.Unlock()
	if query.Has("digest") {
		return r.finish(c, u)
	}
	u.report(c)
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// mount answers with a blob of another repository and returns true, or returns
// false when there is no such blob that the sender may read: it will send it.
func (r *Registry) mount(c *call, digest, from string) (bool, error) {
	d, err := layout.ParseDigest(digest)
	if err != nil {
		return false, errorf(http.StatusBadRequest, "DIGEST_INVALID", err.Error())
	}
	if !validRepository(from) {
		return false, nil
	}
	err = r.authorize(c.req, from, Pull)
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrUnauthenticated) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = c.layout.Mount(d, r.layout(from))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.created(d)
	return true, nil
}

// created answers that a blob is there now.
func (c *call) created(d v1.Hash) {
	c.w.Header().Set("Location", "/v2/"+c.repository+"/blobs/"+d.String())
	c.w.Header().Set("Docker-Content-Digest", d.String())
	c.w.WriteHeader(http.StatusCreated)
}

// getUpload tells how much has arrived.
func (r *Registry) getUpload(c *call) error {
	u, err := r.upload(c)
	if err != nil {
		return err
	}
	defer u.mu.Unlock()
	u.report(c)
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// appendUpload takes one chunk, or a stream of unknown length.
func (r *Registry) appendUpload(c *call) error {
	u, err := r.upload(c)
	if err != nil {
		return err
	}
	defer u.mu.Unlock()
	if err := r.receive(c, u); err != nil {
		return err
	}
	u.report(c)
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// finishUpload takes the last chunk, which may be empty, and makes the upload a
// blob.
func (r *Registry) finishUpload(c *call) error {
	u, err := r.upload(c)
	if err != nil {
		return err
	}
	defer u.mu.Unlock()
	return r.finish(c, u)
}

// cancelUpload gives an upload up.
func (r *Registry) cancelUpload(c *call) error {
	u, err := r.upload(c)
	if err != nil {
		return err
	}
	defer u.mu.Unlock()
	if err := r.drop(u); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// finish receives the rest of an upload, which the caller holds, and stores it
// under the digest in the request. An upload that has another one is given up.
func (r *Registry) finish(c *call, u *upload) error {
	d, err := layout.ParseDigest(c.req.URL.Query().Get("digest"))
	if err != nil {
		return errorf(http.StatusBadRequest, "DIGEST_INVALID", err.Error())
	}
	if err := r.receive(c, u); err != nil {
		return err
	}
	if err := u.commit(d, c.layout); err != nil {
		return errors.Join(err, r.drop(u))
	}
	r.forget(u)
	c.created(d)
	return nil
}

// receive appends the request's body. What a client that went away has sent
// stays; a disk that does not take it, and a blob that is too large, end the
// upload.
func (r *Registry) receive(c *call, u *upload) error {
	if err := checkRange(c, u); err != nil {
		return err
	}
	if c.req.ContentLength > r.options.MaxBlob-u.size {
		return errors.Join(layout.ErrTooLarge, r.drop(u))
	}
	body := &body{
		r:      http.MaxBytesReader(c.w, c.req.Body, r.options.MaxBlob-u.size),
		extend: func() error { return http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(stall)) },
	}
	err := u.append(body)
	u.timer.Reset(r.options.UploadExpiry)
	switch {
	case err == nil:
		return nil
	case body.err != nil && !isTooLarge(body.err):
		return readError(body.err)
	default:
		return errors.Join(err, r.drop(u))
	}
}

// checkRange checks that a chunk that says where it belongs follows what is
// there.
func checkRange(c *call, u *upload) error {
	value := c.req.Header.Get("Content-Range")
	if value == "" {
		return nil
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(value, "bytes "), "-")
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	length := c.req.ContentLength
	switch {
	case !ok || err1 != nil || err2 != nil || end < start:
		return errorf(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "the Content-Range is not FIRST-LAST")
	case length >= 0 && length != end-start+1:
		return errorf(http.StatusBadRequest, "SIZE_INVALID", "the chunk has another length than its Content-Range")
	case start != u.size:
		u.report(c)
		return errorf(http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID",
			fmt.Sprintf("the chunk begins at byte %d, the upload has %d", start, u.size))
	}
	return nil
}

// newUpload makes an upload, which it locks.
func (r *Registry) newUpload(repository string) (*upload, error) {
	namespace, _, _ := strings.Cut(repository, "/")
	u := &upload{id: rand.Text(), namespace: namespace, repository: repository}
	f, err := os.OpenFile(filepath.Join(r.staging(), u.id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	u.begin(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	same := 0
	for _, o := range r.uploads {
		if o.namespace == namespace {
			same++
		}
	}
	if same >= r.options.MaxUploads || r.closed {
		defer u.mu.Unlock()
		return nil, errors.Join(errorf(http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many uploads at one time"), u.discard())
	}
	u.timer = time.AfterFunc(r.options.UploadExpiry, func() { r.expire(u) })
	r.uploads[u.id] = u
	return u, nil
}

// upload finds the upload that a request is about, and locks it.
func (r *Registry) upload(c *call) (*upload, error) {
	unknown := errorf(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
	r.mu.Lock()
	u, ok := r.uploads[c.req.PathValue("id")]
	r.mu.Unlock()
	if !ok || u.repository != c.repository {
		return nil, unknown
	}
	u.mu.Lock()
	if u.file == nil { // ended while this request waited for it
		u.mu.Unlock()
		return nil, unknown
	}
	return u, nil
}

// expire gives an upload up, or asks again later when a request has it.
func (r *Registry) expire(u *upload) {
	if !u.mu.TryLock() {
		time.AfterFunc(r.options.UploadExpiry, func() { r.expire(u) })
		return
	}
	defer u.mu.Unlock()
	if err := r.drop(u); err != nil {
		r.options.Log.Error("registry upload", "repository", u.repository, "err", err)
	}
}

// drop forgets an upload, which the caller has locked, and removes what arrived.
func (r *Registry) drop(u *upload) error {
	r.forget(u)
	return u.discard()
}

func (r *Registry) forget(u *upload) {
	r.mu.Lock()
	delete(r.uploads, u.id)
	r.mu.Unlock()
	u.timer.Stop()
}
