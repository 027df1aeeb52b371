package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// CheckTables reads every table in the directory of a database and compares the
// checksums of its blocks. It calls damaged for each table that is not what was written,
// and returns how many there are, and their bytes. Nobody must have the database open.
func CheckTables(ctx context.Context, dir string, o Options, damaged func(file string, err error)) (tables int, bytes int64, err error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	names, err := o.FS.List(dir)
	if err != nil {
		return 0, 0, err
	}
	po := &pebble.Options{FS: o.FS}
	po.EnsureDefaults()
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		if err := ctx.Err(); err != nil {
			return tables, bytes, err
		}
		n, err := checkTable(ctx, o.FS, o.FS.PathJoin(dir, name), po.MakeReaderOptions())
		if err != nil {
			damaged(name, err)
		}
		tables++
		bytes += n
	}
	return tables, bytes, nil
}

func checkTable(ctx context.Context, fs vfs.FS, path string, o sstable.ReaderOptions) (size int64, err error) {
	// What is damaged in the right place makes Pebble panic.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	f, err := fs.Open(path)
	if err != nil {
		return 0, err
	}
	in, err := sstable.NewSimpleReadable(f)
	if err != nil {
		_ = f.Close() // it was only read
		return 0, err
	}
	size = in.Size()
	r, err := sstable.NewReader(ctx, in, o)
	if err != nil {
		_ = in.Close() // it was only read
		return size, err
	}
	defer r.Close()
	l, err := r.Layout()
	if err != nil {
		return size, err
	}
	blocks := []block.Handle{l.TopIndex, l.RangeDel, l.RangeKey, l.ValueIndex, l.Properties, l.MetaIndex, l.BlobReferenceIndex}
	blocks = append(append(blocks, l.Index...), l.ValueBlock...)
	for _, b := range l.Data {
		blocks = append(blocks, b.Handle)
	}
	for _, b := range l.Filter {
		blocks = append(blocks, b.Handle)
	}
	for _, b := range blocks {
		if err := ctx.Err(); err != nil {
			return size, err
		}
		if err := checkBlock(f, b); err != nil {
			return size, err
		}
	}
	return size, nil
}

// checkBlock compares the checksum of a block of a table. Pebble does as well, but looks
// for a bit that would make the block whole then, for minutes where it is large.
func checkBlock(f vfs.File, b block.Handle) error {
	if b.Length == 0 {
		return nil
	}
	buf := make([]byte, b.Length+block.TrailerLen)
	if _, err := f.ReadAt(buf, int64(b.Offset)); err != nil {
		return err
	}
	body, sum := buf[:b.Length+1], binary.LittleEndian.Uint32(buf[b.Length+1:])
	c := crc32.Checksum(body, castagnoli)
	if got := (c>>15 | c<<17) + 0xa282ead8; got != sum {
		return fmt.Errorf("%w: the %d bytes from %d on have the checksum %08x, and were written with %08x", ErrDamaged, b.Length, b.Offset, got, sum)
	}
	return nil
}

// Each calls f with all keys of a space that begin with prefix, in order, and their
// values, which are valid until f returns. It ends with the first error of f, or of
// reading.
func (d *DB) Each(ctx context.Context, space Space, prefix string, f func(key, value []byte) error) error {
	start := append([]byte{byte(space)}, prefix...)
	end := append([]byte{}, start...)
	end[len(end)-1]++ // no space and no kind is 0xff
	it, err := d.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := it.ValueAndErr()
		if err != nil {
			break // which is the iterator's error as well
		}
		if err := f(it.Key(), v); err != nil {
			return err
		}
	}
	return d.IterError(it)
}
