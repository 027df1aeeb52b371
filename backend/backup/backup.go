// Package backup takes a copy of the data directory of a server that works, as one
// stream, and puts it back in the place of another.
//
//	DATA/store/       the database: accounts, records, blobs, events, releases …
//	DATA/images/      images
//	DATA/master.key   without which the secrets in the database cannot be read
//	DATA/server.yaml  settings, where there are any
//
// What else is there is made anew by a server: unpacked images, the logs of services.
// It knows of no engine: who opens one says how its files are copied.
package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/archive"
)

const (
	kind    = "backup"
	version = 1
)

// Names in the data directory.
const (
	storeDir  = "store"
	imagesDir = "images"
	// stagingPrefix begins the names of copies that are being made.
	stagingPrefix = ".backup-"
)

// files are those of the data directory that belong to a backup, where they are there.
func files() []string { return []string{"master.key", "server.yaml"} }

// Source is a server whose data are copied.
type Source struct {
	// DataDir is its data directory.
	DataDir string
	// Version is that of micro.
	Version string
	// Copy makes copies of the database and of the images, as they are at one moment,
	// in directories that are not there yet.
	Copy func(ctx context.Context, store, images string) error
}

// Take writes a backup of all that was acknowledged before the call. The copy that it is
// made of shares the files of the server and is gone when it returns.
func Take(ctx context.Context, w io.Writer, s Source) (err error) {
	staging := filepath.Join(s.DataDir, stagingPrefix+rand.Text())
	if err := os.Mkdir(staging, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	if err := s.Copy(ctx, filepath.Join(staging, storeDir), filepath.Join(staging, imagesDir)); err != nil {
		return err
	}
	for _, name := range files() {
		b, err := os.ReadFile(filepath.Join(s.DataDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(staging, name), b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	a, err := archive.NewWriter(w, archive.Header{Kind: kind, Version: version, Created: time.Now().UTC(), Micro: s.Version})
	if err != nil {
		return err
	}
	if err := addDir(ctx, a, staging); err != nil {
		a.Discard()
		return err
	}
	return a.Close()
}

// addDir adds all files of a directory, by their paths in it.
func addDir(ctx context.Context, a *archive.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		return a.Add(ctx, filepath.ToSlash(name), info.Size(), f)
	})
}

// clean removes what has a name that begins so.
func clean(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
