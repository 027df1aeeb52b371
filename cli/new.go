package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/generator"
	"github.com/micro/micro/v3/image"
	"github.com/micro/micro/v3/internal/sdk"
)

type newOptions struct {
	module   string
	template string
	set      []string
	list     bool
	out      format
}

func newNewCmd(app *App) *cobra.Command {
	var o newOptions
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the source of a new service",
		Long: `Write the source of a new service into a directory of its name. The service builds
and passes its own test at once; its README says what to do next.

NAME may be a path: the last part of it names the service; "." is the directory that you
are in. What is in the directory already stays as it is.

--template is one of the templates that micro comes with ("micro new --list"), a
directory, or a git address: github.com/OWNER/REPO, the same on another host, https://,
ssh:// or file://; then /FOLDER for a folder of it and @REF for a branch, tag or commit.
A repository that knows nothing of micro is copied, with the path of its Go module and
the name in its micro.yaml replaced. One with a template.yaml can have files that end in
.tmpl, and variables, which are asked for or given by --set.`,
		Example: `  micro new helloworld
  micro new shop/billing --module example.com/shop/billing
  micro new notes --template store
  micro new hello --template github.com/owner/repo/folder@v1 --set port=8080
  micro new --list`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.list {
				return checkArgs(cmd, args, 0, 0)
			}
			return checkArgs(cmd, args, 1, 1)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.list {
				return o.listTemplates(app)
			}
			return o.run(cmd, app, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.module, "module", "", "path of the Go module (the name)")
	f.StringVar(&o.template, "template", generator.DefaultTemplate, "what to make it of: a template of micro, a directory or a git address")
	f.StringArrayVar(&o.set, "set", nil, "value of a variable of the template as NAME=VALUE; can be repeated")
	f.BoolVar(&o.list, "list", false, "list the templates that micro comes with")
	outputFlag(cmd, &o.out)
	completeFlag(cmd, "template", completeTemplates)
	completeFlag(cmd, "module", cobra.NoFileCompletions)
	completeFlag(cmd, "set", cobra.NoFileCompletions)
	return cmd
}

// completeTemplates completes the templates that micro comes with, and directories.
func completeTemplates(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, err := generator.Builtins()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var found []cobra.Completion
	for _, t := range all {
		if strings.HasPrefix(t.Name, word) {
			found = append(found, cobra.CompletionWithDesc(t.Name, t.Description))
		}
	}
	if len(found) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// listedTemplate is the JSON of a template.
type listedTemplate struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func (o *newOptions) listTemplates(app *App) error {
	all, err := generator.Builtins()
	if err != nil {
		return err
	}
	list := make([]listedTemplate, len(all))
	for i, t := range all {
		list[i] = listedTemplate{t.Name, t.Description}
	}
	if o.out != asTable {
		return printValue(app, o.out, list)
	}
	t := newTable(app.Out)
	t.row("NAME", "DESCRIPTION")
	for _, l := range list {
		t.row(l.Name, l.Description)
	}
	return t.flush()
}

func (o *newOptions) run(cmd *cobra.Command, app *App, path string) error {
	dir := filepath.Clean(path)
	name := filepath.Base(dir)
	if dir == "." {
		here, err := os.Getwd()
		if err != nil {
			return err
		}
		name = filepath.Base(here)
	}
	if err := generator.CheckName(name); err != nil {
		hint := ""
		if near := generator.NearestName(name); near != "" {
			hint = "micro new " + filepath.Join(filepath.Dir(dir), near)
		}
		return usage(hint, "%s", err)
	}
	if why := nameTaken(cmd.Root(), name); why != "" {
		return usage("", "%s", why)
	}
	values, err := o.values()
	if err != nil {
		return err
	}
	t, err := findTemplate(cmd.Context(), app, o.template)
	if err != nil {
		return err
	}
	version, sdkDir, err := app.unpackSDK()
	if err != nil {
		return err
	}
	opts := generator.Options{
		Template:   t,
		Dir:        dir,
		Name:       name,
		Module:     o.module,
		Values:     values,
		SDKVersion: version,
		SDKDir:     sdkDir,
	}
	if app.Interactive() && !app.yes {
		opts.Ask = app.askVariable
	}
	project, err := generator.New(cmd.Context(), opts)
	if err != nil {
		return explainNew(err, name, o.template)
	}
	for _, n := range project.Notes {
		fmt.Fprintln(app.Err, "warning: "+front.Line(n))
	}
	fmt.Fprintf(app.Out, "service %s is in %s:\n", name, dir)
	for _, f := range project.Files {
		fmt.Fprintf(app.Out, "  %s\n", front.Line(f.Path))
	}
	fmt.Fprintf(app.Err, "\nnext:\n")
	if dir != "." {
		fmt.Fprintf(app.Err, "  cd %s\n", dir)
	}
	for _, line := range project.Next {
		fmt.Fprintf(app.Err, "  %s\n", front.Line(line))
	}
	return nil
}

// values returns what --set says.
func (o *newOptions) values() (map[string]string, error) {
	values := make(map[string]string, len(o.set))
	for _, s := range o.set {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, usage("micro new --help", "--set is %q; it has the form NAME=VALUE", s)
		}
		values[k] = v
	}
	return values, nil
}

// Limits of what a template is fetched from: the whole of a repository is.
const (
	maxRepository     = 256 << 20
	maxRepositoryFile = 64 << 20
	maxRepositoryTime = 2 * time.Minute
)

