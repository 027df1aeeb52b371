package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/describe"
	"github.com/micro/micro/v3/dynamic/request"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
)

// asForm is how an element of a schema is shown.
type asForm string

func (f *asForm) String() string { return string(*f) }

// Type is what help calls the value.
func (f *asForm) Type() string { return "format" }

// Set takes the value of the flag.
func (f *asForm) Set(s string) error {
	if _, ok := forms()[asForm(s)]; !ok {
		return fmt.Errorf("%q is none of tree, proto, jsonschema", s)
	}
	*f = asForm(s)
	return nil
}

func forms() map[asForm]func(io.Writer, protoreflect.Descriptor) error {
	return map[asForm]func(io.Writer, protoreflect.Descriptor) error{
		"tree": describe.Tree, "proto": describe.Proto, "jsonschema": describe.JSONSchema,
	}
}

func newDescribeCmd(app *App) *cobra.Command {
	form := asForm("tree")
	var sources front.Sources
	var dir string
	cmd := &cobra.Command{
		Use:   "describe [SERVICE] NAME",
		Short: "Show a service, method, message or enum",
		Long: `Show what a service, a method, a message or an enum is made of: as a tree, as a .proto
file has it, or as JSON Schema.

NAME is a full name or an end of it, in any case. The service of micro that it belongs to
may stand before it; a service of micro alone is shown whole.

--files writes the .proto files that it is from, and those that they import, into a
directory: protoc and the like make clients in any language of them.`,
		Example: `  micro describe helloworld
  micro describe helloworld CallRequest -o proto
  micro describe helloworld.Helloworld/Call
  micro describe Invoice --proto billing.proto -I api -o jsonschema
  micro describe helloworld --files proto
  micro describe micro.store.v1.Store --files proto`,
		Args: func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args, 1, 2) },
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := app.describe(cmd.Context(), sources, args)
			if err != nil {
				return err
			}
			if dir != "" {
				return app.writeProtos(dir, describe.Files(found))
			}
			return showElements(app.Out, found, form)
		},
	}
	cmd.Flags().VarP(&form, "output", "o", "how to show it: tree, proto or jsonschema")
	cmd.Flags().StringVar(&dir, "files", "", "write the .proto files into this directory")
	sourceFlags(cmd, &sources)
	return cmd
}

// sourceFlags adds the flags that say where a schema comes from.
func sourceFlags(cmd *cobra.Command, s *front.Sources) {
	cmd.Flags().StringArrayVar(&s.Protos, "proto", nil, "a .proto file to look in, and not on the server; can be repeated")
	cmd.Flags().StringArrayVarP(&s.Imports, "import", "I", nil, "where .proto files are looked for; can be repeated")
	cmd.Flags().StringArrayVar(&s.Protosets, "protoset", nil, "a file with compiled .proto files; can be repeated")
	cmd.Flags().StringVar(&s.Repository, "schema", "", "a directory or git address with .proto files, or oci://IMAGE")
}

// showElements writes each element, with an empty line between.
func showElements(w io.Writer, found []protoreflect.Descriptor, form asForm) error {
	var b bytes.Buffer
	for i, d := range found {
		if i > 0 {
			b.WriteByte('\n')
		}
		if err := forms()[form](&b, d); errors.Is(err, describe.ErrNoType) {
			return usage("micro describe NAME -o tree", "%s has no JSON Schema: %s", d.FullName(), err)
		} else if err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, front.Lines(b.String()))
	return err
}

// writeProtos writes files into a directory, each below it by its path, and prints which.
// What is there already is only replaced when the user agrees.
func (a *App) writeProtos(dir string, files []protoreflect.FileDescriptor) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // the paths are the server's
	if err != nil {
		return err
	}
	defer root.Close()
	for _, fd := range files {
		var text bytes.Buffer
		if err := describe.Proto(&text, fd); err != nil {
			return err
		}
		name := filepath.FromSlash(fd.Path())
		old, err := root.ReadFile(name)
		if err == nil && !bytes.Equal(old, text.Bytes()) {
			if err := a.agree(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, text.Bytes(), 0o644); err != nil {
			return err
		}
		fmt.Fprintln(a.Out, front.Line(filepath.Join(dir, name)))
	}
	return nil
}

