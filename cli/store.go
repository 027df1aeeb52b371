package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/micro/micro/v3/cli/front"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

func newStoreCmd(app *App) *cobra.Command {
	cmd := parentCmd("store", "Read and write the records and blobs of the namespace")
	cmd.Long = `Read and write records: any bytes under any bytes, in tables of databases. The
database is that of the namespace and the table "default" unless told otherwise; both
are there as long as they have a record.

Keys and values are text, or base64:AAEC or hex:000102 for any bytes. A value may be
@FILE, and - for standard input. What is larger than a megabyte is a blob.`
	cmd.Example = `  micro store write greeting hello
  micro store read greeting
  micro store list --prefix gre`
	cmd.AddCommand(
		newStoreReadCmd(app), newStoreWriteCmd(app), newStoreDeleteCmd(app), newStoreListCmd(app), newStoreTablesCmd(app),
		newStoreDatabasesCmd(app), newStoreWatchCmd(app), newStoreExportCmd(app), newStoreImportCmd(app), newStoreBlobCmd(app),
	)
	return cmd
}

// storeTable is where a command finds records.
type storeTable struct{ database, table string }

func (s *storeTable) flags(app *App, cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.database, "database", "d", "", "the database; that of the namespace when not given")
	cmd.Flags().StringVarP(&s.table, "table", "t", "", `the table; "default" when not given`)
	completeFlag(cmd, "database", cobra.NoFileCompletions)
	completeFlag(cmd, "table", func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := completionContext(cmd)
		defer cancel()
		ctx, client, err := app.store(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		rsp, err := client.Tables(ctx, &storev1.TablesRequest{Database: s.database})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return rsp.GetTables(), cobra.ShellCompDirectiveNoFileComp
	})
}

// store returns a client of the environment's store, and the context for its calls.
func (a *App) store(ctx context.Context) (context.Context, storev1.StoreClient, error) {
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return nil, nil, err
	}
	return ctx, storev1.NewStoreClient(conn), nil
}

// parseBytes reads bytes as text, base64: or hex:, as fields of calls have them.
func parseBytes(what, s string) ([]byte, error) {
	b, err := bytesOf(s)
	if err != nil {
		return nil, usage("micro store --help", "%s %q: %s", what, s, err)
	}
	return b, nil
}

// showBytes writes bytes so that [parseBytes] reads the same: as text where it can
// be read.
func showBytes(b []byte) string {
	text := string(b)
	if front.Line(text) == text && !strings.HasPrefix(text, "hex:") && !strings.HasPrefix(text, "base64:") {
		return text
	}
	return fmt.Sprintf("hex:%x", b)
}

// showText is [showBytes] for text of several lines.
func showText(b []byte) string {
	if text := string(b); front.Lines(text) == text {
		return text
	}
	return showBytes(b)
}

// shownValue is how much of a value a table shows.
const shownValue = 60

func showValue(b []byte) string {
	text := showBytes(b)
	if r := []rune(text); len(r) > shownValue {
		return fmt.Sprintf("%s… (%d bytes)", string(r[:shownValue]), len(b))
	}
	return text
}

// readValue returns a value that was given as an argument.
func readValue(app *App, arg string) ([]byte, error) {
	name, isFile := strings.CutPrefix(arg, "@")
	switch {
	case arg == "-" || arg == "@-":
		return readSome(app.In)
	case isFile:
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readSome(f)
	default:
		return parseBytes("the value", arg)
	}
}

// maxStoreValue is more than any value has: what is larger need not be read to its
// end to be refused.
const maxStoreValue = 16 << 20

func readSome(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxStoreValue+1))
	if err == nil && len(b) > maxStoreValue {
		err = fmt.Errorf("the value is larger than %d bytes", maxStoreValue)
	}
	return b, err
}

type storeWriteOptions struct {
	storeTable

	expiry   time.Duration
	revision int64
	create   bool
	metadata map[string]string
	out      format
}

func newStoreWriteCmd(app *App) *cobra.Command {
	var o storeWriteOptions
	cmd := &cobra.Command{
		Use:   "write KEY VALUE",
		Short: "Write a record",
		Long: `Write a record. VALUE is text, base64:..., hex:..., @FILE, or - for standard input.

With --if-revision the record must have that revision, which "micro store read -o table"
shows; with --create there must be none. Else nothing changes and the exit code is 8.`,
		Example: `  micro store write greeting hello
  micro store write session x --expiry 10m
  micro store write picture @cat.png --table pictures
  micro store write greeting "good day" --if-revision 17`,
		Args:              exactly(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args[0], args[1]) },
	}
	o.flags(app, cmd)
	f := cmd.Flags()
	f.DurationVar(&o.expiry, "expiry", 0, "remove the record after so long, for example 10m")
	f.Int64Var(&o.revision, "if-revision", 0, "write only if the record has this revision")
	f.BoolVar(&o.create, "create", false, "write only if there is no such record")
	f.StringToStringVar(&o.metadata, "metadata", nil, "what goes with the value, as `NAME=VALUE`; can be repeated")
	f.Lookup("metadata").DefValue = ""
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *storeWriteOptions) run(cmd *cobra.Command, app *App, keyArg, valueArg string) error {
	given := cmd.Flags().Changed
	if given("if-revision") && o.create {
		return usage("micro store write --help", "--create excludes --if-revision")
	}
	key, err := parseBytes("the key", keyArg)
	if err != nil {
		return err
	}
	value, err := readValue(app, valueArg)
	if err != nil {
		return err
	}
	req := &storev1.WriteRequest{Database: o.database, Table: o.table, Record: &storev1.Record{Key: key, Value: value}}
	if given("expiry") {
		req.Expiry = durationpb.New(o.expiry)
	}
	if given("if-revision") || o.create {
		req.IfRevision = &o.revision
	}
	if len(o.metadata) > 0 {
		req.Record.Metadata = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for name, v := range o.metadata {
			req.Record.Metadata.Fields[name] = structpb.NewStringValue(v)
		}
	}
	ctx, client, err := app.store(cmd.Context())
	if err != nil {
		return err
	}
	rsp, err := client.Write(ctx, req)
	if err != nil {
		return err
	}
	if o.out != asTable {
		return o.out.print(app.Out, rsp, nil)
	}
	fmt.Fprintf(app.Out, "record %s is written, revision %d\n", showBytes(key), rsp.GetRevision())
	return nil
}

