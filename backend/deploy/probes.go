package deploy

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Limits of a [Probe].
const (
	// MinPeriod is how often an instance may be asked at the most.
	MinPeriod = 100 * time.Millisecond
	// MaxPeriod bounds periods and timeouts.
	MaxPeriod = time.Hour
	// maxFailures is how many failures can be waited for.
	maxFailures = 1000
	// maxCommand bounds a command's arguments, in bytes of all.
	maxCommand = 8 << 10
)

// Probes says how to find out whether an instance is well. Those that are nil are not
// made; without any, all is found out over grpc.health.v1.
type Probes struct {
	Startup   *Probe `json:"startup,omitempty"`   // has it come up? The others begin then
	Readiness *Probe `json:"readiness,omitempty"` // can it be called?
	Liveness  *Probe `json:"liveness,omitempty"`  // does it live? One that does not is started again
}

// Probe is a question that is asked again and again. Zero values mean the defaults.
type Probe struct {
	Check     Check         `json:"check"`
	Period    time.Duration `json:"period,omitempty"`    // between two questions
	Timeout   time.Duration `json:"timeout,omitempty"`   // for an answer
	Failures  int           `json:"failures,omitempty"`  // so many in a row count
	Successes int           `json:"successes,omitempty"` // so many in a row make it well again
}

// Check is what is asked.
type Check struct {
	Kind    CheckKind `json:"kind"`
	Service string    `json:"service,omitempty"` // of a gRPC check; empty: the whole server
	Path    string    `json:"path,omitempty"`    // of an HTTP check
	Command []string  `json:"command,omitempty"` // of a command check
}

// CheckKind is the way in which a check is made.
type CheckKind string

// The kinds of checks.
const (
	CheckGRPC    CheckKind = "grpc"
	CheckHTTP    CheckKind = "http"
	CheckTCP     CheckKind = "tcp"
	CheckCommand CheckKind = "command"
)

// IsZero reports whether there are no probes.
func (p Probes) IsZero() bool { return p.Startup == nil && p.Readiness == nil && p.Liveness == nil }

// SpeaksGRPC reports whether an instance is well only when it answers over gRPC.
func (p Probes) SpeaksGRPC() bool {
	return p.IsZero() || slices.ContainsFunc([]*Probe{p.Startup, p.Readiness, p.Liveness}, func(p *Probe) bool {
		return p != nil && p.Check.Kind == CheckGRPC
	})
}

// useCommands reports whether a probe runs a command.
func (p Probes) useCommands() bool {
	return slices.ContainsFunc([]*Probe{p.Startup, p.Readiness, p.Liveness}, func(p *Probe) bool {
		return p != nil && p.Check.Kind == CheckCommand
	})
}

// plan returns the probes that are made. The startup probe always is. deadAfter is how
// many failures of the readiness probe in a row say that the instance does not live,
// 0 when that is the liveness probe's to say.
func (p Probes) plan() (startup Probe, readiness, liveness *Probe, deadAfter int) {
	if p.IsZero() {
		r := Probe{Check: Check{Kind: CheckGRPC}}.withDefaults()
		return Probe{Check: r.Check}.startup(), &r, nil, 2 * r.Failures
	}
	for _, source := range []*Probe{p.Readiness, p.Liveness} {
		if source != nil && startup.Check.Kind == "" {
			startup = Probe{Check: source.Check, Timeout: source.Timeout}
		}
	}
	if p.Startup != nil {
		startup = *p.Startup
	}
	for _, given := range []struct {
		probe  *Probe
		filled **Probe
	}{{p.Readiness, &readiness}, {p.Liveness, &liveness}} {
		if given.probe != nil {
			filled := given.probe.withDefaults()
			*given.filled = &filled
		}
	}
	return startup.startup(), readiness, liveness, 0
}

// Health returns the probe that says best how an instance is: whether it can be called.
func (p Probes) Health() Probe {
	for _, probe := range []*Probe{p.Readiness, p.Liveness, p.Startup} {
		if probe != nil {
			return *probe
		}
	}
	return Probe{Check: Check{Kind: CheckGRPC}}
}

func (p Probe) withDefaults() Probe {
	p.Period = cmp.Or(p.Period, 5*time.Second)
	p.Timeout = cmp.Or(p.Timeout, time.Second)
	p.Failures = cmp.Or(p.Failures, 3)
	p.Successes = cmp.Or(p.Successes, 1)
	return p
}

// startup fills in the defaults of a startup probe.
func (p Probe) startup() Probe {
	p.Period = cmp.Or(p.Period, time.Second)
	p.Failures = cmp.Or(p.Failures, 30)
	return p.withDefaults()
}

// within returns how long an instance may take to come up.
func (p Probe) within() time.Duration { return time.Duration(p.Failures) * p.Period }

func (p Probes) check() error {
	for _, named := range []struct {
		name  string
		probe *Probe
	}{{"startup", p.Startup}, {"readiness", p.Readiness}, {"liveness", p.Liveness}} {
		if named.probe == nil {
			continue
		}
		if err := named.probe.check(named.name); err != nil {
			return err
		}
	}
	return nil
}

func (p Probe) check(name string) error {
	switch {
	case p.Period != 0 && (p.Period < MinPeriod || p.Period > MaxPeriod):
		return invalid("the %s probe has a period of %s; from %s to %s is possible", name, p.Period, MinPeriod, MaxPeriod)
	case p.Timeout < 0 || p.Timeout > MaxPeriod:
		return invalid("the %s probe has a timeout of %s; up to %s is possible", name, p.Timeout, MaxPeriod)
	case p.Failures < 0 || p.Failures > maxFailures:
		return invalid("the %s probe counts %d failures; up to %d are possible", name, p.Failures, maxFailures)
	case p.Successes < 0 || p.Successes > maxFailures:
		return invalid("the %s probe counts %d successes; up to %d are possible", name, p.Successes, maxFailures)
	}
	c := p.Check
	switch c.Kind {
	case CheckGRPC, CheckTCP:
	case CheckHTTP:
		if !strings.HasPrefix(c.Path, "/") || strings.ContainsFunc(c.Path, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return invalid("the %s probe asks for %q over HTTP; a path begins with / and has no spaces", name, c.Path)
		}
	case CheckCommand:
		if len(c.Command) == 0 || c.Command[0] == "" {
			return invalid("the %s probe runs a command that has no name", name)
		}
		if all := strings.Join(c.Command, ""); len(all) > maxCommand || strings.ContainsRune(all, 0) {
			return invalid("the %s probe runs a command with a zero byte, or with more than %d bytes", name, maxCommand)
		}
	default:
		return invalid("the %s probe does not say what to ask: grpc, http, tcp or command", name)
	}
	return nil
}
