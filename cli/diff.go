package cli

import (
	"cmp"
	"errors"
	"slices"

	"github.com/spf13/cobra"
)

type diffOptions struct {
	file     string
	set      string
	exitCode bool
	out      format
}

func newDiffCmd(app *App) *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff -f DIR|FILE",
		Short: "Show what micro apply would change",
		Long: `Show what "micro apply" with the same files would change. Sources are built for that, to
know their images; nothing is sent. A line begins with + for what would be added, - for
what would be removed, and ~ for what would be another value.

` + fileSetHelp,
		Example: `  micro diff -f services
  micro diff -f services --exit-code`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, app) },
	}
	fileFlag(cmd, &o.file)
	cmd.Flags().StringVar(&o.set, "set", "", "what the services have in common (the name of the directory or file)")
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 1 when something would change")
	outputFlag(cmd, &o.out)
	return cmd
}

// serviceDiff is what would become of a service.
type serviceDiff struct {
	Name        string       `json:"name"`
	Action      string       `json:"action"` // run, update, prune or none
	Differences []difference `json:"differences,omitempty"`
}

var errDiffers = errors.New("something would change")

func (o *diffOptions) run(cmd *cobra.Command, app *App) error {
	set, err := app.readFiles(cmd.Root(), "micro diff", o.file)
	if err != nil {
		return err
	}
	if err := app.pinSet(set); err != nil {
		return err
	}
	p := newProgress(app)
	plan, others, err := app.planSet(cmd.Context(), p, set)
	defer closeAll(plan)
	if err != nil {
		p.fail(err)
		return explainBuild(err)
	}
	p.finish()
	var list []serviceDiff
	for _, s := range plan {
		d := serviceDiff{Name: s.Name, Action: "none", Differences: differences(s.now, s.want)}
		switch {
		case s.now == nil:
			d.Action = "run"
		case len(d.Differences) > 0:
			d.Action = "update"
		}
		list = append(list, d)
	}
	if name := cmp.Or(o.set, set.name); name != "" {
		for _, pruned := range ofSet(others, name) {
			list = append(list, serviceDiff{Name: pruned, Action: "prune"})
		}
	}
	if err := o.print(app, list); err != nil {
		return err
	}
	if o.exitCode && slices.ContainsFunc(list, func(d serviceDiff) bool { return d.Action == "run" || d.Action == "update" }) {
		return &Error{Message: errDiffers.Error(), Exit: ExitError}
	}
	return nil
}

func (o *diffOptions) print(app *App, list []serviceDiff) error {
	if o.out != asTable {
		return printValue(app, o.out, list)
	}
	t := newTable(app.Out)
	for _, d := range list {
		t.row(d.Name + map[string]string{
			"run": ": new", "update": ": another", "none": ": the same", "prune": ": not declared any more, stopped with --prune",
		}[d.Action])
		printDifferences(t, d.Differences)
	}
	return t.flush()
}
