package front

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// IsCommand reports whether a word is a command of microd, so that no service is
// looked for. A test holds the list against the command tree.
func IsCommand(word string) bool {
	switch word {
	case "apply", "auth", "backup", "build", "call", "completion", "config", "dashboard", "delete", "describe", "dev", "diff", "env", "events", "exit-codes", "export", "gen", "get",
		"git", "health", "help", "history", "image", "inspect", "kill", "login", "logout", "logs", "namespace", "new", "promote", "releases",
		"restart", "restore", "rollback", "run", "scale", "schema", "server", "services", "signup", "stats", "status", "store", "stream", "top", "undo", "update",
		"user", "version",
		"__complete", "__completeNoDesc":
		return true
	default:
		return false
	}
}

// VersionVariable tells microd which version the front beside it has.
const VersionVariable = "MICRO_FRONT_VERSION"

// RunDaemon runs microd beside this program in its place, with the same arguments.
// It returns only where that is not possible, or the operating system cannot
// replace a process.
func RunDaemon(args []string, stderr io.Writer, version string) (code int) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return daemonError(stderr, err)
	}
	path := filepath.Join(filepath.Dir(self), "microd")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	code, err = replace(path, args, append(os.Environ(), VersionVariable+"="+version))
	if err != nil {
		return daemonError(stderr, err)
	}
	return code
}

func daemonError(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "micro: microd, the other half of micro, cannot be run: %s\nhint: install both files of a release in one directory\n", err)
	return ExitError
}
