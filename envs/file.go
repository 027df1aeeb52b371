package envs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/micro/micro/v3/internal/atomicfile"
)

// file is the form on disk.
type file struct {
	Current string         `json:"current,omitempty"`
	Envs    map[string]Env `json:"environments,omitempty"`
}

// DamagedError is returned for a file that cannot be understood.
type DamagedError struct {
	Path string
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %s", e.Path, e.Err) }

func (e *DamagedError) Unwrap() error { return e.Err }

func path(d Dirs) string { return filepath.Join(d.Config, "envs.json") }

// Load reads the environments. On a new machine there is no file, which is no
// error. A file that is damaged, or has settings that this version does not know
// and would lose, is a [DamagedError] and never overwritten but by hand.
func Load(d Dirs) (*Config, error) {
	c, _, err := load(d)
	return c, err
}

// load also returns what the file has; nil when there is none.
func load(d Dirs) (*Config, []byte, error) {
	c := &Config{dirs: d, current: Local, envs: map[string]Env{}}
	b, err := os.ReadFile(path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := parseFile(b)
	if err != nil {
		return nil, nil, &DamagedError{Path: path(d), Err: err}
	}
	for name, e := range f.Envs {
		if _, _, err := ParseAddress(e.Address); err != nil || !isName(name) {
			return nil, nil, &DamagedError{Path: path(d), Err: fmt.Errorf("environment %q with address %q", name, e.Address)}
		}
		e.Name = name
		if name == Local {
			e.Address = localAddress(d)
		}
		c.envs[name] = e
	}
	if f.Current != "" {
		c.current = f.Current
	}
	return c, b, nil
}

func parseFile(b []byte) (file, error) {
	var f file
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); errors.Is(err, io.EOF) {
		return f, errors.New("it is empty")
	} else if err != nil {
		return f, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("something stands behind its end, at byte %d", dec.InputOffset())
	}
	return f, nil
}

// Update changes the environments on disk: it calls f with what is there now and
// writes what f leaves, unless f returns an error or changed nothing. Other
// processes wait meanwhile, so that of two changes at once neither is lost. What
// is on disk is the old file or the new one, whole, whatever happens.
func Update(d Dirs, f func(*Config) error) error {
	if err := os.MkdirAll(d.Config, 0o700); err != nil {
		return err
	}
	unlock, err := lock(context.Background(), path(d)+".lock") // nobody holds it for long
	if err != nil {
		return err
	}
	defer unlock()
	c, before, err := load(d)
	if err != nil {
		return err
	}
	if err := f(c); err != nil {
		return err
	}
	after, err := json.MarshalIndent(file{Current: c.current, Envs: c.envs}, "", "  ")
	if err != nil {
		return err
	}
	after = append(after, '\n')
	if bytes.Equal(before, after) {
		return nil
	}
	target := path(d)
	if linked, err := filepath.EvalSymlinks(target); err == nil {
		target = linked // a link is somebody's way to keep the file elsewhere
	}
	return atomicfile.Write(target, after)
}
