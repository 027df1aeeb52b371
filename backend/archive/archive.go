// Package archive puts files into one stream and takes them out again:
//
//	zstd of tar:
//	  micro.json    what it is: the first entry
//	  …             the files
//	  SHA256SUMS    their digests, as sha256sum writes them: the last entry
//
// An archive that was cut off has no last entry, and one that was altered other
// digests: whoever reads it is told in the end, and must not use before what came.
package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

const (
	headerName = "micro.json"
	sumsName   = "SHA256SUMS"
	// Bounds of what is held in memory of an archive that somebody made up.
	maxHeader = 64 << 10
	maxFiles  = 1_000_000
	maxWindow = 128 << 20
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrForeign is returned for what is no archive of the kind that was asked for, or
	// one of a newer version.
	ErrForeign = errors.New("not an archive that this version can read")
	// ErrDamaged is returned for an archive that is not what was written.
	ErrDamaged = errors.New("the archive is damaged")
	// ErrCut is returned for an archive whose end is missing.
	ErrCut = errors.New("the archive is cut off")
)

// Header says what an archive is.
type Header struct {
	Kind    string    `json:"kind"`    // such as "backup"
	Version int       `json:"version"` // of what the files mean
	Created time.Time `json:"created"`
	Micro   string    `json:"micro"` // the version that wrote it
}

// Writer writes an archive. Use it from one goroutine.
type Writer struct {
	zstd *zstd.Encoder
	tar  *tar.Writer
	sums bytes.Buffer
	when time.Time
	file *fileWriter // that is being written, nil when none is
}

// NewWriter begins an archive. What is written may come late; see [Writer.Close].
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	a := &Writer{zstd: z, tar: tar.NewWriter(z), when: h.Created}
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return a, a.entry(headerName, append(b, '\n'))
}

// fileWriter is a file in the making.
type fileWriter struct {
	tar  *tar.Writer
	name string
	left int64
	sum  hash.Hash
}

// Write adds to the file, which must not become longer than was said.
func (f *fileWriter) Write(p []byte) (int, error) {
	n, err := f.tar.Write(p)
	f.sum.Write(p[:n])
	f.left -= int64(n)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.name, err)
	}
	return n, err
}

// Create begins a file of so many bytes, which are written to what it returns before
// the next one is begun.
func (a *Writer) Create(name string, size int64) (io.Writer, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := a.end(); err != nil {
		return nil, err
	}
	if err := a.tar.WriteHeader(a.header(name, size)); err != nil {
		return nil, err
	}
	a.file = &fileWriter{tar: a.tar, name: name, left: size, sum: sha256.New()}
	return a.file, nil
}

// end ends the file that is being written.
func (a *Writer) end() error {
	f := a.file
	if f == nil {
		return nil
	}
	if f.left != 0 {
		return fmt.Errorf("%s: %w", f.name, io.ErrUnexpectedEOF)
	}
	a.file = nil
	fmt.Fprintf(&a.sums, "%x  %s\n", f.sum.Sum(nil), f.name)
	return nil
}

// Add adds a file of so many bytes that r gives.
func (a *Writer) Add(ctx context.Context, name string, size int64, r io.Reader) error {
	w, err := a.Create(name, size)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, &reader{ctx, io.LimitReader(r, size)}); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return a.end()
}

// Close ends the archive, which is whole when it returns nil. An archive that shall not
// be whole is left as it is, see [Writer.Discard].
func (a *Writer) Close() error {
	if err := a.end(); err != nil {
		return err
	}
	if err := a.entry(sumsName, a.sums.Bytes()); err != nil {
		return err
	}
	return errors.Join(a.tar.Close(), a.zstd.Close())
}

// Discard gives up an archive; what was written of it is told to be cut off.
func (a *Writer) Discard() { a.zstd.Reset(nil) }

func (a *Writer) header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: a.when.Truncate(time.Second), Format: tar.FormatPAX}
}