// findTemplate returns the template that a name, a directory or a git address means.
func findTemplate(ctx context.Context, app *App, ref string) (*generator.Template, error) {
	all, err := generator.Builtins()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range all {
		if t.Name == ref {
			return t, nil
		}
		names = append(names, t.Name)
	}
	if _, err := os.Stat(ref); err != nil && !strings.ContainsAny(ref, "/.:~"+string(filepath.Separator)) {
		hint := "micro new --list"
		if near := request.Nearest(ref, names); near != "" {
			hint = "micro new NAME --template " + near
		}
		return nil, usage(hint, "there is no template %q; there is: %s", ref, strings.Join(names, ", "))
	}
	p := newProgress(app)
	p.start("fetching", ref)
	t, err := fetchTemplate(ctx, app, p, ref)
	if err != nil {
		p.fail(err)
		return nil, err
	}
	p.finish()
	return t, nil
}

func fetchTemplate(ctx context.Context, app *App, p *progress, ref string) (*generator.Template, error) {
	source, err := image.Fetch(ctx, ref, image.FetchOptions{
		Credentials: app.gitCredentials,
		Prompt:      app.Interactive(),
		Progress:    showStage(p),
		Timeout:     maxRepositoryTime,
		MaxBytes:    maxRepository,
		MaxFile:     maxRepositoryFile,
	})
	if err != nil {
		return nil, explainBuild(err)
	}
	defer source.Close()
	t, err := generator.LoadTemplate(source.Dir, source.Root(), source.Name)
	if err != nil {
		return nil, &Error{Message: fmt.Sprintf("%s is no template: %s", ref, err), Exit: ExitError}
	}
	return t, nil
}

// askVariable asks for a value until it is one that the variable can have.
func (a *App) askVariable(v generator.Variable) (string, error) {
	question := strings.TrimRight(v.Prompt, "?: ")
	if len(v.Choices) > 0 {
		question += " (" + strings.Join(v.Choices, ", ") + ")"
	}
	if !v.Required {
		question += " [" + v.Default + "]"
	}
	for {
		answer, err := a.prompt(question + ": ")
		if err != nil {
			return "", err
		}
		if answer == "" && !v.Required {
			answer = v.Default
		}
		err = v.Check(answer)
		if err == nil {
			return answer, nil
		}
		fmt.Fprintln(a.Terminal.Prompt, front.Line(err.Error()))
	}
}

// explainNew turns the errors of a new project into what a person is told.
func explainNew(err error, name, template string) error {
	if _, ok := errors.AsType[*generator.ConflictError](err); ok {
		return &Error{Message: err.Error(), Hint: "choose another name, or remove what is there", Exit: ExitError}
	}
	if v, ok := errors.AsType[*generator.ValueError](err); ok {
		return usage(fmt.Sprintf("micro new %s --template %s --set %s=VALUE", name, template, v.Name), "%s", err)
	}
	return err
}

// unpackSDK makes the source of the service framework available to the user's own
// Go tools, and returns its version and where it is.
func (a *App) unpackSDK() (version, dir string, err error) {
	module, err := sdk.New(a.SDK)
	if err != nil {
		return "", "", err
	}
	dirs, err := a.Dirs()
	if err != nil {
		return "", "", err
	}
	parent, err := filepath.Abs(filepath.Join(dirs.Data, "sdk"))
	if err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", "", err
	}
	dir, err = module.WriteDir(parent)
	return module.Version(), dir, err
}

func newGenCmd(app *App) *cobra.Command {
	var micro bool
	cmd := &cobra.Command{
		Use:   "gen [DIR]",
		Short: "Generate Go code from the .proto files of a project",
		Long: `Generate the Go code of every .proto file below DIR, beside it, and let go.mod point to
the SDK on this machine. The compiler is built in: nothing has to be installed.

A NAME.pb.micro.go, as the generator of Micro 3 made it, is made again where there is
one; --micro makes one of every file with services.`,
		Example: "  micro gen",
		Args:    atMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			var opts []generator.GenOption
			if micro {
				opts = append(opts, generator.Micro())
			}
			result, err := generator.Gen(cmd.Context(), dir, opts...)
			if err != nil {
				return explainGen(err)
			}
			for _, n := range result.Notes {
				fmt.Fprintln(app.Err, n)
			}
			version, sdkDir, err := app.unpackSDK()
			if err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				changed, err := generator.PointToSDK(dir, version, sdkDir)
				if err != nil {
					return err
				}
				if changed {
					fmt.Fprintf(app.Err, "go.mod points to the SDK in %s\n", sdkDir)
				}
			}
			for _, f := range result.Written {
				fmt.Fprintln(app.Out, f)
			}
			if len(result.Written) == 0 {
				fmt.Fprintf(app.Err, "%d .proto files, nothing has changed\n", result.Sources)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&micro, "micro", false, "make .pb.micro.go files too")
	return cmd
}

// explainGen turns the errors of the generator into what a person is told.
func explainGen(err error) error {
	problems, ok := errors.AsType[*generator.ProtoError](err)
	if !ok {
		return err
	}
	e := &Error{Message: "the .proto files have errors", Exit: ExitError}
	for _, p := range problems.Problems {
		e.Details = append(e.Details, p.String())
	}
	return e
}
