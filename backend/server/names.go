package server

import (
	"slices"

	"github.com/micro/micro/v3/backend/auth"
)

// Commands returns the words that are commands of the command line, which would
// hide a service of that name. A test of cmd/microd holds them against the command
// tree, which this package does not see.
func Commands() []string {
	return []string{
		"apply", "auth", "backup", "build", "call", "completion", "config", "dashboard", "delete", "describe", "dev", "diff", "env", "events", "exit-codes", "export", "gen", "get",
		"git", "health", "help", "history", "image", "inspect", "kill", "login", "logout", "logs", "namespace", "new", "promote", "releases",
		"restart", "restore", "rollback", "run", "scale", "schema", "server", "services", "signup", "stats", "status", "store", "stream", "top", "undo", "update",
		"user", "version",
	}
}

// Planned returns words that are kept for commands to come, so that no service has
// to be renamed then, and build-cache, the repository of what builds have compiled. The
// command line knows them too; the same test holds the two together.
func Planned() []string {
	return []string{
		"build-cache", "doctor", "micro", "network", "registry", "runtime", "web",
	}
}

// checkServiceName returns an error that says why a service cannot have a name.
func checkServiceName(name string) error {
	if !auth.IsName(name) {
		return invalid("%q cannot name a service: use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit", name)
	}
	if slices.Contains(Commands(), name) {
		return invalid("a service cannot be called %q, because micro has a command of that name", name)
	}
	if slices.Contains(Planned(), name) {
		return invalid("a service cannot be called %q, because micro keeps that name for a command", name)
	}
	return nil
}
