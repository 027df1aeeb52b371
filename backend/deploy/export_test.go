package deploy

import (
	"context"
	"errors"
	"strings"
	"time"

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

// UnhealthyError returns why an instance that never became healthy is started again.
func UnhealthyError(err error) error { return &unhealthyError{time.Second, err} }

// RefusedError returns what a probe finds where nobody listens.
func RefusedError(address string) error { return refusedError{address} }

// NoteLate tells the reconciler of a service of a change as late as can be.
func (d *Deployer) NoteLate(ns, name string, c *Change) {
	d.with(ns, name, func(r *reconciler) {
		r.note(c)
		r.poke()
	})
}
