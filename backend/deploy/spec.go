package deploy

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// Limits and defaults.
const (
	MaxInstances     = 1000
	MaxStopGrace     = 10 * time.Minute
	DefaultStopGrace = 10 * time.Second
	// MaxSpec bounds the JSON of a spec: a service's record has it, and the records
	// of its last releases.
	MaxSpec = 64 << 10
)

// Spec is what the instances of a release are made of.
type Spec struct {
	Image     string           `json:"image"` // repository@sha256:…
	Source    Source           `json:"source,omitzero"`
	Version   string           `json:"version,omitempty"`
	Env       map[string]Value `json:"env,omitempty"`
	Args      []string         `json:"args,omitempty"`
	Resources Resources        `json:"resources,omitzero"`
	Probes    Probes           `json:"probes,omitzero"`
	StopGrace time.Duration    `json:"stop_grace,omitempty"`
}

// Source is where an image came from.
type Source struct {
	Address  string `json:"address,omitempty"`
	Folder   string `json:"folder,omitempty"`
	Ref      string `json:"ref,omitempty"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
}

// Value is what an environment variable has: a text, or what the configuration has at
// a path when an instance starts.
type Value struct {
	Text   string `json:"text,omitempty"`
	Config string `json:"config,omitempty"` // the path; empty: the text counts
}

// Resources bounds what one instance may use; 0: no bound.
type Resources struct {
	CPU       int64 `json:"cpu,omitempty"`    // thousandths of a core
	Memory    int64 `json:"memory,omitempty"` // bytes
	Processes int64 `json:"processes,omitempty"`
}

// equal reports whether two specs mean the same; that one was built from
// another commit with the same outcome makes no difference.
func equal(a, b Spec) bool {
	a.Source, b.Source = Source{}, Source{}
	return bytes.Equal(encode(a), encode(b))
}

func (s Spec) check() error {
	switch {
	case s.Image == "":
		return invalid("no image")
	case s.StopGrace < 0 || s.StopGrace > MaxStopGrace:
		return invalid("a grace of %s; up to %s is possible", s.StopGrace, MaxStopGrace)
	case len(encode(s)) > MaxSpec:
		return invalid("arguments and environment have more than %d bytes in all", MaxSpec)
	}
	if err := runtime.Resources(s.Resources).Validate(); err != nil {
		return invalid("%v", err)
	}
	for i, arg := range s.Args {
		if strings.ContainsRune(arg, 0) {
			return invalid("argument %d holds a zero byte", i+1)
		}
	}
	for name, value := range s.Env {
		if err := checkVariable(name, value); err != nil {
			return err
		}
	}
	return s.Probes.check()
}

func checkVariable(name string, v Value) error {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00"):
		return invalid("%q cannot name an environment variable", name)
	case strings.ContainsRune(v.Text, 0):
		return invalid("the environment variable %s holds a zero byte", name)
	case strings.HasPrefix(name, "MICRO_"):
		return invalid("the environment variable %s is the platform's; names that begin with MICRO_ are reserved", name)
	case v.Text != "" && v.Config != "":
		return invalid("the environment variable %s has a text and a path of the configuration", name)
	default:
		return nil
	}
}

func checkInstances(n int) error {
	if n < 1 || n > MaxInstances {
		return invalid("%d instances; 1 to %d are possible", n, MaxInstances)
	}
	return nil
}

// Rollout says when a new release is given up. Zero values mean the defaults.
type Rollout struct {
	KeepTrying bool          `json:"keep_trying,omitempty"` // it never is
	Failures   int           `json:"failures,omitempty"`    // so many since the last instance that came up
	Deadline   time.Duration `json:"deadline,omitempty"`    // how long none may come up
}

func (r Rollout) withDefaults() Rollout {
	if r.Failures == 0 {
		r.Failures = 3
	}
	if r.Deadline == 0 {
		r.Deadline = 5 * time.Minute
	}
	return r
}

func (r Rollout) check() error {
	switch {
	case r.Failures < 0 || r.Failures > maxFailures:
		return invalid("a rollout that %d failures end; up to %d are possible", r.Failures, maxFailures)
	case r.Deadline < 0 || r.Deadline > MaxDeadline:
		return invalid("a rollout with a deadline of %s; up to %s is possible", r.Deadline, MaxDeadline)
	default:
		return nil
	}
}

// MaxDeadline bounds how long a rollout may make no progress.
const MaxDeadline = 24 * time.Hour

// missingConfigError says that an instance cannot have what its environment refers to.
type missingConfigError struct{ variable, path string }

func (e *missingConfigError) Error() string {
	return fmt.Sprintf("its environment variable %s refers to the configuration %s, and nothing is there", e.variable, e.path)
}
