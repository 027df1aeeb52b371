//go:build unix

package front

import (
	"os"
	"syscall"
)

// replace makes this process another program; it returns only when it cannot.
func replace(path string, args, env []string) (int, error) {
	err := syscall.Exec(path, args, env)
	return 0, &os.PathError{Op: "run", Path: path, Err: err}
}