type storeDeleteOptions struct {
	storeTable

	prefix   string
	all      bool
	revision int64
}

func newStoreDeleteCmd(app *App) *cobra.Command {
	var o storeDeleteOptions
	cmd := &cobra.Command{
		Use:   "delete KEY",
		Short: "Delete records",
		Long: `Delete a record, those whose keys begin with --prefix, or with --all every record
of the table, which is not there any more then.`,
		Example: `  micro store delete greeting
  micro store delete --prefix session/
  micro store delete --all --table pictures`,
		Args:              atMostOne(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args) },
	}
	o.flags(app, cmd)
	f := cmd.Flags()
	f.StringVarP(&o.prefix, "prefix", "p", "", "delete all records whose keys begin so")
	f.BoolVar(&o.all, "all", false, "delete all records of the table")
	f.Int64Var(&o.revision, "if-revision", 0, "delete only if the record has this revision")
	return cmd
}

func (o *storeDeleteOptions) run(cmd *cobra.Command, app *App, args []string) error {
	const hint = "micro store delete --help"
	req := &storev1.DeleteRequest{Database: o.database, Table: o.table}
	given := cmd.Flags().Changed
	ways := len(args)
	for _, flag := range []string{"prefix", "all"} {
		if given(flag) {
			ways++
		}
	}
	var err error
	switch {
	case ways != 1:
		return usage(hint, `"micro store delete" needs one of KEY, --prefix and --all`)
	case len(args) == 1:
		if given("if-revision") {
			req.IfRevision = &o.revision
		}
		if req.Key, err = parseBytes("the key", args[0]); err != nil {
			return err
		}
	case given("if-revision"):
		return usage(hint, "--if-revision is of one record")
	case given("prefix") && o.prefix == "":
		return usage("micro store delete --all", "--prefix is empty; --all deletes every record")
	default:
		req.AllWithPrefix = o.all || given("prefix")
		if req.Prefix, err = parseBytes("--prefix", o.prefix); err != nil {
			return err
		}
	}
	if !req.GetAllWithPrefix() && len(args) == 0 {
		return usage(hint, `"micro store delete" needs one of KEY, --prefix and --all`)
	}
	ctx, client, err := app.store(cmd.Context())
	if err != nil {
		return err
	}
	rsp, err := client.Delete(ctx, req)
	if err != nil {
		return err
	}
	switch {
	case req.GetAllWithPrefix():
		fmt.Fprintf(app.Out, "deleted: %d\n", rsp.GetDeleted())
	case rsp.GetDeleted() == 0:
		return &Error{Message: "there is no record " + showBytes(req.GetKey()), Hint: "micro store list", Exit: ExitNotFound}
	default:
		fmt.Fprintf(app.Out, "record %s is deleted\n", showBytes(req.GetKey()))
	}
	return nil
}

func newStoreTablesCmd(app *App) *cobra.Command {
	var out format
	var database string
	cmd := &cobra.Command{
		Use:     "tables",
		Short:   "List the tables of a database",
		Example: "  micro store tables",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, client, err := app.store(cmd.Context())
			if err != nil {
				return err
			}
			all := &storev1.TablesResponse{}
			for token := ""; ; {
				rsp, err := client.Tables(ctx, &storev1.TablesRequest{Database: database, PageSize: maxStorePage, PageToken: token})
				if err != nil {
					return err
				}
				all.Tables = append(all.Tables, rsp.GetTables()...)
				if token = rsp.GetNextPageToken(); token == "" {
					break
				}
			}
			return out.print(app.Out, all, func(t *tableWriter) { namesTable(t, all.GetTables()) })
		},
	}
	cmd.Flags().StringVarP(&database, "database", "d", "", "the database; that of the namespace when not given")
	outputFlag(cmd, &out)
	return cmd
}

func newStoreDatabasesCmd(app *App) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "databases",
		Short:   "List the databases of the namespace",
		Example: "  micro store databases",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, client, err := app.store(cmd.Context())
			if err != nil {
				return err
			}
			all := &storev1.DatabasesResponse{}
			for token := ""; ; {
				rsp, err := client.Databases(ctx, &storev1.DatabasesRequest{PageSize: maxStorePage, PageToken: token})
				if err != nil {
					return err
				}
				all.Databases = append(all.Databases, rsp.GetDatabases()...)
				if token = rsp.GetNextPageToken(); token == "" {
					break
				}
			}
			return out.print(app.Out, all, func(t *tableWriter) { namesTable(t, all.GetDatabases()) })
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

func namesTable(t *tableWriter, names []string) {
	for _, n := range names {
		t.row(n)
	}
}

// maxStorePage is the largest page that the server gives.
const maxStorePage = 1000
