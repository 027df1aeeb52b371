package layout

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Sweep removes what nobody can reach any more: manifests that refer to a
// manifest that is gone, and then blobs that no manifest needs. What is younger
// than grace stays, because its manifest may be on its way. It returns how many
// bytes were given back.
func (l *Layout) Sweep(ctx context.Context, grace time.Duration) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := time.Now().Add(-grace)
	needed, err := l.dropOrphans(before)
	if err != nil {
		return 0, err
	}
	var freed int64
	for _, algorithm := range []string{"sha256", "sha512"} {
		n, err := l.sweepBlobs(ctx, algorithm, needed, before)
		freed += n
		if err != nil {
			return freed, err
		}
	}
	return freed, nil
}

func (l *Layout) sweepBlobs(ctx context.Context, algorithm string, needed map[v1.Hash]bool, before time.Time) (int64, error) {
	entries, err := os.ReadDir(l.blobs(algorithm))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var freed int64
	for _, e := range entries {
		d := v1.Hash{Algorithm: algorithm, Hex: e.Name()}
		info, err := e.Info()
		if err != nil || needed[d] || !info.Mode().IsRegular() || info.ModTime().After(before) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return freed, err
		}
		if err := l.removeBlob(d); err != nil && !errors.Is(err, ErrNotFound) {
			return freed, err
		}
		l.facts.Delete(d)
		freed += info.Size()
	}
	return freed, nil
}

// dropOrphans takes the manifests out of the index whose subject is gone, and
// returns what those that stay need, they themselves included.
func (l *Layout) dropOrphans(before time.Time) (map[v1.Hash]bool, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	needed := map[v1.Hash]bool{}
	for _, e := range index.Manifests {
		needed[e.Digest] = true
	}
	kept := index.Manifests[:0:0]
	for _, e := range index.Manifests {
		k, err := l.known(e)
		if err != nil {
			return nil, err
		}
		if k.subject != (v1.Hash{}) && !needed[k.subject] && l.olderThan(e.Digest, before) {
			delete(needed, e.Digest)
			continue
		}
		kept = append(kept, e)
		for _, d := range slices.Concat(k.blobs, k.children) {
			needed[d] = true
		}
	}
	if len(kept) == len(index.Manifests) {
		return needed, nil
	}
	return needed, l.replaceIndex(kept)
}

func (l *Layout) olderThan(d v1.Hash, before time.Time) bool {
	info, err := os.Stat(l.blobPath(d))
	return err != nil || info.ModTime().Before(before)
}