// agree asks whether a file may be replaced; nil means yes.
func (a *App) agree(name string) error {
	refused := &Error{Message: front.Line(name) + " is there and differs; it was left as it is", Hint: "remove it, or add --yes", Exit: ExitError}
	if !a.yes && !a.Interactive() {
		return refused
	}
	ok, err := a.confirm(name + " is there and differs. Replace it?")
	if err == nil && !ok {
		err = refused
	}
	return err
}

// describe finds the elements that words name.
func (a *App) describe(ctx context.Context, sources front.Sources, words []string) ([]protoreflect.Descriptor, error) {
	name := words[len(words)-1]
	if !sources.IsEmpty() {
		raw, err := a.givenSchema(ctx, sources)
		if err != nil {
			return nil, err
		}
		return findIn(raw, name)
	}
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return nil, err
	}
	rsp, err := registryv1.NewRegistryClient(conn).GetSchema(ctx, &registryv1.GetSchemaRequest{Service: words[0]})
	switch {
	case err == nil && len(words) == 1:
		return ownServices(rsp.GetFiles())
	case err == nil:
		return findIn(rsp.GetFiles(), name)
	case len(words) == 2:
		return nil, err
	}
	raw, err := a.reflectAll(ctx, conn, err)
	if err != nil {
		return nil, err
	}
	return findIn(raw, name)
}

// reflectAll asks a server for its whole schema, after its schema API said err.
func (a *App) reflectAll(ctx context.Context, conn *grpc.ClientConn, err error) ([]byte, error) {
	plain, may := a.mayReflect(ctx, conn, err)
	if !may {
		return nil, err
	}
	e, err := a.Env()
	if err != nil {
		return nil, err
	}
	raw, err := dynamic.Reflect(callContextOf(ctx, &front.Origin{Plain: plain}, nil), conn)
	if err != nil {
		return nil, explainReflection(e, err)
	}
	return raw, nil
}

func findIn(raw []byte, name string) ([]protoreflect.Descriptor, error) {
	schema, err := dynamic.ParseSchema(raw)
	if err != nil {
		return nil, err
	}
	d, err := describe.Find(schema, name)
	if err == nil {
		return []protoreflect.Descriptor{d}, nil
	}
	if ambiguous := (*describe.AmbiguousError)(nil); errors.As(err, &ambiguous) {
		return nil, usage("micro describe "+ambiguous.Candidates[0], "%s", ambiguous)
	}
	e := &Error{Message: fmt.Sprintf("there is no service, method, message or enum %q", name), Hint: "micro services", Exit: ExitNotFound}
	if near := nearestElement(describe.Names(schema), name); near != "" {
		e.Hint = "micro describe " + near
	}
	return nil, e
}

// nearestElement returns the full name whose end is most like a name.
func nearestElement(full []string, name string) string {
	byEnd := map[string]string{}
	var ends []string
	for _, f := range full {
		end := request.ShortName(f)
		if byEnd[end] == "" {
			byEnd[end] = f
			ends = append(ends, end)
		}
	}
	return byEnd[request.Nearest(request.ShortName(strings.ReplaceAll(name, "/", ".")), ends)]
}

// ownServices returns the gRPC services that a server is for.
func ownServices(raw []byte) ([]protoreflect.Descriptor, error) {
	schema, err := dynamic.ParseSchema(raw)
	if err != nil {
		return nil, err
	}
	var found []protoreflect.Descriptor
	for _, s := range schema.Services() {
		if !dynamic.Plumbing(s.FullName()) {
			found = append(found, s)
		}
	}
	return found, nil
}
