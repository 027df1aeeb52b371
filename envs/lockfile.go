package envs

import "os"

// LockFile waits for the only lock on an open file, across processes. Closing the file
// gives it back.
func LockFile(f *os.File) error { return lockFile(f) }
