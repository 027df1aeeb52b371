package registry

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/micro/micro/v3/image/layout"
)

// stall is how long a client may send nothing in the middle of a request.
const stall = time.Minute

// upload is a blob that arrives.
type upload struct {
	id         string
	namespace  string
	repository string
	timer      *time.Timer

	mu   sync.Mutex
	file *os.File  // nil after the end
	size int64     // of the file
	sum  hash.Hash // sha256, which nearly everybody uses
}

func (u *upload) begin(f *os.File) {
	u.file, u.sum = f, sha256.New()
}

// append adds what r gives. An error of the file leaves the upload unusable.
func (u *upload) append(r io.Reader) error {
	n, err := io.Copy(io.MultiWriter(u.file, u.sum), r)
	u.size += n
	return err
}

// commit makes the upload a blob, or returns [layout.ErrDigest].
func (u *upload) commit(d v1.Hash, l *layout.Layout) error {
	if d.Algorithm == "sha512" { // nobody said so before
		u.sum = sha512.New()
		if _, err := io.Copy(u.sum, io.NewSectionReader(u.file, 0, u.size)); err != nil {
			return err
		}
	}
	if hex.EncodeToString(u.sum.Sum(nil)) != d.Hex {
		return layout.ErrDigest
	}
	if err := u.file.Sync(); err != nil {
		return err
	}
	if err := l.Adopt(d, u.file.Name()); err != nil {
		return err
	}
	f := u.file
	u.file = nil
	return f.Close()
}

// discard removes what arrived. More than one call is none.
func (u *upload) discard() error {
	if u.file == nil {
		return nil
	}
	f := u.file
	u.file = nil
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// report sets the headers that say where the upload is and how much arrived.
func (u *upload) report(c *call) {
	header := c.w.Header()
	header.Set("Location", "/v2/"+c.repository+"/blobs/uploads/"+u.id)
	header.Set("Docker-Upload-Uuid", u.id)
	header.Set("Range", "0-"+strconv.FormatInt(max(u.size-1, 0), 10))
}

// body reads a request's body. It keeps the error, so that one of the client
// can be told from one of the disk, and lets a client that stalls fail.
type body struct {
	r      io.Reader
	extend func() error
	err    error
}

func (b *body) Read(p []byte) (int, error) {
	// Only a connection has deadlines; a test's recorder has none.
	_ = b.extend()
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

func isTooLarge(err error) bool {
	var e *http.MaxBytesError
	return errors.As(err, &e)
}

// readError returns the answer for a body that did not arrive whole.
func readError(err error) error {
	if isTooLarge(err) {
		return err
	}
	return errorf(http.StatusBadRequest, "SIZE_INVALID", "the content did not arrive whole")
}
