package embedded

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleVersion is the version of Pebble's files. A higher one is a new [format] too:
// older versions of micro cannot read it.
const pebbleVersion = pebble.FormatValueSeparation

// openPebble opens Pebble's part of the directory.
func openPebble(dir string, o Options, fs vfs.FS, h *halt, l *pebble.Lock) (*pebble.DB, error) {
	po := &pebble.Options{
		FS:                 fs,
		Lock:               l,
		Logger:             pebbleLogger{h},
		EventListener:      listen(h),
		FormatMajorVersion: pebbleVersion,
		CacheSize:          8 << 20,
		MemTableSize:       4 << 20,
		MaxOpenFiles:       500,
		// The witness reads what was added to it.
		MaxManifestFileSize: 1 << 20,
		// Pebble knows its free space by this only to hurry with removing files.
		FreeSpaceThresholdBytes: 1,
		ReadOnly:                o.ReadOnly,
	}
	if o.MemTable > 0 {
		po.MemTableSize = uint64(o.MemTable)
	}
	for i := range po.Levels {
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	var db *pebble.DB
	err := h.await(func() (err error) {
		db, err = pebble.Open(dir, po)
		return err
	})
	if err == nil {
		return db, nil
	}
	return nil, blame(dir, po, err)
}

// blame makes an error of Pebble's say which file it is about.
func blame(dir string, po *pebble.Options, err error) error {
	if errors.Is(err, ErrDamaged) {
		return err // a panic
	}
	damaged := pebble.IsCorruptionError(err)
	var detail interface{ ErrorDetail() string }
	if damaged && errors.As(err, &detail) {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, detail.ErrorDetail(), err) // names the log
	}
	if path, err := checkOptions(dir, po); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	if damaged {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// checkOptions reads the file of Pebble's options, which must be as Pebble wrote it.
func checkOptions(dir string, po *pebble.Options) (path string, err error) {
	desc, err := pebble.Peek(dir, po.FS)
	if err != nil || desc.OptionsFilename == "" {
		return "", nil //nolint:nilerr // there is no such file to be damaged
	}
	text, err := readFile(po.FS, desc.OptionsFilename)
	if err == nil {
		po.EnsureDefaults()
		err = po.CheckCompatibility(dir, string(text))
	}
	return desc.OptionsFilename, err
}

// listen returns what Pebble calls when something happened that a person should
// know. That a compaction failed may be said many times a second; it is logged when
// it is another one than last time.
func listen(h *halt) *pebble.EventListener {
	var mu sync.Mutex
	var last string
	warn := func(msg string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if s := err.Error(); s != last {
			last = s
			h.log.Warn(msg, "err", err)
		}
	}
	return &pebble.EventListener{
		BackgroundError: func(err error) { warn("the database could not tidy up", err) },
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			warn("the database is damaged", fmt.Errorf("%s: %w", i.Path, i.Details))
		},
	}
}
