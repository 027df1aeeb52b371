package envs

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/micro/micro/v3/internal/atomicfile"
)

// WriteCommand leaves the path of the command line that somebody has logged in with in
// the file "command" of the directory of environments. Services that are run by hand read
// it, and ask that command where their server is: see package service/internal/platform.
func WriteCommand(d Dirs, path string) error {
	name := filepath.Join(d.Config, "command")
	content := []byte(path + "\n")
	if before, err := os.ReadFile(name); err == nil && bytes.Equal(before, content) {
		return nil
	}
	if err := os.MkdirAll(d.Config, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(name, content)
}
