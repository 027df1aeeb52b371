// Package words says in a few letters what the server tells of services: the same in the
// tables of commands and on screens.
package words

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
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

// Release says which release is current, and behind that which one serves when it is
// another, for example "3>4".
func Release(st *runtimev1.Status) string {
	if serving := st.GetServingRelease(); serving != 0 && serving != st.GetRelease() {
		return fmt.Sprintf("%d>%d", serving, st.GetRelease())
	}
	return strconv.FormatInt(st.GetRelease(), 10)
}

// Why says why a service does not run as it should, as far as that is known; empty when it
// does.
func Why(s *runtimev1.Service) string {
	st := s.GetStatus()
	if s == nil || st.GetPhase() == runtimev1.Phase_PHASE_RUNNING {
		return ""
	}
	why := st.GetReason()
	for _, in := range st.GetInstances() {
		if in.GetPhase() == runtimev1.Phase_PHASE_RUNNING {
			continue
		}
		if why == "" {
			why = in.GetReason()
		}
		if in.GetCause() != "" {
			why += "; most likely: " + in.GetCause()
			break
		}
	}
	if serving := st.GetServingRelease(); serving != 0 && serving != st.GetRelease() {
		why += fmt.Sprintf(" (release %d serves)", serving)
	}
	return strings.TrimPrefix(strings.TrimSpace(why), "; ")
}

// State says in a line how a service does, for example "running 2/2 release 3".
func State(s *runtimev1.Service) string {
	st := s.GetStatus()
	text := fmt.Sprintf("%s %s release %d", Phase(st.GetPhase()), Instances(s), st.GetRelease())
	if why := Why(s); why != "" {
		text += ": " + why
	}
	return text
}

// Instances says how many instances of a service run, of how many that should.
func Instances(s *runtimev1.Service) string {
	return fmt.Sprintf("%d/%d", Running(s), max(1, s.GetInstances()))
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

// Ago says how long ago something was; the time that none stands for was never.
func Ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.Unix() <= 0:
		return "-"
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}

// Digest returns as much of an image's digest as people compare, or what is no image
// with a digest as it is.
func Digest(image string) string {
	_, digest, ok := strings.Cut(image, "@sha256:")
	if !ok {
		return image
	}
	return digest[:min(12, len(digest))]
}

// Source says where a service is from, "-" when nobody knows.
func Source(s *runtimev1.Source) string {
	text := s.GetAddress()
	if s.GetFolder() != "" {
		text += "/" + s.GetFolder()
	}
	if s.GetRef() != "" {
		text += "@" + s.GetRef()
	}
	if text == "" {
		return "-"
	}
	return text
}

// ReleaseState says in one word what a release is for its service; empty when it is one
// that served and does not any more.
func ReleaseState(r *runtimev1.Release, s *runtimev1.Status) string {
	switch {
	case r.GetNumber() == s.GetRelease():
		return "current"
	case r.GetNumber() == s.GetServingRelease():
		return "serving"
	case r.GetServed() == nil:
		return "failed"
	default:
		return ""
	}
}

// ReleaseAction says what made a release, for example "rollback of 3".
func ReleaseAction(r *runtimev1.Release) string {
	if r.GetOf() == 0 {
		return r.GetAction()
	}
	return fmt.Sprintf("%s of %d", r.GetAction(), r.GetOf())
}

// Failed says how many of a hundred calls failed; "-" when there was none.
func Failed(f *statsv1.Figures) string {
	if f.GetCalls() == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2g%%", float64(f.GetFailed())*100/float64(f.GetCalls()))
}

// CPU writes how much of a processor is used; "-" when it is not known.
func CPU(u *statsv1.Usage) string {
	if u == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", u.GetCpu()*100)
}

// Size writes a number of bytes in the unit that people read it in.
func Size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/(1<<10), "KiB"
	for _, larger := range []string{"MiB", "GiB", "TiB"} {
		if size < 1023.95 { // which is written as 1024.0
			break
		}
		size, unit = size/(1<<10), larger
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}

// ShortSize is [Size] in at most four characters, for a column of a screen, where other
// figures need the room.
func ShortSize(n int64) string {
	size := float64(n)
	for _, unit := range []string{"B", "K", "M", "G", "T"} {
		if size < 999.5 { // which is written as 1000
			return strconv.FormatFloat(size, 'f', 0, 64) + unit
		}
		size /= 1 << 10
	}
	return strconv.FormatFloat(size, 'f', 0, 64) + "P"
}
