package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// startIn is how long a runtime may take to start an instance, with an image that it has
// to get.
const startIn = 10 * time.Minute

// startError is why an instance could not be started.
type startError struct{ err error }

func (e *startError) Error() string { return "cannot be started: " + e.err.Error() }

func (e *startError) Unwrap() error { return e.err }

// start starts the instance. It gives up when the instance is retired, or the runtime
// takes too long.
func (k *keeper) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startIn, fmt.Errorf("the runtime has not done it within %s", startIn))
	defer cancel()
	go func() {
		select {
		case <-k.retiree:
			cancel()
		case <-ctx.Done():
		}
	}()
	select {
	case <-k.exited: // of a run before
	default:
	}
	spec := k.release.Spec
	env, err := k.environment(ctx)
	if err != nil {
		return err
	}
	identity, err := k.config().Directory.Identify(ctx, k.entry(runtime.Instance{}))
	if err != nil {
		return err
	}
	// It may run even when Start says that it does not.
	k.mu.Lock()
	k.instance.ID, k.instance.State = k.id, runtime.Running
	k.mu.Unlock()
	started, err := k.startAnew(ctx, runtime.Spec{
		ID:        k.id,
		Namespace: k.r.ns,
		Service:   k.r.name,
		Release:   k.release.Number,
		Image:     spec.Image,
		Args:      spec.Args,
		Env:       env,
		Identity:  identity,
		Resources: runtime.Resources(spec.Resources),
	})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.instance = started
	k.mu.Unlock()
	return nil
}

// environment returns the environment of the instance, with what the configuration has
// now.
func (k *keeper) environment(ctx context.Context) (map[string]string, error) {
	spec := k.release.Spec
	env := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(spec.Env)) {
		v := spec.Env[name]
		env[name] = v.Text
		if v.Config == "" {
			continue
		}
		text, err := k.config().Lookup(ctx, k.r.ns, v.Config)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil, &missingConfigError{name, v.Config}
		case err != nil:
			return nil, fmt.Errorf("its environment variable %s refers to the configuration %s: %w", name, v.Config, err)
		case strings.ContainsRune(text, 0):
			return nil, fmt.Errorf("its environment variable %s refers to the configuration %s, which holds a zero byte", name, v.Config)
		}
		env[name] = text
	}
	maps.Copy(env, k.config().Env)
	maps.Copy(env, map[string]string{
		"MICRO_NAMESPACE":       k.r.ns,
		"MICRO_SERVICE_NAME":    k.r.name,
		"MICRO_SERVICE_VERSION": spec.Version,
		"MICRO_INSTANCE_ID":     k.id,
	})
	return env, nil
}

// startAnew starts what may run from a start before that seemed to have failed.
func (k *keeper) startAnew(ctx context.Context, spec runtime.Spec) (runtime.Instance, error) {
	in, err := k.config().Runtime.Start(ctx, spec)
	if !errors.Is(err, runtime.ErrRunning) {
		return in, err
	}
	if err := k.config().Runtime.Stop(ctx, k.id, k.grace()); err != nil {
		return runtime.Instance{}, err
	}
	return k.config().Runtime.Start(ctx, spec)
}
