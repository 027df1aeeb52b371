package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// difference is a field of a service that two of them do not share, as people read it;
// empty is that it is not there.
type difference struct {
	Field  string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// differences returns what differs between two services, ordered by field. That one was
// built from another commit with the same outcome is no difference.
func differences(before, after *runtimev1.Service) []difference {
	was, is := fieldsOf(before), fieldsOf(after)
	all := maps.Clone(was)
	maps.Copy(all, is)
	var list []difference
	for _, field := range slices.Sorted(maps.Keys(all)) {
		if was[field] != is[field] {
			list = append(list, difference{field, hidden(field, was[field]), hidden(field, is[field])})
		}
	}
	return list
}

// hidden returns the text of a field, but for that of a variable that is called like a
// secret.
func hidden(field, text string) string {
	name, isVariable := strings.CutPrefix(field, "env.")
	if isVariable && strings.HasPrefix(text, `"`) && front.IsSecret(name) {
		return "***"
	}
	return text
}

// fieldsOf returns the fields of a service that are set, by their names in a manifest.
func fieldsOf(s *runtimev1.Service) map[string]string {
	fields := map[string]string{}
	set := func(name, text string) {
		if text != "" && text != "0" {
			fields[name] = text
		}
	}
	if s == nil {
		return fields
	}
	m := manifestOf(s)
	set("image", m.Image)
	set("version", m.Version)
	set("instances", strconv.Itoa(int(m.Instances)))
	set("args", quoteArgs(m.Args))
	set("stop_grace", shownDuration(m.StopGrace))
	set("resources.cpu", m.Resources.CPU.String())
	set("resources.memory", m.Resources.Memory.String())
	set("resources.processes", strconv.FormatInt(m.Resources.Processes, 10))
	set("rollout", rolloutShort(m.Rollout))
	for name, p := range map[string]*runtimev1.Probe{
		"startup": s.GetSpec().GetProbes().GetStartup(), "readiness": s.GetSpec().GetProbes().GetReadiness(), "liveness": s.GetSpec().GetProbes().GetLiveness(),
	} {
		if p != nil {
			fields["probes."+name] = probeText(p)
		}
	}
	for name, v := range m.Env {
		fields["env."+name] = strconv.Quote(v.text)
		if v.config != "" {
			fields["env."+name] = "configuration " + v.config
		}
	}
	return fields
}

func shownDuration(d duration) string {
	if d == 0 {
		return ""
	}
	text, _ := d.MarshalYAML()
	return fmt.Sprint(text)
}

// rolloutShort writes what a rollout says beyond the defaults.
func rolloutShort(r rollout) string {
	if r == (rollout{}) {
		return ""
	}
	return rolloutText(manifest{Rollout: r}.rollout())
}

// printDifferences writes a line for each difference.
func printDifferences(t *tableWriter, list []difference) {
	for _, d := range list {
		before, after := d.Before, d.After
		if d.Field == "image" {
			before, after = words.Digest(before), words.Digest(after)
		}
		switch {
		case before == "":
			t.row("  + "+d.Field, after)
		case after == "":
			t.row("  - "+d.Field, before)
		default:
			t.row("  ~ "+d.Field, before+" -> "+after)
		}
	}
}
