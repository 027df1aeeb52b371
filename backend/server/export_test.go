package server

import (
	"maps"
	"slices"
)

// Methods returns the full names of the methods that the server knows access to.
func Methods() []string { return slices.Sorted(maps.Keys(methods())) }
