package envs

import (
	"context"
	"os"
)

// lock waits for the only lock on a file, across processes, and returns what gives
// it back. The end of ctx ends the wait.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	done := make(chan error)
	go func() {
		err := lockFile(f)
		select {
		case done <- err:
		case <-ctx.Done(): // nobody waits for it any more
			_ = f.Close()
		}
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return func() { _ = f.Close() }, nil // which gives the lock back
}
