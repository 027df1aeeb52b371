//go:build !unix

package front

import "os"

// readInPlace returns the content of a file of the cache.
func readInPlace(path string) ([]byte, error) { return os.ReadFile(path) }
