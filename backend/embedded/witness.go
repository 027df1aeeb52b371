package embedded

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	witnessFile = "WITNESS"
	witnessSlot = 4096
	// witnessDelay is how long the witness may be behind. It costs an fsync.
	witnessDelay = time.Second
)

// castagnoli is the polynomial that processors know.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// testimony is what was durable at some time.
type testimony struct {
	generation uint64
	batch      uint64 // the number of the last batch that was
	manifest   string // the list of tables: its file,
	size       int64  // the length of what was durable of it
	sum        uint32 // and its checksum
}

// witness says in a file of its own what was durable, at most a moment ago.
//
// Pebble reads its log and its list of tables up to the first record that makes no
// sense and takes that for what a crash left there. Where such an end lies before
// something that was durable, it is damage, and only a witness can tell.
//
// The file has two slots, of which the older is overwritten: one of them is whole
// whatever happens. A damaged witness is no damage to the data.
type witness struct {
	fs   vfs.FS
	dir  string
	halt *halt

	batch atomic.Uint64 // to be testified
	armed atomic.Bool   // the timer runs

	arming sync.Mutex // guards timer and ended; never held while the disk is at work
	timer  *time.Timer
	ended  bool

	mu   sync.Mutex // guards last and file, and makes one testimony come after the other
	last testimony
	file vfs.File
}

// readWitness reads what is testified and checks the list of tables by it.
func readWitness(fsys vfs.FS, dir string, h *halt, log *slog.Logger) (*witness, error) {
	w := &witness{fs: fsys, dir: dir, halt: h}
	text, err := readFile(fsys, fsys.PathJoin(dir, witnessFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w, nil
	case err != nil:
		return nil, err
	}
	found := false
	for slot := range 2 {
		if len(text) <= slot*witnessSlot {
			break
		}
		t, ok := parseTestimony(text[slot*witnessSlot:])
		if ok && (!found || t.generation > w.last.generation) {
			w.last, found = t, true
		}
	}
	if !found && len(text) > 0 {
		log.Warn("the database is opened without a check that nothing is missing",
			"err", fmt.Errorf("%w: %s", ErrDamaged, fsys.PathJoin(dir, witnessFile)))
	}
	return w, w.checkManifest()
}

// checkManifest compares the list of tables, as far as it was durable.
func (w *witness) checkManifest() error {
	if w.last.manifest == "" {
		return nil
	}
	desc, err := pebble.Peek(w.dir, w.fs)
	if err != nil || !desc.Exists {
		return err
	}
	if w.fs.PathBase(desc.ManifestFilename) != w.last.manifest {
		return nil // a newer one
	}
	f, err := w.fs.Open(desc.ManifestFilename)
	if err != nil {
		return err
	}
	defer f.Close()
	sum, err := checksum(io.LimitReader(f, w.last.size), 0)
	if err != nil {
		return err
	}
	if sum != w.last.sum {
		return fmt.Errorf("%w: %s is not what was written", ErrDamaged, desc.ManifestFilename)
	}
	return nil
}

// verify compares the number of the last batch.
func (w *witness) verify(last uint64) error {
	if last < w.last.batch {
		return fmt.Errorf("%w: the batches from %d to %d are missing from the end of its log (*.log)",
			ErrDamaged, last+1, w.last.batch)
	}
	return nil
}

// start begins to testify.
func (w *witness) start(last uint64) error {
	path := w.fs.PathJoin(w.dir, witnessFile)
	f, err := w.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.file = f
	w.batch.Store(last)
	w.last.manifest = "" // its checksum begins anew
	if err := w.write(); err != nil {
		return err
	}
	return syncDir(w.fs, w.dir)
}

// saw notes that a batch, and all before it, are durable.
func (w *witness) saw(batch uint64) {
	for {
		old := w.batch.Load()
		if batch <= old {
			return
		}
		if w.batch.CompareAndSwap(old, batch) {
			break
		}
	}
	if w.armed.Load() || w.armed.Swap(true) {
		return
	}
	w.arming.Lock()
	defer w.arming.Unlock()
	if !w.ended {
		w.timer = time.AfterFunc(witnessDelay, w.tick)
	}
}

func (w *witness) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed.Store(false)
	w.arming.Lock()
	ended := w.ended
	w.arming.Unlock()
	if ended || w.halt.Err() != nil {
		return
	}
	if err := w.write(); err != nil {
		w.halt.log.Warn("the database could not note what is durable", "err", err)
	}
}

