package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/micro/micro/v3/generator"
	"github.com/micro/micro/v3/internal/sdk"
)

type newOptions struct {
	module   string
	template string
}

func newNewCmd(app *App) *cobra.Command {
	var o newOptions
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the source of a new service",
		Long: `Write the source of a new service into a directory of its name. The service builds
and passes its own test at once; its README says what to do next.

NAME may be a path: the last part of it names the service.`,
		Example: `  micro new helloworld
  micro new shop/billing --module example.com/shop/billing`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args[0]) },
	}
	cmd.Flags().StringVar(&o.module, "module", "", "path of the Go module (the name)")
	cmd.Flags().StringVar(&o.template, "template", "service", "kind of service: "+strings.Join(generator.Templates(), ", "))
	return cmd
}

func (o *newOptions) run(cmd *cobra.Command, app *App, path string) error {
	dir := filepath.Clean(path)
	name := filepath.Base(dir)
	if err := generator.CheckName(name); err != nil {
		return usage("", "%s", err)
	}
	if isCommand(cmd.Root(), name) {
		return usage("", "a service cannot be called %q, because micro has a command of that name", name)
	}
	version, sdkDir, err := app.unpackSDK()
	if err != nil {
		return err
	}
	files, err := generator.New(generator.Options{
		Dir:        dir,
		Name:       name,
		Module:     o.module,
		Template:   o.template,
		SDKVersion: version,
		SDKDir:     sdkDir,
	})
	if _, ok := errors.AsType[*generator.ConflictError](err); ok {
		return &Error{Message: err.Error(), Hint: "choose another name, or remove what is there", Exit: ExitError}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(app.Out, "service %s is in %s:\n", name, dir)
	for _, f := range files {
		fmt.Fprintf(app.Out, "  %s\n", f.Path)
	}
	fmt.Fprintf(app.Err, "\nnext:\n  cd %s\n  micro run .\n  micro %s --name=Alice\n", dir, name)
	return nil
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
			if problems, ok := errors.AsType[*generator.ProtoError](err); ok {
				e := &Error{Message: "the .proto files have errors", Exit: ExitError}
				for _, p := range problems.Problems {
					e.Details = append(e.Details, p.String())
				}
				return e
			}
			if err != nil {
				return err
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
