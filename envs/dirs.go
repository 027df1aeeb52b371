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
func FindDirs(getenv func(string) string) (Dirs, error) {
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
	switch runtime.GOOS {
	case "windows":
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
	case "darwin":
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
	default:
		home := getenv("HOME")
		xdg := func(variable, fallback string) string {
			if d := getenv(variable); filepath.IsAbs(d) {
				return filepath.Join(d, "micro")
			}
			return filepath.Join(home, fallback, "micro")
		}
		if home == "" && (getenv("XDG_CONFIG_HOME") == "" || getenv("XDG_STATE_HOME") == "" || getenv("XDG_DATA_HOME") == "" || getenv("XDG_CACHE_HOME") == "") {
			return Dirs{}, errors.New("neither MICRO_HOME nor HOME is set")
		}
		d := Dirs{
			Config: xdg("XDG_CONFIG_HOME", ".config"),
			State:  xdg("XDG_STATE_HOME", ".local/state"),
			Data:   xdg("XDG_DATA_HOME", ".local/share"),
			Cache:  xdg("XDG_CACHE_HOME", ".cache"),
		}
		d.Runtime = filepath.Join(d.State, "run")
		if r := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(r) {
			if info, err := os.Stat(r); err == nil && info.IsDir() {
				d.Runtime = filepath.Join(r, "micro")
			}
		}
		return d, nil
	}
}