func (a *Writer) entry(name string, content []byte) error {
	if err := a.tar.WriteHeader(a.header(name, int64(len(content)))); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// reader is a reader that ends with a context.
type reader struct {
	ctx context.Context //nolint:containedctx // that of the call, for an interface that has none
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// checkName returns an error unless a file can have the name: a path below where it is
// put, with slashes, on any system.
func checkName(name string) error {
	clean := path.Clean(name)
	ok := name == clean && name != "." && !path.IsAbs(name) && clean != ".." && !strings.HasPrefix(clean, "../") &&
		!strings.ContainsAny(name, "\\:\n\x00") && utf8.ValidString(name) && len(name) < 1000 && name != headerName && name != sumsName
	if !ok {
		return fmt.Errorf("%w: %q cannot name a file in it", ErrDamaged, name)
	}
	return nil
}

// Read reads an archive of a kind, and calls file for each file in it, with its length;
// what file does not read of it is skipped. Only when Read returns nil was everything
// what was written.
func Read(ctx context.Context, r io.Reader, kind string, version int, file func(name string, size int64, r io.Reader) error) (Header, error) {
	source := &watched{r: &reader{ctx, r}}
	z, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return Header{}, err
	}
	defer z.Close()
	c := &contents{source: source, tar: tar.NewReader(z), seen: map[string]bool{}}
	h, err := c.header(kind, version)
	if err != nil {
		return Header{}, err
	}
	for done := false; !done; {
		if done, err = c.next(file); err != nil {
			return h, err
		}
	}
	if _, err := c.tar.Next(); !errors.Is(err, io.EOF) {
		return h, fmt.Errorf("%w: there is something behind its end", ErrDamaged)
	}
	// The end of the stream has a checksum too, and nothing must follow.
	if _, err := io.Copy(io.Discard, z); err != nil {
		return h, c.broken(err)
	}
	return h, nil
}

// contents is an archive that is being read.
type contents struct {
	source *watched
	tar    *tar.Reader
	seen   map[string]bool
	sums   bytes.Buffer
}

// header reads the first entry.
func (c *contents) header(kind string, version int) (h Header, err error) {
	foreign := fmt.Errorf("%w: it is something else", ErrForeign)
	e, err := c.tar.Next()
	switch {
	case errors.Is(err, io.EOF) && c.source.read > 0, errors.Is(err, zstd.ErrMagicMismatch):
		return h, foreign
	case err != nil:
		return h, c.broken(err)
	case e.Name != headerName || e.Size > maxHeader:
		return h, foreign
	}
	b, err := io.ReadAll(c.tar)
	if err != nil {
		return h, c.broken(err)
	}
	switch {
	case json.Unmarshal(b, &h) != nil:
		return h, foreign
	case h.Kind != kind:
		return h, fmt.Errorf("%w: it is a %s, and no %s", ErrForeign, h.Kind, kind)
	case h.Version > version:
		return h, fmt.Errorf("%w: micro %s wrote it, with version %d, and this one knows versions up to %d", ErrForeign, h.Micro, h.Version, version)
	}
	return h, nil
}

// next reads an entry, and reports whether it was the last.
func (c *contents) next(file func(name string, size int64, r io.Reader) error) (done bool, err error) {
	e, err := c.tar.Next()
	if err != nil {
		return false, c.broken(err) // an end without the sums is none
	}
	if e.Typeflag != tar.TypeReg {
		return false, fmt.Errorf("%w: %q is no file", ErrDamaged, e.Name)
	}
	if e.Name == sumsName {
		return true, c.compare()
	}
	if err := checkName(e.Name); err != nil {
		return false, err
	}
	if c.seen[e.Name] || len(c.seen) == maxFiles {
		return false, fmt.Errorf("%w: %q is in it twice, or there are too many files", ErrDamaged, e.Name)
	}
	c.seen[e.Name] = true
	sum := sha256.New()
	in := &watched{r: io.TeeReader(c.tar, sum)}
	err = file(e.Name, e.Size, in)
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	if in.err != nil {
		return false, c.broken(in.err)
	}
	if err != nil {
		return false, err
	}
	fmt.Fprintf(&c.sums, "%x  %s\n", sum.Sum(nil), e.Name)
	return false, nil
}

// compare reads the sums.
func (c *contents) compare() error {
	want, err := io.ReadAll(io.LimitReader(c.tar, int64(c.sums.Len())+1))
	if err != nil {
		return c.broken(err)
	}
	if bytes.Equal(want, c.sums.Bytes()) {
		return nil
	}
	got := strings.Split(c.sums.String(), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != line {
			_, name, _ := strings.Cut(line, "  ")
			return fmt.Errorf("%w: %q is not what was written", ErrDamaged, name)
		}
	}
	return fmt.Errorf("%w: there are files in it without a digest", ErrDamaged)
}

// broken says what is wrong with an archive that cannot be read on.
func (c *contents) broken(err error) error {
	switch {
	case c.source.err != nil:
		return c.source.err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return ErrCut
	default:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
}

// watched is a reader whose error can be told from those of who reads it.
type watched struct {
	r    io.Reader
	read int64
	err  error // but for its end
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}
