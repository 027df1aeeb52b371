//go:build unix

package front

import (
	"os"
	"syscall"
)

// readInPlace returns the content of a file of the cache, of which only what is looked
// at is read. The process has it until it ends. Nobody may make the file shorter
// meanwhile; the cache replaces files and never changes one.
func readInPlace(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() < minInPlace || int64(int(info.Size())) != info.Size() {
		return os.ReadFile(path)
	}
	return syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
}

// minInPlace is the size from which on a file is not read as a whole.
const minInPlace = 64 << 10
