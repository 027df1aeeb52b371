package cli

import (
	"errors"
	"strings"

	"github.com/micro/micro/v3/image"
)

// explainBuild turns the errors of image into what a person is told.
func explainBuild(err error) error {
	var build *image.BuildError
	var pkg *image.PackageError
	var engine *image.EngineError
	var private *image.AuthError
	switch {
	case errors.As(err, &build):
		return &Error{Message: "the source does not compile", Details: build.Lines, Hint: build.Hint, Exit: ExitError}
	case errors.As(err, &pkg):
		e := &Error{Message: err.Error(), Exit: ExitError}
		if len(pkg.Mains) > 0 {
			e.Hint = "micro run " + pkg.Mains[0]
		}
		return e
	case errors.As(err, &engine):
		return &Error{Message: engine.Engine + " " + engine.Command + " failed", Details: engine.Lines, Exit: ExitError}
	case errors.Is(err, image.ErrProgram) && !errors.Is(err, image.ErrDynamic), errors.Is(err, image.ErrPlatform), errors.Is(err, image.ErrEngine):
		return &Error{Message: err.Error(), Exit: ExitError}
	case errors.Is(err, image.ErrDynamic):
		return &Error{Message: err.Error(), Hint: "CGO_ENABLED=0 go build", Exit: ExitError}
	case errors.As(err, &private):
		e := &Error{Message: err.Error(), Hint: "micro git login " + private.Host, Exit: ExitLogin}
		if private.SSH {
			e.Hint = "ssh-add"
		}
		return e
	case errors.Is(err, image.ErrAuth):
		return &Error{Message: err.Error(), Exit: ExitLogin}
	case errors.Is(err, image.ErrDenied):
		return &Error{Message: err.Error(), Exit: ExitDenied}
	case errors.Is(err, image.ErrUnreachable):
		return &Error{Message: err.Error(), Exit: ExitUnreachable}
	case errors.Is(err, image.ErrNotFound):
		return &Error{Message: err.Error(), Exit: ExitNotFound}
	default:
		return err
	}
}

// explainCopy tells of a registry that wants to know who asks how to be known there.
func explainCopy(err error, from image.CopyOptions) error {
	if !errors.Is(err, image.ErrAuth) || from.Token != nil {
		return err
	}
	registry, _, _, splitErr := image.SplitReference(strings.SplitN(from.Reference, "@", 2)[0])
	if splitErr != nil {
		return err
	}
	return &Error{Message: err.Error(), Hint: "docker login " + registry, Exit: ExitLogin}
}
