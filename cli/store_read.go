package cli

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// bytesOf reads bytes as text, base64: or hex:.
func bytesOf(s string) ([]byte, error) {
	if text, ok := strings.CutPrefix(s, "base64:"); ok {
		text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
		return base64.RawStdEncoding.DecodeString(text)
	}
	if text, ok := strings.CutPrefix(s, "hex:"); ok {
		return hex.DecodeString(text)
	}
	return []byte(s), nil
}

// recordFormat is how a command prints records: as values when empty, and raw for the
// bytes alone.
type recordFormat string

const asRaw recordFormat = "raw"

func (f *recordFormat) flag(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "how to print: table, json, yaml, or raw for the bytes alone")
	completeFlag(cmd, "output", cobra.FixedCompletions([]cobra.Completion{"table", "json", "yaml", "raw"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *recordFormat) String() string { return string(*f) }

// Type is what help calls the value.
func (f *recordFormat) Type() string { return "format" }

// Set takes the value of the flag.
func (f *recordFormat) Set(s string) error {
	if !slices.Contains([]string{"table", "json", "yaml", "raw"}, s) {
		return fmt.Errorf("%q is none of table, json, yaml, raw", s)
	}
	*f = recordFormat(s)
	return nil
}

// storeSelection says which records a command is about.
type storeSelection struct {
	storeTable

	prefix, suffix, start, end string
	order                      string
	limit                      int
	token                      string
}

func (s *storeSelection) flags(app *App, cmd *cobra.Command) {
	s.storeTable.flags(app, cmd)
	f := cmd.Flags()
	f.StringVarP(&s.prefix, "prefix", "p", "", "only keys that begin so")
	f.StringVar(&s.suffix, "suffix", "", "only keys that end so")
	f.StringVar(&s.start, "start", "", "the first key, itself included")
	f.StringVar(&s.end, "end", "", "the first key beyond")
	f.StringVar(&s.order, "order", "asc", "asc, or desc for the last first")
	f.IntVarP(&s.limit, "limit", "l", 0, "at most so many; 0 for all")
	f.StringVar(&s.token, "page-token", "", "go on where a command with --limit ended")
	completeFlag(cmd, "order", cobra.FixedCompletions([]cobra.Completion{"asc", "desc"}, cobra.ShellCompDirectiveNoFileComp))
}

// request returns the request for the first page.
func (s *storeSelection) request(cmd *cobra.Command) (*storev1.ReadRequest, error) {
	hint := cmd.CommandPath() + " --help"
	req := &storev1.ReadRequest{Database: s.database, Table: s.table, PageToken: s.token}
	switch {
	case s.limit < 0:
		return nil, usage(hint, "--limit is %d", s.limit)
	case s.order == "desc":
		req.Order = storev1.Order_ORDER_DESC
	case s.order != "asc":
		return nil, usage(hint, "--order is %q, neither asc nor desc", s.order)
	}
	for _, p := range []struct {
		to         *[]byte
		flag, text string
	}{
		{&req.Prefix, "--prefix", s.prefix},
		{&req.Suffix, "--suffix", s.suffix},
		{&req.Start, "--start", s.start},
		{&req.End, "--end", s.end},
	} {
		var err error
		if *p.to, err = parseBytes(p.flag, p.text); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// pages asks for pages until there are no more, or the limit is reached. page takes a
// request for at most size items and returns how many came and the token of the next page.
func (s *storeSelection) pages(page func(size int32, token string) (n int, next string, err error)) (next string, err error) {
	got := 0
	for token := s.token; ; token = next {
		size := maxStorePage
		if s.limit > 0 {
			size = min(size, s.limit-got)
		}
		n, following, err := page(int32(size), token)
		if err != nil {
			return "", err
		}
		got, next = got+n, following
		if next == "" || s.limit > 0 && got >= s.limit {
			return next, nil
		}
	}
}

// tellMore says on standard error how to get what is behind the limit.
func tellMore(app *App, token string) {
	if token != "" {
		fmt.Fprintf(app.Err, "there is more: --page-token %s\n", token)
	}
}

type storeReadOptions struct {
	storeSelection

	out recordFormat
}

func newStoreReadCmd(app *App) *cobra.Command {
	var o storeReadOptions
	cmd := &cobra.Command{
		Use:   "read [KEY]",
		Short: "Read records",
		Long: `Read the record of KEY, or those that the flags select; all of the table without
any. The value of one record is printed as text where it is text; -o raw prints the
bytes as they are, -o table the revision and the expiry too.`,
		Example: `  micro store read greeting
  micro store read picture --table pictures -o raw
  micro store read --prefix session/ --limit 10
  micro store read --order desc -o json`,
		Args:              atMostOne(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args) },
	}
	o.flags(app, cmd)
	o.out.flag(cmd)
	return cmd
}

func (o *storeReadOptions) run(cmd *cobra.Command, app *App, args []string) error {
	req, err := o.request(cmd)
	if err != nil {
		return err
	}
	ctx, client, err := app.store(cmd.Context())
	if err != nil {
		return err
	}
	var all *storev1.ReadResponse
	if len(args) == 1 {
		if req.Key, err = parseBytes("the key", args[0]); err != nil {
			return err
		}
		if req.Key == nil {
			req.Key = []byte{} // which the server refuses, and does not take for none
		}
		all, err = client.Read(ctx, req)
	} else {
		all, err = o.readAll(ctx, client, req)
	}
	if err != nil {
		return err
	}
	if err := o.print(app.Out, all, len(args) == 1); err != nil {
		return err
	}
	tellMore(app, all.GetNextPageToken())
	return nil
}

func (o *storeReadOptions) readAll(ctx context.Context, client storev1.StoreClient, req *storev1.ReadRequest) (*storev1.ReadResponse, error) {
	all := &storev1.ReadResponse{}
	next, err := o.pages(func(size int32, token string) (int, string, error) {
		req.PageSize, req.PageToken = size, token
		rsp, err := client.Read(ctx, req)
		all.Records = append(all.Records, rsp.GetRecords()...)
		return len(rsp.GetRecords()), rsp.GetNextPageToken(), err
	})
	all.NextPageToken = next
	return all, err
}

func (o *storeReadOptions) print(w io.Writer, all *storev1.ReadResponse, one bool) error {
	switch {
	case o.out == asRaw:
		for _, r := range all.GetRecords() {
			if _, err := w.Write(r.GetValue()); err != nil {
				return err
			}
		}
		return nil
	case o.out == "" && one:
		_, err := fmt.Fprintln(w, showText(all.GetRecords()[0].GetValue()))
		return err
	}
	f := asTable
	if o.out != "" {
		f = format(o.out)
	}
	return f.print(w, all, func(t *tableWriter) {
		t.row("KEY", "VALUE", "REVISION", "EXPIRES")
		for _, r := range all.GetRecords() {
			expires := ""
			if r.GetExpires() != nil {
				expires = r.GetExpires().AsTime().Local().Format("2006-01-02 15:04:05")
			}
			t.row(showBytes(r.GetKey()), showValue(r.GetValue()), strconv.FormatInt(r.GetRevision(), 10), expires)
		}
	})
}

type storeListOptions struct {
	storeSelection

	out recordFormat
}

func newStoreListCmd(app *App) *cobra.Command {
	var o storeListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys of records",
		Example: `  micro store list
  micro store list --prefix session/ --limit 10 -o json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, app) },
	}
	o.flags(app, cmd)
	o.out.flag(cmd)
	return cmd
}

func (o *storeListOptions) run(cmd *cobra.Command, app *App) error {
	r, err := o.request(cmd)
	if err != nil {
		return err
	}
	req := &storev1.ListRequest{
		Database: r.GetDatabase(), Table: r.GetTable(), Prefix: r.GetPrefix(), Suffix: r.GetSuffix(),
		Start: r.GetStart(), End: r.GetEnd(), Order: r.GetOrder(),
	}
	ctx, client, err := app.store(cmd.Context())
	if err != nil {
		return err
	}
	all := &storev1.ListResponse{}
	all.NextPageToken, err = o.pages(func(size int32, token string) (int, string, error) {
		req.PageSize, req.PageToken = size, token
		rsp, err := client.List(ctx, req)
		all.Keys = append(all.Keys, rsp.GetKeys()...)
		return len(rsp.GetKeys()), rsp.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if err := o.print(app.Out, all); err != nil {
		return err
	}
	tellMore(app, all.GetNextPageToken())
	return nil
}

func (o *storeListOptions) print(w io.Writer, all *storev1.ListResponse) error {
	if o.out == "json" || o.out == "yaml" {
		return format(o.out).print(w, all, nil)
	}
	for _, k := range all.GetKeys() {
		line := append(slices.Clone(k), '\n')
		if o.out != asRaw {
			line = []byte(showBytes(k) + "\n")
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}
