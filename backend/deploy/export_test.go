package deploy

import "github.com/micro/micro/v3/backend/runtime"

// What tests of this package need of its insides.
var (
	ProbeInstance = prober{}.probe
	LikelyCause   = likelyCause
)

// ExitError returns the end of an instance as a keeper sees it.
func ExitError(e runtime.Exit) error { return &exitError{e} }
