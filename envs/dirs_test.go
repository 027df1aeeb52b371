package envs

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// getenv returns a function that knows these variables and no other.
func getenv(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func TestFindDirs(t *testing.T) {
	t.Parallel()
	private, open := t.TempDir(), t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	home := Dirs{"/h/.config/micro", "/h/.local/state/micro", "/h/.local/share/micro", "/h/.cache/micro", "/h/.local/state/micro/run"}
	tests := []struct {
		name, goos string
		env        map[string]string
		want       Dirs
	}{
		{"linux", "linux", map[string]string{"HOME": "/h"}, home},
		{"another unix", "freebsd", map[string]string{"HOME": "/h"}, home},
		{
			"linux with the variables of XDG", "linux",
			map[string]string{"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "/k", "XDG_RUNTIME_DIR": private},
			Dirs{"/c/micro", "/s/micro", "/d/micro", "/k/micro", filepath.Join(private, "micro")},
		},
		{
			"relative paths do not count", "linux",
			map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "./s", "XDG_DATA_HOME": "~", "XDG_CACHE_HOME": "k", "XDG_RUNTIME_DIR": "r"},
			home,
		},
		{"a runtime directory that is not there", "linux", map[string]string{"HOME": "/h", "XDG_RUNTIME_DIR": filepath.Join(private, "gone")}, home},
		{"a runtime directory that others can enter", "linux", map[string]string{"HOME": "/h", "XDG_RUNTIME_DIR": open}, home},
		{
			"darwin", "darwin",
			map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/c"},
			Dirs{
				"/h/Library/Application Support/micro", "/h/Library/Application Support/micro/state",
				"/h/Library/Application Support/micro/data", "/h/Library/Caches/micro", "/h/Library/Application Support/micro/run",
			},
		},
		{
			"windows", "windows",
			map[string]string{"APPDATA": "/roaming", "LOCALAPPDATA": "/local", "HOME": "/h"},
			Dirs{"/roaming/micro", "/local/micro/state", "/local/micro/data", "/local/micro/cache", "/local/micro/run"},
		},
		{
			"MICRO_HOME goes before all", "linux",
			map[string]string{"MICRO_HOME": "/m", "HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_RUNTIME_DIR": private},
			Dirs{"/m", "/m/state", "/m/data", "/m/cache", "/m/run"},
		},
		{"MICRO_HOME on windows", "windows", map[string]string{"MICRO_HOME": "/m"}, Dirs{"/m", "/m/state", "/m/data", "/m/cache", "/m/run"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := findDirs(tt.goos, getenv(tt.env))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("directories (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindDirsRelativeHome(t *testing.T) {
	t.Parallel()
	got, err := FindDirs(getenv(map[string]string{"MICRO_HOME": "m"}))
	if err != nil || !filepath.IsAbs(got.Config) || filepath.Base(got.Config) != "m" {
		t.Errorf("FindDirs = %+v, %v; want absolute paths", got, err)
	}
}

func TestFindDirsNowhere(t *testing.T) {
	t.Parallel()
	all := map[string]string{"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "/k"}
	without := func(variable, value string) map[string]string {
		env := maps.Clone(all)
		env[variable] = value
		return env
	}
	tests := []struct {
		name, goos string
		env        map[string]string
	}{
		{"linux", "linux", nil},
		{"linux without a cache", "linux", without("XDG_CACHE_HOME", "")},
		{"linux with a relative cache", "linux", without("XDG_CACHE_HOME", "cache")},
		{"linux with a relative config", "linux", without("XDG_CONFIG_HOME", "config")},
		{"darwin", "darwin", nil},
		{"windows", "windows", map[string]string{"APPDATA": "/roaming"}},
		{"windows without APPDATA", "windows", map[string]string{"LOCALAPPDATA": "/local"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := findDirs(tt.goos, getenv(tt.env))
			if err == nil || !strings.Contains(err.Error(), "MICRO_HOME") {
				t.Errorf("findDirs = %+v, %v; want an error that names MICRO_HOME", got, err)
			}
		})
	}
}
