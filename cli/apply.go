package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/image"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

type applyOptions struct {
	file   string
	set    string
	prune  bool
	noWait bool
}

func newApplyCmd(app *App) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply -f DIR|FILE",
		Short: "Make services run as files declare them",
		Long: `Make services run as files declare them. All sources are built before anything is
changed. Then the services are applied one after the other, in their order, each when
the one before runs; what did not change is left alone. When one fails, those after it
are not applied, and it says which.

` + fileSetHelp + `

With --prune, services that were applied from the same set before and are not declared
any more are stopped. The set is what the directory or file is called, or --set.`,
		Example: `  micro apply -f services
  micro apply -f services --prune
  micro apply -f - --set shop`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, app) },
	}
	f := cmd.Flags()
	fileFlag(cmd, &o.file)
	f.StringVar(&o.set, "set", "", "what the services have in common (the name of the directory or file)")
	f.BoolVar(&o.prune, "prune", false, "stop services of the set that are not declared any more")
	f.BoolVar(&o.noWait, "no-wait", false, "do not wait until the services run")
	return cmd
}

// planned is a service that is to be applied.
type planned struct {
	declared

	want    *runtimev1.Service // as it is declared
	now     *runtimev1.Service // nil: there is none
	content *content           // nil: it is in the registry already
	applied bool               // whether it runs or not
}

func (o *applyOptions) run(cmd *cobra.Command, app *App) error {
	ctx := cmd.Context()
	set, err := app.readFiles(cmd.Root(), "micro apply", o.file)
	if err != nil {
		return err
	}
	set.name = cmp.Or(o.set, set.name)
	if o.prune && set.name == "" {
		return usage("micro apply --help", "--prune needs --set with what comes on standard input")
	}
	if err := app.pinSet(set); err != nil {
		return err
	}
	if err := app.mayChange(); err != nil {
		return err
	}
	p := newProgress(app)
	plan, others, err := app.planSet(ctx, p, set)
	defer closeAll(plan)
	if err != nil {
		p.fail(err)
		return explainBuild(err)
	}
	for i, s := range plan {
		if err := o.apply(ctx, app, p, s, set.name); err != nil {
			p.fail(err)
			return stoppedAt(app.explain(explainBuild(err)), plan, i)
		}
	}
	p.finish()
	if !o.prune {
		return nil
	}
	return app.stopAll(ctx, ofSet(others, set.name))
}

// planSet builds what is to be built, and compares all with what runs. It also returns
// the services that run and are not declared.
func (a *App) planSet(ctx context.Context, p *progress, set fileSet) (plan []*planned, others []*runtimev1.Service, err error) {
	callCtx, client, err := a.runtime(ctx)
	if err != nil {
		return nil, nil, err
	}
	rsp, err := client.List(callCtx, &runtimev1.ListRequest{})
	if err != nil {
		return nil, nil, err
	}
	now := map[string]*runtimev1.Service{}
	for _, s := range rsp.GetServices() {
		now[s.GetName()] = s
	}
	for _, d := range set.services {
		s := &planned{declared: d, now: now[d.Name]}
		plan = append(plan, s)
		delete(now, d.Name)
		if err := s.build(ctx, a, p); err != nil {
			return plan, nil, fmt.Errorf("%s: %w", d.Name, err)
		}
	}
	for _, s := range rsp.GetServices() {
		if now[s.GetName()] != nil {
			others = append(others, s)
		}
	}
	return plan, others, nil
}

// build makes the image of a service, if it has a source, and says how the service is to
// run.
func (s *planned) build(ctx context.Context, app *App, p *progress) error {
	spec, err := s.spec()
	if err != nil {
		return err
	}
	switch {
	case s.source != "":
		s.content, err = app.buildService(ctx, p, s.source, s.Name)
	case image.IsReference(s.Image):
		s.content, err = app.findImage(ctx, p, s.Image, s.Name)
	}
	if err != nil {
		return err
	}
	ref := ""
	spec.Source = s.now.GetSpec().GetSource() // of what is there already nothing new is told
	if s.content != nil {
		ref, spec.Image, spec.Source = s.content.source.Ref, s.content.reference, sourceOf(s.content.source)
	}
	spec.Version = cmp.Or(s.Version, ref, "latest")
	s.want = &runtimev1.Service{Name: s.Name, Spec: spec, Rollout: s.rollout(), Instances: s.Instances}
	if s.want.Instances == 0 {
		s.want.Instances = max(1, s.now.GetInstances())
	}
	return nil
}

// apply makes a service run as it is declared.
func (o *applyOptions) apply(ctx context.Context, app *App, p *progress, s *planned, set string) error {
	if s.now != nil && len(differences(s.now, s.want)) == 0 && s.now.GetSet() == set && whole(s.now) {
		p.finish()
		return app.nowRuns(s.now, "is unchanged")
	}
	if s.content != nil {
		if err := s.content.push(ctx); err != nil {
			return err
		}
	}
	ctx, client, err := app.runtime(ctx)
	if err != nil {
		return err
	}
	p.start("applying", s.Name)
	rsp, err := client.Apply(ctx, &runtimev1.ApplyRequest{
		Name: s.Name, Spec: s.want.GetSpec(), Instances: s.Instances, Rollout: s.rollout(), Set: set,
	})
	if err != nil {
		return err
	}
	s.applied = true
	release := rsp.GetService().GetStatus().GetRelease()
	p.update(fmt.Sprintf("%s release %d", s.Name, release))
	now := rsp.GetService()
	what := "runs"
	if o.noWait {
		what = "is applied"
	} else if now, err = p.awaitRunning(ctx, client, s.Name, release); err != nil {
		return err
	}
	p.finish()
	if rsp.GetChange() == nil {
		what = "is unchanged"
	}
	return app.nowRuns(now, what)
}

// whole reports whether a service runs as it should.
func whole(s *runtimev1.Service) bool {
	return s.GetStatus().GetPhase() == runtimev1.Phase_PHASE_RUNNING
}

// stoppedAt says of a failure which services were applied before, and which were not.
func stoppedAt(e *Error, plan []*planned, at int) error {
	names := func(list []*planned) string {
		var names []string
		for _, s := range list {
			names = append(names, s.Name)
		}
		return strings.Join(names, ", ")
	}
	out := *e
	if !plan[at].applied {
		out.Message = fmt.Sprintf("%s was not applied: %s", plan[at].Name, e.Message)
	}
	if at > 0 {
		out.Details = append(slices.Clone(e.Details), "  applied before: "+names(plan[:at]))
	}
	if at < len(plan)-1 {
		out.Details = append(out.Details, "  not applied any more: "+names(plan[at+1:]))
	}
	return &out
}

func closeAll(plan []*planned) {
	for _, s := range plan {
		if s.content != nil {
			_ = s.content.close() // it was only read
		}
	}
}

// ofSet returns the services that were applied from a set.
func ofSet(services []*runtimev1.Service, set string) []string {
	var names []string
	for _, s := range services {
		if s.GetSet() == set {
			names = append(names, s.GetName())
		}
	}
	return names
}
