package embedded

import (
	"context"
	"fmt"
)

// Checkpoint makes a copy of the database as it is now in a directory, which must not be
// there, on the same file system: with all that was acknowledged before the call. It
// takes little time and room, since files that do not change any more are shared, and
// holds nobody up. A failure is no failure of the database.
func (d *DB) Checkpoint(ctx context.Context, dir string) error {
	if err := d.halt.Err(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// What is acknowledged is in the log on the disk, of which a part may be copied
	// that is not whole: an end as a crash leaves it.
	if err := d.halt.await(func() error { return d.pebble.Checkpoint(dir) }); err != nil {
		return fmt.Errorf("copy the database to %s: %w", dir, err)
	}
	if err := writeFormat(d.fs, dir); err != nil {
		return fmt.Errorf("copy the database to %s: %w", dir, err)
	}
	return nil
}
