package storetest

import (
	"os"
	"syscall"
)

// syncData makes what was written to a file durable, and no more.
func syncData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
