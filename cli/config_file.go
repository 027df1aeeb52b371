package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
)

// maxConfig bounds what is read to be set: the server takes no more.
const maxConfig = 1 << 20

// readConfig reads a file, or standard input for "-".
func (a *App) readConfig(name string) ([]byte, error) {
	r := a.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err == nil && len(b) > maxConfig {
		err = &Error{Message: fmt.Sprintf("%s has more than %d bytes", name, maxConfig), Exit: ExitUsage}
	}
	return b, err
}

// configValue returns the JSON of a value as it is typed. What comes from a file loses
// the line end that editors and echo put behind it, when it is a string.
func (a *App) configValue(arg string) (string, error) {
	text := arg
	if name, ok := strings.CutPrefix(arg, "@"); ok || arg == "-" {
		if arg == "-" {
			name = arg
		}
		b, err := a.readConfig(name)
		if err != nil {
			return "", err
		}
		text = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	}
	if json.Valid([]byte(text)) {
		return text, nil
	}
	if !utf8.ValidString(text) {
		return "", usage("micro config set --help", "the value is no text; a value is JSON or a string")
	}
	b, err := json.Marshal(text)
	return string(b), err
}

type configImportOptions struct {
	replace bool
	path    string
}

func newConfigImportCmd(app *App) *cobra.Command {
	var o configImportOptions
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Set all values of a JSON or YAML file at once",
		Long: `Set all values of a JSON or YAML file at once; - is standard input. What is not in
the file stays as it is, unless --replace is given.

An object whose only member is "$secret" is the value of that member, as a secret.
"[secret]" leaves the secret that is there as it is: a file that was exported without
--secret can be imported where it comes from.`,
		Example: `  micro config import config.yaml
  micro config export --secret | micro --env dev config import - --replace`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args[0]) },
	}
	cmd.Flags().BoolVar(&o.replace, "replace", false, "delete what is not in the file")
	cmd.Flags().StringVar(&o.path, "path", "", "where the values go; the whole configuration")
	return cmd
}

func (o *configImportOptions) run(ctx context.Context, app *App, name string) error {
	b, err := app.readConfig(name)
	if err != nil {
		return err
	}
	value, err := oneDocument(b)
	if err != nil {
		return usage("micro config import --help", "%s %s", name, err)
	}
	ctx, client, err := app.configClient(ctx)
	if err != nil {
		return err
	}
	rsp, err := client.Set(ctx, &configv1.SetRequest{Path: o.path, Json: string(value), Merge: !o.replace})
	if err != nil {
		return err
	}
	return app.configChanged(o.path, "imported", rsp.GetRevision())
}

// oneDocument returns the only document of JSON or YAML, as JSON.
func oneDocument(b []byte) ([]byte, error) {
	if json.Valid(b) {
		return b, nil
	}
	var docs [][]byte
	for m, err := range readYAML(bytes.NewReader(b)) {
		if err != nil {
			return nil, err
		}
		docs = append(docs, m.JSON)
	}
	if len(docs) != 1 {
		return nil, fmt.Errorf("has %d documents, and one is needed", len(docs))
	}
	return docs[0], nil
}

func newConfigExportCmd(app *App) *cobra.Command {
	var out format
	var secret bool
	cmd := &cobra.Command{
		Use:   "export [PATH]",
		Short: "Print the configuration as a file that can be imported",
		Long: `Print the configuration, as it is at one moment, as a file that "micro config import"
takes. Without --secret, secrets are "[secret]"; with it they are in clear, as objects
with the only member "$secret".`,
		Example: `  micro config export
  micro config export --secret -o json`,
		Args:              atMostOne(),
		ValidArgsFunction: completeConfig(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == asTable {
				return usage("micro config list", "a file is JSON or YAML, and no table")
			}
			ctx, client, err := app.configClient(cmd.Context())
			if err != nil {
				return err
			}
			rsp, err := client.Get(ctx, &configv1.GetRequest{Path: first(args), Secrets: secret, MarkSecrets: secret})
			if err != nil {
				return err
			}
			if out == asYAML {
				return jsonToYAML(app.Out, []byte(rsp.GetJson()))
			}
			var b bytes.Buffer
			if err := json.Indent(&b, []byte(rsp.GetJson()), "", "  "); err != nil {
				return err
			}
			_, err = fmt.Fprintln(app.Out, b.String())
			return err
		},
	}
	secretFlag(cmd, &secret)
	outputFlag(cmd, &out)
	out = asYAML
	cmd.Flags().Lookup("output").Usage = "how to print: json or yaml"
	cmd.Flags().Lookup("output").DefValue = string(asYAML)
	return cmd
}