// stop ends what runs by itself.
func (w *witness) stop() {
	w.arming.Lock()
	w.ended = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.arming.Unlock()
	w.mu.Lock() // whoever had begun has ended
	defer w.mu.Unlock()
}

// seal testifies what is there in the end.
func (w *witness) seal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.write(), w.file.Close())
}

// close gives up.
func (w *witness) close() error {
	if w.file == nil {
		return nil
	}
	w.stop()
	return w.file.Close()
}

// write testifies what is durable now. The caller holds mu.
func (w *witness) write() error {
	t := w.last
	t.batch = w.batch.Load()
	t.generation++
	if err := w.readManifest(&t); err != nil {
		return err
	}
	slot := make([]byte, witnessSlot)
	copy(slot, t.format())
	if _, err := w.file.WriteAt(slot, int64(t.generation%2)*witnessSlot); err != nil {
		return w.broken("write", witnessFile, err)
	}
	if err := w.file.SyncData(); err != nil {
		return w.broken("fsync", witnessFile, err)
	}
	w.last = t
	return nil
}

// readManifest brings what t says of the list of tables up to date. What it has
// read is durable when it returns.
func (w *witness) readManifest(t *testimony) error {
	desc, err := pebble.Peek(w.dir, w.fs)
	if err != nil {
		return err
	}
	if name := w.fs.PathBase(desc.ManifestFilename); name != t.manifest {
		t.manifest, t.size, t.sum = name, 0, 0
	}
	f, err := w.fs.OpenReadWrite(desc.ManifestFilename, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > t.size {
		t.sum, err = checksum(io.NewSectionReader(f, t.size, info.Size()-t.size), t.sum)
		t.size = info.Size()
		if err == nil {
			if err = f.SyncData(); err != nil {
				err = w.broken("fsync", t.manifest, err)
			}
		}
	}
	return errors.Join(err, f.Close())
}

// broken stops the database when the disk does not take what it is given; that it
// has no room is no reason.
func (w *witness) broken(op, name string, err error) error {
	err = fmt.Errorf("%s %s: %w", op, w.fs.PathJoin(w.dir, name), pathless(err))
	if op == "write" && isFull(err) {
		return err
	}
	return w.halt.fail(err)
}

func checksum(r io.Reader, sum uint32) (uint32, error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		sum = crc32.Update(sum, castagnoli, buf[:n])
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

const testimonyFormat = "micro witness 1: generation %d batch %d manifest %s size %d sum %08x"

// format returns t as a line with a checksum.
func (t testimony) format() string {
	line := fmt.Sprintf(testimonyFormat, t.generation, t.batch, t.manifest, t.size, t.sum)
	return fmt.Sprintf("%s check %08x\n", line, crc32.Checksum([]byte(line), castagnoli))
}

// parseTestimony reads a line that format made, false when it is not as it was.
func parseTestimony(slot []byte) (testimony, bool) {
	line, _, _ := strings.Cut(string(slot), "\n")
	line, check, _ := strings.Cut(line, " check ")
	var t testimony
	var sum uint32
	if _, err := fmt.Sscanf(check, "%08x", &sum); err != nil || sum != crc32.Checksum([]byte(line), castagnoli) {
		return t, false
	}
	_, err := fmt.Sscanf(line, testimonyFormat, &t.generation, &t.batch, &t.manifest, &t.size, &t.sum)
	return t, err == nil
}
