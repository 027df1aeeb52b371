// Package buildinfo tells which build of micro this is.
package buildinfo

import "runtime/debug"

// version is set by the release build: -ldflags "-X …/buildinfo.version=v3.1.0".
var version string

// Version returns the version of this build, for example "v3.1.0". A build
// that is not of a release is "devel", with the git commit when Go recorded one.
func Version() string {
	if version != "" {
		return version
	}
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	revision, modified := "", false
	for _, s := range bi.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if revision == "" {
		return "devel"
	}
	v := "devel-" + revision[:min(12, len(revision))]
	if modified {
		v += "+modified"
	}
	return v
}
