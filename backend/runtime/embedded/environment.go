package embedded

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
	"github.com/micro/micro/v3/backend/runtime/sweep"
)

// home is the folder of one instance:
//
//	work/       where its program runs, kept from start to start
//	tmp/        emptied before each start
//	identity    what it proves who it is with, while it runs
//
// The supervisor keeps its record there too.
type home string

func (h home) work() string     { return filepath.Join(string(h), "work") }
func (h home) tmp() string      { return filepath.Join(string(h), "tmp") }
func (h home) identity() string { return filepath.Join(string(h), "identity") }

// prepare makes the folder ready for a start.
func (h home) prepare(identity []byte) error {
	if err := os.MkdirAll(h.work(), 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(h.tmp()); err != nil {
		return err
	}
	if err := os.Mkdir(h.tmp(), 0o700); err != nil {
		return err
	}
	return h.writeIdentity(identity)
}

// writeIdentity replaces the identity; only the owner may read it, and nobody
// write.
func (h home) writeIdentity(identity []byte) error {
	if err := h.dropIdentity(); err != nil {
		return err
	}
	f, err := os.OpenFile(h.identity(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	_, err = f.Write(identity)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// dropIdentity takes the identity away: it is of no more use.
func (h home) dropIdentity() error {
	// A file that may not be written cannot be removed everywhere.
	_ = os.Chmod(h.identity(), 0o600)
	if err := os.Remove(h.identity()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// environment returns all that a program sees, sorted by name. Later sources go
// before earlier ones: what every program needs, the image, the specification,
// this runtime. Nothing comes from this process.
func environment(spec runtime.Spec, img *image, h home, port int, m sweep.Mark) []string {
	vars := systemEnvironment()
	vars["PATH"] = hostPath
	for _, variable := range img.config.Env {
		name, value, ok := strings.Cut(variable, "=")
		if ok && name != "" && !strings.ContainsRune(variable, 0) && !placeVariable(name) {
			vars[name] = img.onHost(name, value)
		}
	}
	vars["HOME"], vars["TMPDIR"] = h.work(), h.tmp()
	maps.Copy(vars, spec.Env)
	vars["PORT"] = strconv.Itoa(port)
	vars["MICRO_ADDRESS"] = net.JoinHostPort(supervisor.Host, vars["PORT"])
	vars["MICRO_IDENTITY_FILE"] = h.identity()
	vars[sweep.Variable] = string(m)
	env := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, name+"="+vars[name])
	}
	return env
}

// placeVariable reports whether a variable of an image says where things are in
// a container, which would be wrong here.
func placeVariable(name string) bool {
	return name == "PATH" || name == "HOME" || name == "TMPDIR"
}

// onHost returns the value of an image's variable. A few name a file of the
// image that libraries look for: those mean the unpacked file.
func (img *image) onHost(name, value string) string {
	switch name {
	case "SSL_CERT_FILE", "SSL_CERT_DIR", "ZONEINFO":
	default:
		return value
	}
	file := filepath.Join(img.dir, imageRoot, filepath.FromSlash(local(value)))
	if !strings.HasPrefix(value, "/") {
		return value
	}
	if _, err := os.Lstat(file); err != nil {
		return value
	}
	return file
}
