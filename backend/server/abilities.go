package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/micro/micro/v3/backend/runtime"
)

// tellAbilities says what a runtime cannot do on this machine: who operates the server
// has to know before a service asks for it.
func tellAbilities(log *slog.Logger, r runtime.Runtime) {
	d, ok := r.(runtime.Describer)
	if !ok {
		return
	}
	is := d.Describe()
	log = log.With("services", is.Kind, "can", strings.Join(is.Can, "; "))
	if len(is.Cannot) == 0 {
		log.Debug("the runtime can do here all that may be asked of it")
		return
	}
	log.Warn("the runtime cannot do here all that may be asked of it", "cannot", strings.Join(is.Cannot, "; "))
}

// commands returns what runs the command of a probe in an instance, and returns why it
// has failed; nil when the runtime runs no commands.
func commands(r runtime.Runtime) func(ctx context.Context, instance string, command []string) error {
	e, ok := r.(runtime.Executor)
	if !ok {
		return nil
	}
	return func(ctx context.Context, instance string, command []string) error {
		result, err := e.Exec(ctx, instance, command)
		if errors.Is(err, runtime.ErrCommand) || errors.Is(err, runtime.ErrNotRunning) {
			err = errors.Unwrap(err) // not which instance it was
		}
		if err == nil {
			err = commandFailure(result)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", command[0], err)
		}
		return nil
	}
}

// commandFailure returns why a command has failed, with the last line that it wrote; nil
// when it has not.
func commandFailure(r runtime.Result) error {
	if r.Exit.Code == 0 && r.Exit.Signal == "" {
		return nil
	}
	text := cmp.Or(r.Exit.Signal, fmt.Sprintf("exited with code %d", r.Exit.Code))
	if r.Exit.OutOfMemory {
		text = "out of memory"
	}
	output := bytes.TrimSpace(r.Output)
	if line := output[bytes.LastIndexByte(output, '\n')+1:]; len(line) > 0 {
		text += fmt.Sprintf(": %.200s", line)
	}
	return errors.New(text)
}
