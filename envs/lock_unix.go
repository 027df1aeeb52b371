//go:build unix

package envs

import (
	"os"
	"syscall"
)

// lockFile waits for the lock on an open file, which its end gives back.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			return err
		}
	}
}
