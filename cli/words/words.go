// Package words says in a few letters what the server tells of services: the same in the
// tables of commands and on screens.
package words

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// Running returns how many instances of a service are called, of the current release.
func Running(s *runtimev1.Service) int {
	n := 0
	for _, in := range s.GetStatus().GetInstances() {
		if in.GetPhase() == runtimev1.Phase_PHASE_RUNNING && in.GetRelease() == s.GetStatus().GetRelease() {
			n++
		}
	}
	return n
}

// Phase writes a phase, for example "running".
func Phase(p runtimev1.Phase) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "PHASE_"))
}

// Latency writes a time in three digits; "-" when it is not known.
func Latency(d *durationpb.Duration) string {
	if d == nil {
		return "-"
	}
	t := d.AsDuration()
	for unit := time.Microsecond; unit <= time.Second; unit *= 10 {
		if t < 1000*unit {
			return t.Round(unit).String()
		}
	}
	return t.Round(time.Second).String()
}
