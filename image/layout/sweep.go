package layout

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Sweep says what [Layout.Sweep] leaves.
type Sweep struct {
	// Needed are manifests that somebody needs who is not here, beside those that
	// have tags. Nil, and not empty, means all of them.
	Needed map[v1.Hash]bool
	// Grace protects what is younger, because something that needs it may be on
	// its way.
	Grace time.Duration
	// DryRun removes nothing, and counts what would be removed.
	DryRun bool
}

// Swept is what a sweep has removed, or would have.
type Swept struct {
	Manifests int   // of images and of what refers to them
	Blobs     int   // manifests included
	Bytes     int64 // of the blobs
	// Manifests that nothing needs and that stay for their grace.
	Young int
}

// Sweep removes what nobody can reach any more. Needed are manifests with a tag, those
// that s names, and young ones; and from there the manifests of an index, those that
// refer to a manifest that is needed, and what all of them are made of. What no index
// entry names was left by a process that was killed, and goes when it is old enough.
//
// A manifest is gone for good when Sweep ends, or still there with all that it needs:
// at whatever moment the process ends, the index names nothing that is missing.
func (l *Layout) Sweep(ctx context.Context, s Sweep) (Swept, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := time.Now().Add(-s.Grace)
	needed, swept, err := l.sweepManifests(s, before)
	if err != nil {
		return swept, err
	}
	for _, algorithm := range []string{"sha256", "sha512"} {
		if err := l.sweepBlobs(ctx, algorithm, needed, before, s.DryRun, &swept); err != nil {
			return swept, err
		}
	}
	return swept, nil
}

// sweepBlobs removes the blobs of one kind that are not needed.
func (l *Layout) sweepBlobs(ctx context.Context, algorithm string, needed map[v1.Hash]bool, before time.Time, dryRun bool, swept *Swept) error {
	entries, err := os.ReadDir(l.blobs(algorithm))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		d := v1.Hash{Algorithm: algorithm, Hex: e.Name()}
		info, err := e.Info()
		if err != nil || needed[d] || !info.Mode().IsRegular() || info.ModTime().After(before) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !dryRun {
			if err := l.removeBlob(d); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			l.facts.Delete(d)
		}
		swept.Blobs++
		swept.Bytes += info.Size()
	}
	return nil
}

// sweepManifests takes the manifests that are not needed out of the index, and returns
// what those that stay need, they themselves included.
func (l *Layout) sweepManifests(s Sweep, before time.Time) (map[v1.Hash]bool, Swept, error) {
	var swept Swept
	index, err := l.index()
	if err != nil {
		return nil, swept, err
	}
	known := make([]*facts, len(index.Manifests))
	for i, e := range index.Manifests {
		if known[i], err = l.known(e); err != nil {
			return nil, swept, err
		}
	}
	r := &reach{entries: index.Manifests, known: known, needed: map[v1.Hash]bool{}}
	for i, e := range index.Manifests {
		if s.Needed[e.Digest] || r.subject(i) == (v1.Hash{}) && (s.Needed == nil || e.Annotations[tagAnnotation] != "") {
			r.need(e.Digest)
		}
	}
	r.follow()
	for _, e := range index.Manifests {
		if !r.needed[e.Digest] && !l.olderThan(e.Digest, before) {
			swept.Young++
			r.need(e.Digest)
		}
	}
	r.follow()
	kept := slices.DeleteFunc(slices.Clone(index.Manifests), func(e v1.Descriptor) bool { return !r.needed[e.Digest] })
	gone := map[v1.Hash]bool{}
	for _, e := range index.Manifests {
		if !r.needed[e.Digest] {
			gone[e.Digest] = true
		}
	}
	swept.Manifests = len(gone)
	if len(gone) > 0 && !s.DryRun {
		if err := l.replaceIndex(kept); err != nil {
			return nil, swept, err
		}
	}
	for i, e := range index.Manifests {
		if r.needed[e.Digest] {
			for _, d := range slices.Concat(known[i].blobs, known[i].children) {
				r.needed[d] = true
			}
		}
	}
	return r.needed, swept, nil
}

// reach finds the manifests that can be reached.
type reach struct {
	entries []v1.Descriptor
	known   []*facts
	needed  map[v1.Hash]bool
	grown   bool
}

func (r *reach) need(d v1.Hash) {
	if !r.needed[d] {
		r.needed[d] = true
		r.grown = true
	}
}

// follow adds what is reached from what is needed until there is nothing more.
func (r *reach) follow() {
	for r.grown = true; r.grown; {
		r.grown = false
		for i, e := range r.entries {
			if subject := r.subject(i); subject != (v1.Hash{}) && r.needed[subject] {
				r.need(e.Digest)
			}
			if r.needed[e.Digest] {
				for _, d := range r.known[i].children {
					r.need(d)
				}
			}
		}
	}
}

// subject returns the manifest that an entry refers to: as its manifest says, or as its
// tag does, which is how clients refer to an image in a registry that they think knows
// no referrers: sha256-HEX, and sha256-HEX.sig and the like.
func (r *reach) subject(i int) v1.Hash {
	if s := r.known[i].subject; s != (v1.Hash{}) {
		return s
	}
	name, _, _ := strings.Cut(r.entries[i].Annotations[tagAnnotation], ".")
	algorithm, hex, ok := strings.Cut(name, "-")
	if d, err := ParseDigest(algorithm + ":" + hex); ok && err == nil {
		return d
	}
	return v1.Hash{}
}

func (l *Layout) olderThan(d v1.Hash, before time.Time) bool {
	info, err := os.Stat(l.blobPath(d))
	return err != nil || info.ModTime().Before(before)
}
