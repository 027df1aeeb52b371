package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

func newExportCmd(app *App) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "export [NAME...]",
		Short: "Write what runs as files for micro apply",
		Long: `Write the services that should run, or those named, as documents of YAML that micro
apply takes: to apply them where they come from changes nothing. The images are those
that run, by their digests. Variables that refer to the configuration are written as
such; the configuration itself is exported by "micro config export".`,
		Example: `  micro export
  micro export helloworld --dir services`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeDeployed(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return app.export(cmd, args, dir) },
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write a file for each service into this directory")
	return cmd
}

func (a *App) export(cmd *cobra.Command, names []string, dir string) error {
	ctx, client, err := a.runtime(cmd.Context())
	if err != nil {
		return err
	}
	var services []*runtimev1.Service
	for _, name := range names {
		rsp, err := client.Get(ctx, &runtimev1.GetRequest{Name: name})
		if err != nil {
			return a.nearestRun(cmd, name, err)
		}
		services = append(services, rsp.GetService())
	}
	if len(names) == 0 {
		rsp, err := client.List(ctx, &runtimev1.ListRequest{})
		if err != nil {
			return err
		}
		services = rsp.GetServices()
	}
	if dir == "" {
		return writeManifests(a.Out, services)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, s := range services {
		path := filepath.Join(dir, s.GetName()+".yaml")
		if err := exportManifest(path, s); err != nil {
			return err
		}
		fmt.Fprintln(a.Out, path)
	}
	return nil
}

// exportManifest writes a service to a file, which must not be there.
func exportManifest(path string, s *runtimev1.Service) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &Error{Message: path + " is there already", Hint: "micro export --dir OTHER", Exit: ExitError}
	}
	if err != nil {
		return err
	}
	return errors.Join(writeManifests(f, []*runtimev1.Service{s}), f.Close())
}

// writeManifests writes services as documents.
func writeManifests(w io.Writer, services []*runtimev1.Service) error {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	for _, s := range services {
		if err := enc.Encode(manifestOf(s)); err != nil {
			return err
		}
	}
	if err := enc.Close(); err != nil {
		return err
	}
	_, err := w.Write(out.Bytes())
	return err
}
