// Package layout keeps images in a directory that has the form of the OCI image
// layout, so that any other tool can read it:
//
//	oci-layout             says what this directory is
//	index.json             the manifests that there are, with their tags
//	blobs/sha256/HEX       manifests, configurations and layers by their digest;
//	                       blobs/sha512 for who wants that
//
// A blob becomes visible whole or not at all, and index.json is replaced in one
// step: a process that is killed, or a machine that loses its power, leaves what
// was there before or what should be there now. What a method has returned
// without an error is on the disk.
package layout

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound is returned for a blob, a manifest or a tag that is not there.
	ErrNotFound = errors.New("not found")
	// ErrDigest is returned for content that does not have the digest that was
	// said.
	ErrDigest = errors.New("the content has another digest")
	// ErrInvalid is returned for a manifest that is none.
	ErrInvalid = errors.New("invalid manifest")
	// ErrUnknownBlob is returned for a manifest that names blobs that are not
	// there.
	ErrUnknownBlob = errors.New("unknown blob")
	// ErrInUse is returned for the removal of a blob that a manifest needs.
	ErrInUse = errors.New("a manifest needs this blob")
	// ErrTooLarge is returned for content that is over a limit.
	ErrTooLarge = errors.New("too large")
	// ErrPlatform is returned for an image that there is not for a platform.
	ErrPlatform = errors.New("no image for this platform")
)

// Layout is a directory of images. Its methods are safe for concurrent use, by
// one process at a time.
type Layout struct {
	dir     string
	staging string

	// mu is held to change index.json, and to remove a blob: between the look
	// at what a manifest needs and its entry in the index nothing goes away.
	mu sync.Mutex
	// facts holds what is known of a manifest by its digest. Content with one
	// digest never changes, so it is never out of date.
	facts sync.Map // v1.Hash → *facts
}

// New returns the layout in a directory, which need not exist: it is made when
// something is put there. What is being written lies in the directory staging,
// which must be on the same file system; empty means dir itself.
func New(dir, staging string) *Layout {
	if staging == "" {
		staging = dir
	}
	return &Layout{dir: dir, staging: staging}
}

// Dir returns the layout's directory.
func (l *Layout) Dir() string { return l.dir }

func (l *Layout) blobPath(d v1.Hash) string { return filepath.Join(l.blobs(d.Algorithm), d.Hex) }

func (l *Layout) blobs(algorithm string) string { return filepath.Join(l.dir, "blobs", algorithm) }

// Blob opens a blob; the caller closes it. The error is [ErrNotFound] when
// there is none. The content is not checked.
func (l *Layout) Blob(d v1.Hash) (*os.File, int64, error) {
	f, err := os.Open(l.blobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("blob %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Size returns a blob's length, or [ErrNotFound].
func (l *Layout) Size(d v1.Hash) (int64, error) {
	info, err := os.Stat(l.blobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("blob %s: %w", d, ErrNotFound)
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// ReadBlob returns the whole content of a blob after it has checked it, or
// [ErrTooLarge] when it has more than limit bytes.
func (l *Layout) ReadBlob(d v1.Hash, limit int64) ([]byte, error) {
	f, size, err := l.Blob(d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fmt.Errorf("blob %s has %d bytes, at most %d are read: %w", d, size, limit, ErrTooLarge)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, err)
	}
	if !Is(d, data) {
		return nil, fmt.Errorf("blob %s on the disk: %w", d, ErrDigest)
	}
	return data, nil
}

// AddBlob stores what r gives. The error is [ErrDigest] when that has another
// digest. When the blob is there already, r is not read.
func (l *Layout) AddBlob(d v1.Hash, r io.Reader) error {
	if l.touch(d) {
		return nil
	}
	f, err := stage(l.staging)
	if err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // after Adopt there is nothing to remove
	sum := newHash(d)
	_, err = io.Copy(io.MultiWriter(f, sum), r)
	if err == nil && !sumIs(d, sum) {
		err = ErrDigest
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	return l.Adopt(d, f.Name())
}

// Adopt makes a file the blob with digest d. The caller has checked the digest
// and has synced the file, which is on the layout's file system and is gone
// from its old place afterwards.
func (l *Layout) Adopt(d v1.Hash, path string) error {
	if err := l.create(d.Algorithm); err != nil {
		return err
	}
	now := time.Now() // it may have come slowly
	if err := os.Chtimes(path, now, now); err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	if err := os.Rename(path, l.blobPath(d)); err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	return syncDir(l.blobs(d.Algorithm))
}

// Mount makes a blob of another layout on the same file system one of this
// layout, without a copy. The error is [ErrNotFound] when the other has none.
func (l *Layout) Mount(d v1.Hash, from *Layout) error {
	if !from.Keep(d) {
		return fmt.Errorf("blob %s: %w", d, ErrNotFound)
	}
	if err := l.create(d.Algorithm); err != nil {
		return err
	}
	err := os.Link(from.blobPath(d), l.blobPath(d))
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("blob %s: %w", d, ErrNotFound)
	case err != nil:
		return fmt.Errorf("mount blob %s: %w", d, err)
	}
	return syncDir(l.blobs(d.Algorithm))
}

// Delete removes the layout with everything in it, in one step when it has a
// staging directory of its own. When there is none, that is no error.
func (l *Layout) Delete() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.staging == l.dir {
		return os.RemoveAll(l.dir)
	}
	if err := makeDir(l.staging); err != nil {
		return err
	}
	away := filepath.Join(l.staging, rand.Text())
	err := os.Rename(l.dir, away)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(l.dir))
	}
	return errors.Join(err, os.RemoveAll(away))
}

// Keep says that a blob will be needed by a manifest soon, so that [Layout.Sweep]
// leaves it for its grace, and reports whether it is there.
func (l *Layout) Keep(d v1.Hash) bool {
	l.mu.Lock() // a sweep that is under way has it removed, or leaves it
	defer l.mu.Unlock()
	return l.touch(d)
}

func (l *Layout) touch(d v1.Hash) bool {
	now := time.Now()
	return os.Chtimes(l.blobPath(d), now, now) == nil
}

// Touch is [Layout.Resolve] of a manifest that somebody will need soon: a sweep leaves
// it for its grace.
func (l *Layout) Touch(ref string) (v1.Descriptor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	desc, err := l.Resolve(ref)
	if err == nil {
		l.touch(desc.Digest)
	}
	return desc, err
}

// DeleteBlob removes a blob, or returns [ErrNotFound], or [ErrInUse] when a
// manifest names it or it is one.
func (l *Layout) DeleteBlob(d v1.Hash) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, err := l.index()
	if err != nil {
		return err
	}
	for _, m := range index.Manifests {
		if m.Digest == d {
			return fmt.Errorf("remove blob %s: %w", d, ErrInUse)
		}
		known, err := l.known(m)
		if err != nil {
			return err
		}
		if known.needs(d) {
			return fmt.Errorf("remove blob %s: %w: %s", d, ErrInUse, m.Digest)
		}
	}
	return l.removeBlob(d)
}

func (l *Layout) removeBlob(d v1.Hash) error {
	err := os.Remove(l.blobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s: %w", d, ErrNotFound)
	}
	return err
}
