package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

type inspectOptions struct {
	lines  int32
	follow bool
	out    format
}

func newInspectCmd(app *App) *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect NAME",
		Short: "Show all that is known of a service, and what was done with it",
		Long: `Show all that is known of a service: image and what is in it, source, environment,
resources, probes, releases, changes and instances, and the journal of what the server
did with it and why. What the configuration has is not shown, nor are the values of
variables that are called like secrets.`,
		Example: `  micro inspect helloworld
  micro inspect helloworld -f
  micro inspect helloworld -o json`,
		Args:              exactly(1),
		ValidArgsFunction: completeDeployed(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.nearestRun(cmd, args[0], o.run(cmd.Context(), app, args[0]))
		},
	}
	f := cmd.Flags()
	f.Int32VarP(&o.lines, "lines", "n", 30, "show at most so many entries of the journal; 0 shows all")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on, and show each new entry of the journal")
	outputFlag(cmd, &o.out)
	return cmd
}

// inspected is all that is known of a service.
type inspected struct {
	service  *runtimev1.Service
	releases []*runtimev1.Release
	changes  []*runtimev1.Change
	sbom     json.RawMessage // what is in its image, as SPDX; nil when that is not known
}

func (o *inspectOptions) run(ctx context.Context, app *App, name string) error {
	if o.lines < 0 {
		return usage("micro inspect --help", "--lines is %d", o.lines)
	}
	ctx, client, err := app.runtime(ctx)
	if err != nil {
		return err
	}
	all, err := inspect(ctx, client, name)
	if err != nil {
		return err
	}
	if all.sbom, err = app.sbom(ctx, all.service.GetSpec().GetImage()); err != nil {
		return err
	}
	stream, err := client.Journal(ctx, &runtimev1.JournalRequest{Name: name, Tail: o.lines, Follow: o.follow})
	if err != nil {
		return err
	}
	if o.follow {
		if err := o.print(app, all, nil); err != nil {
			return err
		}
	}
	var journal []proto.Message
	err = receive(stream, func(rsp *runtimev1.JournalResponse) error {
		for _, e := range rsp.GetEntries() {
			if !o.follow {
				journal = append(journal, e)
				continue
			}
			err := o.out.element(app.Out, e, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, entryText(e))
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || o.follow {
		return err
	}
	return o.print(app, all, journal)
}

// inspect asks for all that is known of a service, and hides what is secret of it.
func inspect(ctx context.Context, client runtimev1.RuntimeClient, name string) (*inspected, error) {
	s, err := client.Get(ctx, &runtimev1.GetRequest{Name: name})
	if err != nil {
		return nil, err
	}
	releases, err := client.Releases(ctx, &runtimev1.ReleasesRequest{Name: name})
	if err != nil {
		return nil, err
	}
	changes, err := client.Changes(ctx, &runtimev1.ChangesRequest{Name: name})
	if err != nil {
		return nil, err
	}
	hideSecrets(s.GetService().GetSpec())
	for _, r := range releases.GetReleases() {
		hideSecrets(r.GetSpec())
	}
	return &inspected{service: s.GetService(), releases: releases.GetReleases(), changes: changes.GetChanges()}, nil
}

// sbom returns what is in an image of a release, nil when that is not known, or not for
// who asks.
func (a *App) sbom(ctx context.Context, image string) (json.RawMessage, error) {
	rsp, err := a.image(ctx, image)
	if code := status.Code(err); code == codes.NotFound || code == codes.PermissionDenied {
		return nil, nil
	}
	if !json.Valid(rsp.GetSbom()) {
		return nil, err
	}
	return rsp.GetSbom(), err
}

// hideSecrets hides the values of variables that are called like secrets.
func hideSecrets(s *runtimev1.Spec) {
	for name, v := range s.GetEnv() {
		if _, isText := v.GetValue().(*runtimev1.Value_Text); isText && front.IsSecret(name) {
			v.Value = &runtimev1.Value_Text{Text: "***"}
		}
	}
}

func (o *inspectOptions) print(app *App, all *inspected, journal []proto.Message) error {
	if o.out == asTable {
		t := newTable(app.Out)
		all.describe(app, t)
		if err := t.flush(); err != nil {
			return err
		}
		fmt.Fprintln(app.Out, "Journal:")
		for _, e := range journal {
			entry, _ := e.(*runtimev1.Entry)
			fmt.Fprintln(app.Out, "  "+entryText(entry))
		}
		return nil
	}
	v, err := all.value(journal)
	if err != nil {
		return err
	}
	if !o.follow {
		return printValue(app, o.out, v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if o.out == asYAML {
		fmt.Fprintln(app.Out, "---")
		return jsonToYAML(app.Out, b)
	}
	_, err = app.Out.Write(append(b, '\n'))
	return err
}

// value returns the JSON of all that is known of a service.
func (i *inspected) value(journal []proto.Message) (any, error) {
	var failed error
	raw := func(m proto.Message) json.RawMessage {
		b, err := compactJSON(m)
		if err != nil {
			failed = err
		}
		return b
	}
	v := struct {
		Service  json.RawMessage   `json:"service"`
		SBOM     json.RawMessage   `json:"sbom,omitempty"`
		Releases []json.RawMessage `json:"releases"`
		Changes  []json.RawMessage `json:"changes"`
		Journal  []json.RawMessage `json:"journal,omitempty"`
	}{Service: raw(i.service), SBOM: i.sbom}
	for _, r := range i.releases {
		v.Releases = append(v.Releases, raw(r))
	}
	for _, c := range i.changes {
		v.Changes = append(v.Changes, raw(c))
	}
	for _, e := range journal {
		v.Journal = append(v.Journal, raw(e))
	}
	return v, failed
}

// describe writes all that is known of a service but for the journal.
func (i *inspected) describe(app *App, t *tableWriter) {
	s := i.service
	describeStatus(app, t, s)
	spec := s.GetSpec()
	if s.GetSet() != "" {
		t.row("Set:", s.GetSet())
	}
	if text := i.contents(); text != "" {
		t.row("SBOM:", text)
	}
	if len(spec.GetArgs()) > 0 {
		t.row("Arguments:", quoteArgs(spec.GetArgs()))
	}
	title := "Environment:"
	for _, name := range slices.Sorted(maps.Keys(spec.GetEnv())) {
		t.row(title, name+valueText(spec.GetEnv()[name]))
		title = ""
	}
	for _, row := range resourceRows(spec.GetResources()) {
		t.row("Resources:", row)
	}
	title = "Probes:"
	for _, row := range probeRows(spec.GetProbes()) {
		t.row(title, row)
		title = ""
	}
	t.row("Rollout:", rolloutText(s.GetRollout()))
	title = "Releases:"
	for _, r := range i.releases {
		t.row(title, strings.TrimSpace(fmt.Sprintf("%d  %s  %s by %s, %s  %s", r.GetNumber(), words.Digest(r.GetSpec().GetImage()),
			words.ReleaseAction(r), r.GetBy(), words.Ago(app.Now(), r.GetCreated().AsTime()), words.ReleaseState(r, s.GetStatus()))))
		title = ""
	}
	title = "Changes:"
	for _, c := range i.changes[:min(10, len(i.changes))] {
		t.row(title, fmt.Sprintf("%d  %s", c.GetNumber(), app.changeText(c)))
		title = ""
	}
}

// contents says how much is in the image, empty when that is not known.
func (i *inspected) contents() string {
	var sbom struct {
		Packages []struct{ PrimaryPackagePurpose string }
	}
	if json.Unmarshal(i.sbom, &sbom) != nil {
		return ""
	}
	n := 0
	for _, p := range sbom.Packages {
		if p.PrimaryPackagePurpose != "CONTAINER" { // which is the image itself
			n++
		}
	}
	return fmt.Sprintf("%d packages, listed with -o json", n)
}

// valueText writes the value of a variable behind its name.
func valueText(v *runtimev1.Value) string {
	if v.GetConfig() != "" {
		return " from the configuration " + v.GetConfig()
	}
	return "=" + v.GetText()
}

// quoteArgs writes arguments so that their ends can be seen.
func quoteArgs(args []string) string {
	var out []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\") {
			a = strconv.Quote(a)
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}

// resourceRows says what is bounded, in one row or none.
func resourceRows(r *runtimev1.Resources) []string {
	var parts []string
	if r.GetCpu() != 0 {
		parts = append(parts, "cpu "+cpu(r.GetCpu()).String())
	}
	if r.GetMemory() != 0 {
		parts = append(parts, "memory "+memory(r.GetMemory()).String())
	}
	if r.GetProcesses() != 0 {
		parts = append(parts, fmt.Sprintf("%d processes", r.GetProcesses()))
	}
	if len(parts) == 0 {
		return nil
	}
	return []string{strings.Join(parts, ", ")}
}

// probeRows says how it is found out whether an instance is well.
func probeRows(p *runtimev1.Probes) []string {
	var rows []string
	for _, named := range []struct {
		name  string
		probe *runtimev1.Probe
	}{{"startup", p.GetStartup()}, {"readiness", p.GetReadiness()}, {"liveness", p.GetLiveness()}} {
		if named.probe != nil {
			rows = append(rows, named.name+": "+probeText(named.probe))
		}
	}
	if rows == nil {
		return []string{"gRPC health"}
	}
	return rows
}

func probeText(p *runtimev1.Probe) string {
	text := ""
	switch c := p.GetCheck().(type) {
	case *runtimev1.Probe_Grpc:
		text = strings.TrimSpace("gRPC health " + c.Grpc)
	case *runtimev1.Probe_Http:
		text = "GET " + c.Http
	case *runtimev1.Probe_Tcp:
		text = "TCP connection"
	case *runtimev1.Probe_Command:
		text = quoteArgs(c.Command.GetArgs())
	}
	if p.GetPeriod() != nil {
		text += ", each " + readableDuration(p.GetPeriod().AsDuration().String())
	}
	if p.GetTimeout() != nil {
		text += ", within " + readableDuration(p.GetTimeout().AsDuration().String())
	}
	if p.GetFailures() != 0 {
		text += fmt.Sprintf(", %d failures", p.GetFailures())
	}
	if p.GetSuccesses() != 0 {
		text += fmt.Sprintf(", %d successes", p.GetSuccesses())
	}
	return text
}

// rolloutText says when a new release is given up.
func rolloutText(r *runtimev1.Rollout) string {
	if r.GetKeepTrying() {
		return "a new release is never given up"
	}
	failures, deadline := "3", "5m"
	if r.GetFailures() != 0 {
		failures = strconv.Itoa(int(r.GetFailures()))
	}
	if r.GetDeadline() != nil {
		deadline = readableDuration(r.GetDeadline().AsDuration().String())
	}
	return fmt.Sprintf("a new release is given up after %s failures, or %s without progress", failures, deadline)
}

// entryText writes an entry of a journal in a line.
func entryText(e *runtimev1.Entry) string {
	text := e.GetTime().AsTime().Local().Format("2006-01-02 15:04:05.000")
	if e.GetInstance() != "" {
		text += " [" + e.GetInstance() + "]"
	} else if e.GetRelease() != 0 {
		text += fmt.Sprintf(" release %d", e.GetRelease())
	}
	return front.Line(text + " " + e.GetText())
}
