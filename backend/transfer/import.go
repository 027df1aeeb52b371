package transfer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/archive"
	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/tables"
)

// ErrInvalid marks an archive that cannot be imported; its text says why.
var ErrInvalid = errors.New("invalid")

// invalidError is an [ErrInvalid] that has no text but its own.
type invalidError string

func (e invalidError) Error() string { return string(e) }

func (e invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// Target is a namespace that something is imported into.
type Target struct {
	Tables    *tables.Tables
	Blobs     *blobs.Blobs
	Config    *config.Config
	Auth      *auth.Auth
	Namespace string
	By        string // the account that asks for it
	// Allowed returns why something may not be imported.
	Allowed func(ctx context.Context, r Right) error
	// CheckMetadata returns what is wrong with the metadata of a record.
	CheckMetadata func(metadata []byte) error
}

const (
	// maxBlobs bounds what has to be remembered of an import.
	maxBlobs = 200_000
	// maxSmall is more than any of the files has that are read as a whole.
	maxSmall = 4 << 20
)

// Import brings what an archive has into a namespace. All of it is laid down beside what
// is there first, and nothing changes before it has come and has the digests that it was
// written with; then it is written in parts, each at once. Where that fails the error
// says so, and to import the same again makes it whole. Records, blobs, values and rules
// of the same names are replaced, others stay.
func Import(ctx context.Context, r io.Reader, t Target) (Summary, error) {
	i := &imported{Target: t, records: t.Tables.NewImport(t.Namespace), allowed: map[Right]bool{}}
	i.records.Limit = math.MaxInt64
	defer i.discard(ctx)
	_, err := archive.Read(ctx, r, kind, version, func(name string, size int64, r io.Reader) error { return i.file(ctx, name, size, r) })
	if err == nil && i.pending != nil {
		err = invalid("the content of the blob %q is missing", i.pending.Name)
	}
	if err == nil && !i.named {
		err = invalid("it does not say of which namespace it is")
	}
	if err != nil {
		return i.sum, err
	}
	if err := i.commit(ctx); err != nil {
		return i.sum, fmt.Errorf("a part of it is written, import again to make it whole: %w", err)
	}
	return i.sum, nil
}

type imported struct {
	Target

	sum     Summary
	named   bool // its first file has come
	records *tables.Import
	uploads []*blobs.Upload
	pending *blob // whose content comes next
	config  []byte
	rules   []auth.Rule
	allowed map[Right]bool
}

func (i *imported) may(ctx context.Context, typ, name string) error {
	r := Right{Type: typ, Name: name}
	if i.allowed[r] {
		return nil
	}
	err := i.Allowed(ctx, r)
	if err == nil && typ != "blob" {
		i.allowed[r] = true
	}
	return err
}

// file takes a file of the archive.
func (i *imported) file(ctx context.Context, name string, size int64, r io.Reader) error {
	if i.pending != nil {
		return i.content(ctx, name, size, r)
	}
	switch {
	case name == namespaceFile:
		var h header
		err := decode(name, r, &h)
		i.named, i.sum.Namespace, i.sum.Revision = true, h.Namespace, h.Revision
		return err
	case name == rulesFile:
		if err := i.may(ctx, "auth", "*"); err != nil {
			return err
		}
		return decode(name, r, &i.rules)
	case name == configFile:
		if err := i.may(ctx, "config", "*"); err != nil {
			return err
		}
		var v json.RawMessage
		err := decode(name, r, &v)
		i.config = v
		return err
	case strings.HasPrefix(name, recordsDir):
		return i.lines(ctx, name, r)
	case strings.HasPrefix(name, blobsDir) && strings.HasSuffix(name, ".json"):
		i.pending = &blob{}
		return decode(name, r, i.pending)
	default:
		return invalid("the file %q belongs to no namespace", name)
	}
}

// decode reads a small file of JSON.
func decode(name string, r io.Reader, v any) error {
	b, err := io.ReadAll(io.LimitReader(r, maxSmall+1))
	if err != nil {
		return err
	}
	if len(b) > maxSmall || json.Unmarshal(b, v) != nil {
		return invalid("the file %q is not what it must be", name)
	}
	return nil
}

// content takes the content of a blob.
func (i *imported) content(ctx context.Context, name string, size int64, r io.Reader) error {
	b := *i.pending
	i.pending = nil
	if size != b.Size || len(i.uploads) == maxBlobs {
		return invalid("the file %q has %d bytes, and the blob %q %d; or there are more than %d", name, size, b.Name, b.Size, maxBlobs)
	}
	if err := i.may(ctx, "blob", b.Name); err != nil {
		return err
	}
	u, err := i.Blobs.Create(ctx, i.Namespace, blobs.Info{Name: b.Name, ContentType: b.Type, Metadata: b.Metadata}, nil)
	if err != nil {
		return err
	}
	i.uploads = append(i.uploads, u)
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		if err := u.Write(ctx, buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	i.sum.BlobBytes += size
	return u.Park(ctx, tables.ImportTTL)
}

// maxLine is more than any record has in JSON.
const maxLine = 4 << 20

// lines takes records.
func (i *imported) lines(ctx context.Context, name string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var rec record
		if json.Unmarshal(lines.Bytes(), &rec) != nil {
			return invalid("a line of the file %q is no record", name)
		}
		if err := i.may(ctx, "store", rec.Table); err != nil {
			return err
		}
		if rec.Expires != nil && time.Until(*rec.Expires) > tables.MaxExpiry {
			return invalid("a record of the file %q expires at %s, which is too far away", name, rec.Expires.Format(time.RFC3339))
		}
		if err := i.CheckMetadata(rec.Metadata); err != nil {
			return invalid("a record of the file %q has metadata that are none", name)
		}
		if err := i.records.Add(ctx, rec.entry()); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return invalid("a line of the file %q is longer than that of any record", name)
	}
	return lines.Err()
}

// commit writes what was laid down. The rules come last: they may close what is written.
func (i *imported) commit(ctx context.Context) error {
	for len(i.uploads) > 0 {
		if _, err := i.uploads[0].Commit(ctx, -1, nil); err != nil {
			return err
		}
		i.uploads = i.uploads[1:]
		i.sum.Blobs++
	}
	var err error
	if i.sum.Records, i.sum.Expired, err = i.records.Commit(ctx); err != nil {
		return err
	}
	if i.config != nil {
		if _, err := i.Config.Set(ctx, i.Namespace, "", i.config, config.SetOptions{By: i.By, Merge: true}); err != nil {
			return err
		}
		i.sum.Values = countValues(i.config)
	}
	for rules := i.rules; len(rules) > 0; {
		n := min(len(rules), 500)
		if err := i.Auth.ReplaceRules(ctx, i.Namespace, rules[:n]); err != nil {
			return err
		}
		rules = rules[n:]
		i.sum.Rules += n
	}
	return nil
}

// countValues returns how many values JSON has that are no objects, but for secrets.
func countValues(b []byte) int {
	var members map[string]json.RawMessage
	if json.Unmarshal(b, &members) != nil || members == nil {
		return 1
	}
	n := 0
	for name, m := range members {
		if name == "$secret" {
			return 1
		}
		n += countValues(m)
	}
	return n
}

// discard removes what was laid down and not written; what it cannot remove expires.
func (i *imported) discard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, u := range i.uploads {
		_ = u.Discard(ctx) // see above
	}
	_ = i.records.Discard(ctx) // see above
}
