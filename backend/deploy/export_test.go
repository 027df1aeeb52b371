package deploy

import (
	"context"
	"errors"
	"strings"

	"github.com/micro/micro/v3/backend/runtime"
)

// What tests of this package need of its insides.
var (
	ProbeInstance = prober{exec: func(_ context.Context, instance string, command []string) error {
		return &startError{errors.New(instance + ": " + strings.Join(command, " "))}
	}}.probe
	LikelyCause = likelyCause
)

// ExitError returns the end of an instance as a keeper sees it.
func ExitError(e runtime.Exit) error { return &exitError{e} }
