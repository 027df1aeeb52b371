package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// maxInflated is the most that all objects of a pack may hold. A pack of zeros
// inflates a thousandfold, and every object is inflated at least twice.
const maxInflated = 16 << 30

// limits bound what a stranger's repository may take.
type limits struct {
	bytes, file int64
	files       int
}

// unpack reads a pack into a new object storage in an empty directory. Nothing
// of it is held in memory before it is known to be small enough. The caller
// closes the storage.
func unpack(ctx context.Context, pack io.Reader, dir string, l limits, progress func(done int64)) (*filesystem.Storage, error) {
	f, err := os.CreateTemp(dir, "*.pack")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the whole directory is removed later
	defer f.Close()
	w := &counter{w: f, left: l.bytes, progress: progress}
	if _, err := io.Copy(w, pack); err != nil {
		return nil, err
	}
	if err := scan(ctx, f, l.file); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	storage := filesystem.NewStorageWithOptions(osfs.New(dir), cache.NewObjectLRU(32*cache.MiByte),
		filesystem.Options{KeepDescriptors: true, LargeObjectThreshold: 1 << 20})
	index, err := storage.PackfileWriter()
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(index, f)
	if err := errors.Join(err, index.Close()); err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	return storage, nil
}

// scan looks at how large the objects of a pack will be, and returns
// [ErrTooLarge] when one is larger than limit. To make the index of a pack, all
// of an object is held in memory.
func scan(ctx context.Context, f io.ReadSeeker, limit int64) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s := packfile.NewScanner(f)
	_, count, err := s.Header()
	if err != nil {
		return err
	}
	var total int64
	for range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := s.NextObjectHeader()
		if err != nil {
			return err
		}
		if header.Length > limit {
			return fmt.Errorf("a file of %d bytes, at most %d are taken: %w", header.Length, limit, ErrTooLarge)
		}
		var head sizes
		n, _, err := s.NextObject(&head)
		if err != nil {
			return err
		}
		if header.Type == plumbing.OFSDeltaObject || header.Type == plumbing.REFDeltaObject {
			if n = head.result(); n > limit {
				return fmt.Errorf("a file of %d bytes, at most %d are taken: %w", n, limit, ErrTooLarge)
			}
		}
		if total += n; total > maxInflated {
			return fmt.Errorf("more than %d bytes of history: %w", int64(maxInflated), ErrTooLarge)
		}
	}
	return nil
}

// sizes keeps the beginning of a delta, where its sizes are.
type sizes struct {
	head [20]byte
	n    int
}

func (s *sizes) Write(p []byte) (int, error) {
	s.n += copy(s.head[s.n:], p)
	return len(p), nil
}

// result returns how large what the delta makes will be: the second of the two
// numbers at its beginning, each in groups of seven bits, the lowest first.
func (s *sizes) result() int64 {
	var size uint64
	at := 0
	for range 2 {
		size = 0
		for shift := 0; at < s.n && shift < 63; shift += 7 {
			b := s.head[at]
			at++
			size |= uint64(b&0x7f) << shift
			if b&0x80 == 0 {
				break
			}
		}
	}
	return int64(size & (1<<63 - 1))
}

// counter counts what is written, and fails when it is too much.
type counter struct {
	w        io.Writer
	left     int64
	done     int64
	progress func(done int64)
}

func (c *counter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		return 0, fmt.Errorf("the repository sends more than %d bytes: %w", c.done+c.left, ErrTooLarge)
	}
	n, err := c.w.Write(p)
	c.left -= int64(n)
	c.done += int64(n)
	c.progress(c.done)
	return n, err
}
