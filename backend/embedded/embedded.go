// Package embedded opens the one database of a server that keeps its data itself:
// a directory with a Pebble database in it, which the embedded drivers share.
//
//	store/embedded ──┐  each owns the keys that begin with its [Space] and
//	events/embedded ─┴─ writes through a [Committer] of its own
//	     embedded.DB     one write-ahead log, one fsync for whoever waits
//	       a directory   locked, marked as ours, watched for room
//
// It keeps one promise, that what was acknowledged is there after a crash: a write
// is acknowledged after an fsync, reads show nothing that is not durable, an fsync
// that fails stops the database for good, and damage that Pebble itself would pass
// over is found when the directory is opened. What keys and values mean is the
// drivers' business.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrInUse is returned by [Open] for a directory that is open already.
	ErrInUse = errors.New("another server uses it")
	// ErrForeign is returned by [Open] for a directory with something else in it,
	// and for one that a newer version made.
	ErrForeign = errors.New("no database that this version can read")
	// ErrDamaged means that the directory does not hold what was written to it.
	ErrDamaged = errors.New("the database is damaged")
	// ErrFull means that there is too little room on the disk for a write.
	ErrFull = errors.New("too little room")
	// ErrNotFound is returned for a key that is not there.
	ErrNotFound = pebble.ErrNotFound
)

// Space is the first byte of all keys of one owner.
type Space byte

// The owners of keys.
const (
	Store  Space = 's'
	Events Space = 'e'
)

// Options adjust a database. The zero value is good for a server.
type Options struct {
	// FS is where the directory is; nil: the file system of the machine.
	FS vfs.FS
	// Logger is told what a person who runs the server should know; nil: nobody is.
	Logger *slog.Logger
	// Reserve is how many bytes of the disk are left free: with less, nothing can
	// be added. 0: 2 % of the disk, but at least 64 MiB and at most 256 MiB,
	// and no more than a quarter of it.
	Reserve int64
	// MemTable is how many bytes are collected in memory before they go to a
	// table on disk; 0: 4 MiB.
	MemTable int
	// ReadOnly opens a directory without changing anything in it but its lock. It must
	// hold a database, and nothing may be written to that.
	ReadOnly bool
	// Fatal is called once, on a goroutine of its own, when a write or an fsync
	// failed after Open: what the disk holds is then unknown, and the process
	// should end. When it returns, every call returns the error from then on.
	// nil: the process panics.
	Fatal func(error)
}

// Memory returns a file system for [Options] that is gone when the process ends.
func Memory() vfs.FS { return vfs.NewMem() }

// DB is an open database. All methods are safe for concurrent use.
type DB struct {
	fs      vfs.FS
	dir     string
	pebble  *pebble.DB
	lock    *pebble.Lock
	halt    *halt
	space   *space
	witness *witness
	ledger  *ledger
	reclaim *reclaimer
}

// Open opens the database in a directory, which it makes when it is not there.
// Only one process at a time can have it open ([ErrInUse]). A directory that holds
// anything else ([ErrForeign]) or is damaged ([ErrDamaged]) is refused, and the
// error names the file.
func Open(ctx context.Context, dir string, o Options) (*DB, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	take := claim
	if o.ReadOnly {
		take = lockOurs
	}
	lock, err := take(o.FS, dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	d := &DB{fs: o.FS, dir: dir, lock: lock, halt: newHalt(o.Logger, o.Fatal)}
	d.reclaim = newReclaimer(d)
	if err := d.open(o); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, d.abandon(err))
	}
	d.halt.opened.Store(true)
	// What failed before that nobody was told of yet.
	if err := d.halt.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return d, nil
}

// open does what is left when the directory is known to be ours.
func (d *DB) open(o Options) (err error) {
	d.space = newSpace(o.FS, d.dir, o.Reserve)
	fs := &guardFS{FS: o.FS, dir: clean(o.FS, d.dir), halt: d.halt, space: d.space}
	if d.witness, err = readWitness(o.FS, d.dir, d.halt, o.Logger); err != nil {
		return err
	}
	if d.pebble, err = openPebble(d.dir, o, fs, d.halt, d.lock); err != nil {
		return err
	}
	if d.ledger, err = readLedger(d.pebble); err != nil {
		return d.wrap(err)
	}
	if err := d.witness.verify(d.ledger.last); err != nil {
		return err
	}
	if o.ReadOnly {
		return nil
	}
	if err := fs.allowRemove(); err != nil {
		return err
	}
	if err := d.witness.start(d.ledger.last); err != nil {
		return err
	}
	d.reclaim.start()
	return nil
}

