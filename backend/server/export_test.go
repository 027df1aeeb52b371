package server

import (
	"maps"
	"slices"
)

// Methods returns the full names of the methods that the server knows access to.
func Methods() []string { return slices.Sorted(maps.Keys(methods())) }

// Recorded returns what is recorded of each method.
func Recorded() map[string]string {
	all := map[string]string{}
	for name, a := range methods() {
		all[name] = map[auditing]string{
			unrecorded: "no", recorded: "yes", recordedInside: "yes", recordedAfter: "after", recordedSecrets: "secrets", recordedReuse: "reuse",
		}[a.audit]
	}
	return all
}
