package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// command returns the program that an image starts, as a file of this machine,
// and its arguments, the program's name first. Like in a container, args take
// the place of the image's own, and without an entry point the first of them is
// the program.
func (img *image) command(args []string) (program string, argv []string, err error) {
	if len(args) == 0 {
		args = img.config.Cmd
	}
	argv = slices.Concat(img.config.Entrypoint, args)
	if len(argv) == 0 || argv[0] == "" {
		return "", nil, supervisor.Refuse("it does not say which program to start")
	}
	program, err = img.find(argv[0])
	return program, argv, err
}

// find returns a program of the image as a file of this machine.
func (img *image) find(program string) (string, error) {
	root, err := os.OpenRoot(filepath.Join(img.dir, imageRoot))
	if err != nil {
		return "", err
	}
	defer root.Close()
	for _, name := range img.candidates(program) {
		info, statErr := root.Stat(filepath.FromSlash(name))
		if statErr != nil {
			err = statErr
			continue
		}
		if !info.Mode().IsRegular() || goruntime.GOOS != "windows" && info.Mode()&0o111 == 0 {
			return "", supervisor.Refuse("its program %q is not executable", program)
		}
		if err := checkLoader(root, name); err != nil {
			return "", err
		}
		file, err := filepath.EvalSymlinks(filepath.Join(root.Name(), filepath.FromSlash(name)))
		if err != nil {
			return "", err
		}
		if rel, err := filepath.Rel(root.Name(), file); err != nil || !filepath.IsLocal(rel) {
			return "", supervisor.Refuse("its program %q leads out of it", program)
		}
		return file, nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return "", supervisor.Refuse("its program %q is not in it", program)
	}
	return "", supervisor.Refuse("its program %q: %w", program, err)
}

// candidates returns where below the root a program may be: a path is meant from
// the root, a plain name is looked up in the image's own PATH.
func (img *image) candidates(name string) []string {
	if strings.Contains(name, "/") {
		return []string{local(name)}
	}
	search := defaultPath
	for _, variable := range img.config.Env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			search = value
		}
	}
	var names []string
	for dir := range strings.SplitSeq(search, ":") {
		if dir != "" {
			names = append(names, local(path.Join(dir, name)))
		}
	}
	return names
}

// local returns a path of the image as one below its root.
func local(name string) string {
	return path.Join(".", path.Join("/", name)[1:])
}

// defaultPath is where programs are looked for when nobody says otherwise.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