// abandon releases what a failed open holds. After a failure of the disk that is
// nothing, not even the lock: something may still be about to write.
func (d *DB) abandon(err error) error {
	if halted := d.halt.Err(); halted != nil {
		return halted
	}
	if d.witness != nil {
		err = errors.Join(err, d.witness.close())
	}
	if d.pebble != nil {
		err = errors.Join(err, d.pebble.Close())
	}
	return errors.Join(err, d.lock.Close())
}

// Close releases the directory. Whoever uses the database must have ended: what
// is called afterwards panics. After a failure it returns that, and the directory
// stays locked until the process ends.
func (d *DB) Close() error {
	if err := d.halt.Err(); err != nil {
		return err
	}
	d.halt.closing()
	d.reclaim.stop()
	d.witness.stop()
	if err := d.halt.await(d.pebble.Close); err != nil {
		return fmt.Errorf("close %s: %w", d.dir, err)
	}
	// Only now is it known what the files look like in the end.
	var err error
	if d.witness.file != nil { // else nothing was written
		err = d.witness.seal()
	}
	if err := errors.Join(err, d.lock.Close()); err != nil {
		return fmt.Errorf("close %s: %w", d.dir, err)
	}
	return nil
}

// Failed is closed when the database has stopped for good; [DB.Err] says why.
func (d *DB) Failed() <-chan struct{} { return d.halt.done }

// Err returns why the database has stopped, nil as long as it works.
func (d *DB) Err() error { return d.halt.Err() }

// Room returns [ErrFull] when there is no room on the disk for a write of so many
// bytes. With 0 it is asked for a write that only removes: that is let through for
// longer, so that one can get out of a full disk.
func (d *DB) Room(bytes int) error {
	err := d.space.room(bytes)
	if err != nil {
		d.reclaim.short()
	}
	return err
}

// Get returns the value of a key, durable or not: it is for finding out what a
// write would change. The caller closes what comes with the value, which is valid
// until then.
func (d *DB) Get(key []byte) ([]byte, io.Closer, error) {
	v, c, err := d.pebble.Get(key)
	if err != nil {
		return nil, nil, d.wrap(err)
	}
	return v, c, nil
}

// NewIter returns an iterator over what is there, durable or not; for what has
// become durable otherwise, such as entries up to a known one. The caller closes
// it, and hands its error to [DB.IterError].
func (d *DB) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	it, err := d.pebble.NewIter(o)
	return it, d.wrap(err)
}

// IterError returns what ended an iteration, nil when that was its end.
func (d *DB) IterError(it *pebble.Iterator) error { return d.wrap(it.Error()) }

// wrap makes an error of Pebble say which file it is about.
func (d *DB) wrap(err error) error {
	if err == nil || errors.Is(err, pebble.ErrNotFound) || errors.Is(err, ErrDamaged) {
		return err
	}
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, info.Path, err)
	}
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, d.dir, err)
	}
	return fmt.Errorf("read %s: %w", d.dir, err)
}

// apply makes a batch durable. It returns afterwards or with the error that
// stopped the database.
func (d *DB) apply(b *pebble.Batch) (err error) {
	// Pebble panics when a log cannot be written or closed.
	defer func() {
		if p := recover(); p != nil {
			err = d.halt.fail(fmt.Errorf("write %s: %v", d.dir, p))
		}
	}()
	if err := d.halt.Err(); err != nil {
		return err
	}
	size := b.Len() // a large batch is Pebble's from here on
	number, err := d.log(b)
	if err != nil {
		return d.halt.fail(fmt.Errorf("write %s: %w", d.dir, err))
	}
	if err := b.SyncWait(); err != nil {
		return d.halt.fail(fmt.Errorf("write %s: %w", d.dir, err))
	}
	d.space.wrote(size)
	d.reclaim.wrote()
	d.witness.saw(number)
	return nil
}

// log gives a batch its number and its place in the log. With Pebble's Apply an fsync
// that fails would end in a Fatalf, here it is an error of SyncWait.
func (d *DB) log(b *pebble.Batch) (number uint64, err error) {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	number = d.ledger.add(b)
	return number, d.pebble.ApplyNoSyncWait(b, pebble.Sync)
}
