package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/micro/micro/v3/backend/audit"
	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/backup"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/embedded"
	eventsembedded "github.com/micro/micro/v3/backend/events/embedded"
	"github.com/micro/micro/v3/backend/store"
	storeembedded "github.com/micro/micro/v3/backend/store/embedded"
	"github.com/micro/micro/v3/image/registry"
)

// Problem is something in the data of a server that is not as it must be.
type Problem struct {
	File  string `json:"file"`            // below the data directory
	What  string `json:"what"`            // that is wrong with it
	Means string `json:"means,omitempty"` // what follows
}

// Report is what a check of a data directory has seen.
type Report struct {
	DataDir    string `json:"dataDir"`
	Tables     int    `json:"tables"`
	TableBytes int64  `json:"tableBytes"`
	Records    int64  `json:"records"`
	Changes    int64  `json:"changes"`
	Topics     int64  `json:"topics"`
	Events     int64  `json:"events"`
	Namespaces int    `json:"namespaces"`
	Values     int    `json:"configurationValues"`
	Blobs      int    `json:"blobs"`
	BlobBytes  int64  `json:"blobBytes"`
	Services   int    `json:"services"`
	Audit      int64  `json:"auditEntries"`
	Images     int    `json:"imageBlobs"`
	ImageBytes int64  `json:"imageBytes"`
	// Unread says that what is in the tables was not looked at, since some of them are
	// damaged or the database does not open.
	Unread   bool      `json:"unread,omitempty"`
	Problems []Problem `json:"problems"`
}

// What it means that something is damaged.
const (
	meansTable  = "what is in this table cannot be read, and is refused: records, blobs, events or accounts; the rest can be read"
	meansStore  = "the server does not start on this database"
	meansRecord = "this record is refused to whoever asks for it"
	meansKey    = "sessions and secrets of the configuration cannot be opened without the key that they were made with"
	meansAudit  = "who did what is not known for sure any more"
	meansBlob   = "reading this blob ends with an error"
	meansImage  = "instances cannot be started from it; to push the image again makes it whole"
)

// ErrUnfinished is returned for a data directory in which a restore was interrupted.
var ErrUnfinished = errors.New("a restore was interrupted here, and goes on when the server is started")

// Check reads all of a data directory that no server has open, and compares it with its
// checksums and digests, without changing anything. What is wrong is in the report; the
// error is of a directory that cannot be looked at.
func Check(ctx context.Context, dir string) (*Report, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	unlock, err := lockDataDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if backup.Unfinished(dir) {
		return nil, fmt.Errorf("%s: %w", dir, ErrUnfinished)
	}
	return check(ctx, dir)
}

// check checks a data directory that nobody else uses.
func check(ctx context.Context, dir string) (*Report, error) {
	c := &checker{dir: dir, report: &Report{DataDir: dir, Problems: []Problem{}}}
	key := c.masterKey()
	if err := c.images(ctx); err != nil {
		return nil, err
	}
	if err := c.database(ctx, key); err != nil {
		return nil, err
	}
	return c.report, ctx.Err()
}

type checker struct {
	dir    string
	report *Report
}

func (c *checker) tell(file, means string, err error) {
	c.report.Problems = append(c.report.Problems, Problem{File: filepath.ToSlash(file), What: err.Error(), Means: means})
}

// masterKey returns the key; nil when it is no good.
func (c *checker) masterKey() []byte {
	const name = "master.key"
	key, err := os.ReadFile(filepath.Join(c.dir, name))
	if err == nil && len(key) != auth.MasterKeySize {
		err = fmt.Errorf("it has %d bytes, and not %d", len(key), auth.MasterKeySize)
	}
	if err != nil {
		c.tell(name, meansKey, pathless(err))
		return nil
	}
	return key
}

