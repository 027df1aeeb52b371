package cli

import (
	"fmt"
	"os"
	"path/filepath"
)

// pinEnv makes the command act on the environment that the manifest in a directory
// names, unless the command line or MICRO_ENV names one. What is fetched from elsewhere
// has no say in that.
func (a *App) pinEnv(source string) error {
	if a.env != "" || a.Getenv("MICRO_ENV") != "" {
		return nil
	}
	if info, err := os.Stat(source); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // it is no directory
	}
	m, err := readManifest(source)
	if err != nil || m.Environment == "" {
		return err
	}
	return a.pin(m.Environment, filepath.Join(source, manifestName))
}

// pin makes the command act on an environment because a file says so.
func (a *App) pin(env, file string) error {
	c, err := a.Config()
	if err != nil {
		return err
	}
	if _, err := c.Get(env); err != nil {
		return &Error{
			Message: fmt.Sprintf("%s: %s", file, err),
			Hint:    "micro env add " + env + " ADDRESS",
			Exit:    ExitNotFound,
		}
	}
	if env != c.Current() {
		fmt.Fprintf(a.Err, "on environment %q, as %s says\n", env, file)
	}
	a.env = env
	return nil
}

// pinSet makes the command act on the environment that the files name, unless the
// command line or MICRO_ENV names one.
func (a *App) pinSet(set fileSet) error {
	env, file := set.environment()
	if env == "" || a.env != "" || a.Getenv("MICRO_ENV") != "" {
		return nil
	}
	return a.pin(env, file)
}
