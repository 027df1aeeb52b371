package envs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// Dirs are the directories that micro keeps a user's files in.
type Dirs struct {
	Config  string // environments
	State   string // what must not be lost and is not edited: credentials
	Data    string // the server's data, unpacked SDKs
	Cache   string // what can be made again
	Runtime string // what does not outlive a session at this machine: access tokens
}

// FindDirs returns the directories of this user: those of the XDG base directory
// specification on Linux and the like, the platform's own elsewhere. MICRO_HOME
// puts all of them below one directory. Nothing is created.
func FindDirs(getenv func(string) string) (Dirs, error) { return findDirs(runtime.GOOS, getenv) }

func findDirs(goos string, getenv func(string) string) (Dirs, error) {
	if home := getenv("MICRO_HOME"); home != "" {
		abs, err := filepath.Abs(home)
		if err != nil {
			return Dirs{}, err
		}
		return Dirs{
			Config:  abs,
			State:   filepath.Join(abs, "state"),
			Data:    filepath.Join(abs, "data"),
			Cache:   filepath.Join(abs, "cache"),
			Runtime: filepath.Join(abs, "run"),
		}, nil
	}
	switch goos {
	case "windows":
		return windowsDirs(getenv)
	case "darwin":
		return darwinDirs(getenv)
	default:
		return xdgDirs(getenv)
	}
}

func windowsDirs(getenv func(string) string) (Dirs, error) {
	roaming, local := getenv("APPDATA"), getenv("LOCALAPPDATA")
	if roaming == "" || local == "" {
		return Dirs{}, errors.New("neither MICRO_HOME nor APPDATA and LOCALAPPDATA are set")
	}
	local = filepath.Join(local, "micro")
	return Dirs{
		Config:  filepath.Join(roaming, "micro"),
		State:   filepath.Join(local, "state"),
		Data:    filepath.Join(local, "data"),
		Cache:   filepath.Join(local, "cache"),
		Runtime: filepath.Join(local, "run"),
	}, nil
}

func darwinDirs(getenv func(string) string) (Dirs, error) {
	home := getenv("HOME")
	if home == "" {
		return Dirs{}, errors.New("neither MICRO_HOME nor HOME is set")
	}
	support := filepath.Join(home, "Library", "Application Support", "micro")
	return Dirs{
		Config:  support,
		State:   filepath.Join(support, "state"),
		Data:    filepath.Join(support, "data"),
		Cache:   filepath.Join(home, "Library", "Caches", "micro"),
		Runtime: filepath.Join(support, "run"),
	}, nil
}

func xdgDirs(getenv func(string) string) (Dirs, error) {
	home, homeless := getenv("HOME"), false
	xdg := func(variable, fallback string) string {
		// The specification: a relative path is as if it were not set.
		if d := getenv(variable); filepath.IsAbs(d) {
			return filepath.Join(d, "micro")
		}
		homeless = homeless || home == ""
		return filepath.Join(home, fallback, "micro")
	}
	d := Dirs{
		Config: xdg("XDG_CONFIG_HOME", ".config"),
		State:  xdg("XDG_STATE_HOME", ".local/state"),
		Data:   xdg("XDG_DATA_HOME", ".local/share"),
		Cache:  xdg("XDG_CACHE_HOME", ".cache"),
	}
	if homeless {
		return Dirs{}, errors.New("neither MICRO_HOME nor HOME is set")
	}
	d.Runtime = filepath.Join(d.State, "run")
	if r := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(r) && isPrivate(r) {
		d.Runtime = filepath.Join(r, "micro")
	}
	return d, nil
}

// isPrivate reports whether a path is a directory that one user alone can enter,
// as the specification demands of XDG_RUNTIME_DIR: tokens go there.
func isPrivate(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() && info.Mode().Perm()&0o077 == 0
}