// pathless returns err without the name of the file, which stands before it.
func pathless(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// openImages returns the image registry, which must not be written to.
func (c *checker) openImages() *registry.Registry {
	return registry.Inspect(filepath.Join(c.dir, "images"))
}

func (c *checker) images(ctx context.Context) error {
	var err error
	c.report.Images, c.report.ImageBytes, err = c.openImages().Check(ctx, func(file string, err error) {
		c.tell(filepath.Join("images", file), meansImage, err)
	})
	return err
}

// database checks the database and what is in it.
func (c *checker) database(ctx context.Context, key []byte) error {
	const name = "store"
	dir := filepath.Join(c.dir, name)
	var err error
	c.report.Tables, c.report.TableBytes, err = embedded.CheckTables(ctx, dir, embedded.Options{}, func(file string, err error) {
		c.report.Unread = true
		c.tell(filepath.Join(name, file), meansTable, err)
	})
	if err != nil {
		return err
	}
	db, err := embedded.Open(ctx, dir, embedded.Options{ReadOnly: true, Fatal: func(error) {}})
	if errors.Is(err, embedded.ErrInUse) {
		return err
	}
	if err != nil {
		c.report.Unread = true
		c.tell(name, meansStore, err)
		return nil
	}
	if c.report.Unread {
		return db.Close() // it opens; what can be read of it is not what it was
	}
	return errors.Join(c.spaces(ctx, db, key), db.Close())
}

// spaces checks what the drivers keep in a database, and what stands on that.
func (c *checker) spaces(ctx context.Context, db *embedded.DB, key []byte) error {
	const name = "store"
	tell := func(what string, err error) { c.tell(name, meansRecord, fmt.Errorf("%s: %w", what, err)) }
	records, err := storeembedded.Check(ctx, db, tell)
	c.report.Records, c.report.Changes = records.Records, records.Changes
	if err := c.broken(ctx, err); err != nil {
		return err
	}
	events, err := eventsembedded.Check(ctx, db, tell)
	c.report.Topics, c.report.Events = events.Topics, events.Events
	if err := c.broken(ctx, err); err != nil {
		return err
	}
	s, err := storeembedded.Open(ctx, db, storeembedded.Options{ReadOnly: true})
	if err != nil {
		return c.broken(ctx, err)
	}
	return errors.Join(c.contents(ctx, s, key), s.Close())
}

// broken tells of a database that cannot be read on, unless that is known already, and
// returns the error of a check that was given up.
func (c *checker) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	known := errors.Is(err, embedded.ErrDamaged) && len(c.report.Problems) > 0
	if err != nil && !known {
		c.tell("store", meansStore, err)
	}
	return nil
}

// contents checks what records mean.
func (c *checker) contents(ctx context.Context, s store.Store, key []byte) error {
	if key == nil {
		return nil
	}
	namespaces, err := auth.Check(ctx, s, key, func(record string, err error) {
		c.tell("store", meansKey, fmt.Errorf("%q: %w", record, err))
	})
	c.report.Namespaces = len(namespaces)
	if err := c.broken(ctx, err); err != nil {
		return err
	}
	log, err := audit.New(audit.Options{Store: s, MasterKey: key})
	if err != nil {
		return err
	}
	for _, ns := range namespaces {
		if err := errors.Join(c.namespace(ctx, s, key, ns), c.audit(ctx, log, ns)); err != nil {
			return errors.Join(err, log.Close())
		}
	}
	return log.Close()
}

// namespace checks what the records of a namespace mean.
func (c *checker) namespace(ctx context.Context, s store.Store, key []byte, ns string) error {
	tell := func(means string) func(string, error) {
		return func(record string, err error) { c.tell("store", means, fmt.Errorf("%q: %w", record, err)) }
	}
	values, err := config.Check(ctx, s, key, ns, tell(meansKey))
	c.report.Values += values
	if err := c.broken(ctx, err); err != nil {
		return err
	}
	n, bytes, err := blobs.Check(ctx, s, ns, tell(meansBlob))
	c.report.Blobs += n
	c.report.BlobBytes += bytes
	if err := c.broken(ctx, err); err != nil {
		return err
	}
	images, platform := c.openImages(), runtime.GOOS+"/"+runtime.GOARCH
	hasImage := func(ref string) error { _, err := images.Image(ctx, ref, platform); return err }
	services, err := deploy.CheckServices(ctx, s, ns, hasImage, func(name string, err error) {
		c.tell("images", meansImage, fmt.Errorf("service %s of namespace %q: %w", name, ns, err))
	})
	c.report.Services += services
	return c.broken(ctx, err)
}

// audit checks the log of a namespace of who did what.
func (c *checker) audit(ctx context.Context, log *audit.Log, ns string) error {
	found, err := log.Verify(ctx, ns)
	if found.Last > 0 {
		c.report.Audit += found.Last - found.First + 1
	}
	for _, problem := range found.Problems {
		c.tell("store", meansAudit, fmt.Errorf("the audit log of namespace %q: %s", ns, problem))
	}
	return c.broken(ctx, err)
}
