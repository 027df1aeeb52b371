package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// declared is a service as a file has it.
type declared struct {
	manifest

	file   string // where it stands
	source string // what it is built from, for image.Fetch; empty: it has an image
}

// fileSet is the services of a directory or a file, in the order in which they stand
// there.
type fileSet struct {
	name     string // what they have in common; empty: nothing is known
	services []declared
}

// fileFlag adds -f to a command.
func fileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", "", "directory or file that declares services; - for standard input")
}

const fileSetHelp = `The file has a document of YAML for each service, with the fields of micro.yaml and a
source or an image. Of a directory all files that end in .yaml or .yml are read, in the
order of their names, and each folder in it that has a micro.yaml is a source.`

// readFiles reads the services of a directory, a file, or standard input.
func (a *App) readFiles(root *cobra.Command, command, path string) (fileSet, error) {
	var set fileSet
	var err error
	switch info, statErr := os.Stat(path); {
	case path == "":
		return set, usage(command+" --help", "%q needs -f with a directory or a file", command)
	case path == "-":
		err = set.read(path, func() ([]byte, error) { return readManifestFrom("standard input", a.In) })
	case statErr != nil:
		return set, statErr
	case info.IsDir():
		set.name, err = baseName(path)
		if err == nil {
			err = set.readDir(path)
		}
	default:
		set.name, err = baseName(path)
		if err == nil && set.name == manifestName {
			set.name, err = baseName(filepath.Dir(path))
		}
		set.name = strings.TrimSuffix(strings.TrimSuffix(set.name, ".yaml"), ".yml")
		if err == nil {
			err = set.readFile(path)
		}
	}
	if err != nil {
		return set, err
	}
	if len(set.services) == 0 {
		return set, usage(command+" --help", "%s declares no service", path)
	}
	return set, set.check(root)
}

// baseName returns the last part of a path that may be relative.
func baseName(path string) (string, error) {
	abs, err := filepath.Abs(path)
	return filepath.Base(abs), err
}

func (s *fileSet) readDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch ext := filepath.Ext(e.Name()); {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			path = filepath.Join(path, manifestName)
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			err = s.readFile(path)
		case ext == ".yaml" || ext == ".yml":
			err = s.readFile(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *fileSet) readFile(path string) error {
	return s.read(path, func() ([]byte, error) { return readManifestFile(path) })
}

// read adds the services of a file.
func (s *fileSet) read(path string, content func() ([]byte, error)) error {
	b, err := content()
	if err != nil {
		return err
	}
	file := path
	if path == "-" {
		file = "standard input"
	}
	docs, err := parseManifests(file, b)
	if err != nil {
		return err
	}
	for _, m := range docs {
		d := declared{manifest: m, file: file}
		switch {
		case m.Source != "" && m.Image != "":
			return d.wrong("it has a source and an image")
		case m.Image != "":
		case m.Source == "" && filepath.Base(path) == manifestName && len(docs) == 1:
			d.source = filepath.Dir(path)
		case m.Source == "":
			return d.wrong("it has neither a source nor an image")
		case isLocalSource(m.Source) && path != "-":
			d.source = filepath.Join(filepath.Dir(path), m.Source)
		default:
			d.source = m.Source
		}
		if d.Name == "" && d.source != "" && isLocalSource(d.source) {
			if d.Name, err = baseName(d.source); err != nil {
				return err
			}
		}
		s.services = append(s.services, d)
	}
	return nil
}

// isLocalSource reports whether a source is a path: it begins like one, or there is such
// a directory.
func isLocalSource(source string) bool {
	first, _, _ := strings.Cut(filepath.ToSlash(source), "/")
	return first == "." || first == ".." || first == "" || !strings.Contains(first, ".") && !strings.Contains(source, ":")
}

func (d declared) wrong(format string, args ...any) error {
	what := d.file
	if d.Name != "" {
		what += ": " + d.Name
	}
	return &Error{Message: what + ": " + fmt.Sprintf(format, args...), Exit: ExitUsage}
}

// check refuses what cannot be applied together.
func (s *fileSet) check(root *cobra.Command) error {
	seen := map[string]string{}
	env := ""
	for _, d := range s.services {
		switch {
		case d.Name == "":
			return d.wrong("it has no name")
		case !isServiceName(d.Name):
			return d.wrong("%q cannot name a service: use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit", d.Name)
		case nameTaken(root, d.Name) != "":
			return d.wrong("%s", nameTaken(root, d.Name))
		case seen[d.Name] != "":
			return d.wrong("it is declared twice, also in %s", seen[d.Name])
		case d.Environment != "" && env != "" && d.Environment != env:
			return d.wrong("it is for environment %q, and others are for %q", d.Environment, env)
		}
		seen[d.Name], env = d.file, cmp.Or(env, d.Environment)
		if _, err := d.spec(); err != nil {
			return err
		}
	}
	return nil
}

// environment returns the environment that the set is for, and the file that says so;
// empty: any.
func (s *fileSet) environment() (env, file string) {
	i := slices.IndexFunc(s.services, func(d declared) bool { return d.Environment != "" })
	if i < 0 {
		return "", ""
	}
	return s.services[i].Environment, s.services[i].file
}
