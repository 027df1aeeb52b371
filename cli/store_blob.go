package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/internal/atomicfile"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

func newStoreBlobCmd(app *App) *cobra.Command {
	cmd := parentCmd("blob", "Read and write blobs: content of any size")
	cmd.Long = `Read and write blobs: content of any size under a name, such as pictures/cat.png.

A blob is there when all of it is there, and replaced in one step: an upload that is
interrupted changes nothing, and who reads meanwhile gets the old one to its end.`
	cmd.Example = `  micro store blob write pictures/cat.png cat.png
  micro store blob read pictures/cat.png copy.png
  micro store blob list --prefix pictures/`
	cmd.AddCommand(newBlobWriteCmd(app), newBlobReadCmd(app), newBlobListCmd(app), newBlobDeleteCmd(app))
	return cmd
}

// blobs returns a client of the environment's blobs, and the context for its calls.
func (a *App) blobs(ctx context.Context) (context.Context, storev1.BlobsClient, error) {
	ctx, conn, err := a.connFor(ctx)
	if err != nil {
		return nil, nil, err
	}
	return ctx, storev1.NewBlobsClient(conn), nil
}

// completeBlobs completes names of blobs, as the first argument.
func completeBlobs(app *App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault // a file
		}
		ctx, cancel := completionContext(cmd)
		defer cancel()
		ctx, client, err := app.blobs(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		rsp, err := client.List(ctx, &storev1.ListBlobsRequest{Prefix: word})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, b := range rsp.GetBlobs() {
			names = append(names, cobra.CompletionWithDesc(front.Line(b.GetName()), words.Size(b.GetSize())))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

type blobWriteOptions struct {
	contentType string
	metadata    map[string]string
	revision    int64
	create      bool
	out         format
}

func newBlobWriteCmd(app *App) *cobra.Command {
	var o blobWriteOptions
	cmd := &cobra.Command{
		Use:   "write NAME FILE",
		Short: "Write a blob from a file or standard input",
		Long: `Write a blob from FILE, or from standard input for -.

With --if-revision the blob must have that revision; with --create there must be none.
Else nothing changes and the exit code is 8.`,
		Example: `  micro store blob write pictures/cat.png cat.png
  pg_dump shop | micro store blob write dumps/shop.sql - --type application/sql
  micro store blob write pictures/cat.png cat2.png --if-revision 17`,
		Args:              exactly(2),
		ValidArgsFunction: completeBlobs(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args[0], args[1]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.contentType, "type", "", "the content type; that of the name's ending when not given")
	f.StringToStringVar(&o.metadata, "metadata", nil, "what goes with the content, as NAME=VALUE")
	f.Int64Var(&o.revision, "if-revision", 0, "write only if the blob has this revision")
	f.BoolVar(&o.create, "create", false, "write only if there is no such blob")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *blobWriteOptions) run(cmd *cobra.Command, app *App, name, file string) error {
	given := cmd.Flags().Changed
	if given("if-revision") && o.create {
		return usage("micro store blob write --help", "--create excludes --if-revision")
	}
	first := &storev1.WriteBlobRequest{Name: name, ContentType: o.contentType, Metadata: o.metadata}
	if given("if-revision") || o.create {
		first.IfRevision = &o.revision
	}
	if !given("type") {
		first.ContentType = mime.TypeByExtension(path.Ext(name))
	}
	in, size := interruptibleInput(cmd.Context(), app.In), int64(-1)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.IsDir() {
			return fmt.Errorf("%s is a directory", file)
		}
		in, size = f, info.Size()
	}
	// An error on this side ends the call, and nothing is written.
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	ctx, client, err := app.blobs(ctx)
	if err != nil {
		return err
	}
	stream, err := client.Write(ctx)
	if err != nil {
		return err
	}
	p := app.transfer("writing", name, size)
	err = sendBlob(io.TeeReader(in, p), stream, first)
	p.end(err)
	if err != nil {
		return err
	}
	rsp, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	return o.out.print(app.Out, rsp.GetBlob(), func(*tableWriter) {
		b := rsp.GetBlob()
		fmt.Fprintf(app.Out, "blob %s is written: %s, revision %d\n", front.Line(b.GetName()), words.Size(b.GetSize()), b.GetRevision())
	})
}

// blobPiece is how much of a blob a message has.
const blobPiece = 256 << 10

// sendBlob sends what r gives, and that it is complete. When the server takes no more
// it returns nil: the answer tells why.
func sendBlob(r io.Reader, stream grpc.ClientStreamingClient[storev1.WriteBlobRequest, storev1.WriteBlobResponse], req *storev1.WriteBlobRequest) error {
	sum := sha256.New()
	for size := int64(0); ; {
		piece := make([]byte, blobPiece) // gRPC may look at a message later
		n, err := io.ReadFull(r, piece)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		req.Data = piece[:n]
		sum.Write(req.GetData())
		size += int64(n)
		if err != nil {
			req.Complete, req.Size, req.Sha256 = true, size, sum.Sum(nil)
		}
		switch err := stream.Send(req); {
		case errors.Is(err, io.EOF), err == nil && req.GetComplete():
			return nil
		case err != nil:
			return err
		}
		req = &storev1.WriteBlobRequest{}
	}
}

// transfer shows on a terminal how far a transfer has come. It is nothing elsewhere.
type transfer struct {
	progress *progress // nil: nobody looks
	size     int64     // -1: unknown
	done     int64
}

func (a *App) transfer(step, what string, size int64) *transfer {
	t := &transfer{size: size}
	if a.color() {
		t.progress = newProgress(a)
		t.progress.start(step, what)
	}
	return t
}

func (t *transfer) Write(p []byte) (int, error) {
	t.done += int64(len(p))
	switch {
	case t.progress == nil:
	case t.size > 0:
		t.progress.update(fmt.Sprintf("%d%% of %s", min(t.done*100/t.size, 100), words.Size(t.size)))
	default:
		t.progress.update(words.Size(t.done))
	}
	return len(p), nil
}

func (t *transfer) end(err error) {
	switch {
	case t.progress == nil:
	case err != nil:
		t.progress.fail(err)
	default:
		t.progress.finish()
	}
}

type blobReadOptions struct{ offset, length int64 }

func newBlobReadCmd(app *App) *cobra.Command {
	var o blobReadOptions
	cmd := &cobra.Command{
		Use:   "read NAME [FILE]",
		Short: "Read a blob to a file or standard output",
		Long: `Read a blob to standard output, or to FILE, which appears when it is whole. What is read
as a whole has been compared with its SHA-256 then.`,
		Example: `  micro store blob read pictures/cat.png copy.png
  micro store blob read dumps/shop.sql | psql shop
  micro store blob read log --offset 1000000 --length 4096`,
		Args:              func(cmd *cobra.Command, args []string) error { return checkArgs(cmd, args, 1, 2) },
		ValidArgsFunction: completeBlobs(app),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args) },
	}
	cmd.Flags().Int64Var(&o.offset, "offset", 0, "the first byte to read")
	cmd.Flags().Int64Var(&o.length, "length", 0, "at most so many bytes; 0 for all")
	return cmd
}

func (o *blobReadOptions) run(ctx context.Context, app *App, args []string) error {
	ctx, client, err := app.blobs(ctx)
	if err != nil {
		return err
	}
	stream, err := client.Read(ctx, &storev1.ReadBlobRequest{Name: args[0], Offset: o.offset, Length: o.length})
	if err != nil {
		return err
	}
	// Before a file is touched: whether there is such a blob.
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if len(args) == 1 || args[1] == "-" {
		if text := string(first.GetData()); app.Terminal.Out && front.Lines(text) != text {
			return &Error{
				Message: "the blob is no text, and standard output is a terminal",
				Hint:    "micro store blob read " + args[0] + " FILE",
				Exit:    ExitUsage,
			}
		}
		return receiveBlob(app.Out, stream, first)
	}
	p := app.transfer("reading", args[0], first.GetBlob().GetSize())
	err = atomicfile.Replace(args[1], func(w io.Writer) error { return receiveBlob(io.MultiWriter(w, p), stream, first) })
	p.end(err)
	if err != nil {
		return err
	}
	fmt.Fprintf(app.Err, "blob %s is in %s: %s\n", front.Line(args[0]), filepath.ToSlash(args[1]), words.Size(p.done))
	return nil
}

// receiveBlob writes what a server sends. Without an error it was whole.
func receiveBlob(w io.Writer, stream grpc.ServerStreamingClient[storev1.ReadBlobResponse], rsp *storev1.ReadBlobResponse) error {
	for {
		if _, err := w.Write(rsp.GetData()); err != nil {
			return err
		}
		if rsp.GetComplete() {
			return nil
		}
		var err error
		if rsp, err = stream.Recv(); errors.Is(err, io.EOF) {
			return errors.New("the server ended the blob before it was complete")
		} else if err != nil {
			return err
		}
	}
}

type blobListOptions struct {
	storeSelection

	out format
}

func newBlobListCmd(app *App) *cobra.Command {
	var o blobListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List blobs",
		Example: `  micro store blob list
  micro store blob list --prefix pictures/ --limit 10 -o json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, app) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.prefix, "prefix", "p", "", "only names that begin so")
	f.IntVarP(&o.limit, "limit", "l", 0, "at most so many; 0 for all")
	f.StringVar(&o.token, "page-token", "", "go on where a command with --limit ended")
	outputFlag(cmd, &o.out)
	return cmd
}

func (o *blobListOptions) run(cmd *cobra.Command, app *App) error {
	if o.limit < 0 {
		return usage("micro store blob list --help", "--limit is %d", o.limit)
	}
	ctx, client, err := app.blobs(cmd.Context())
	if err != nil {
		return err
	}
	all := &storev1.ListBlobsResponse{}
	all.NextPageToken, err = o.pages(func(size int32, token string) (int, string, error) {
		rsp, err := client.List(ctx, &storev1.ListBlobsRequest{Prefix: o.prefix, PageSize: size, PageToken: token})
		all.Blobs = append(all.Blobs, rsp.GetBlobs()...)
		return len(rsp.GetBlobs()), rsp.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	err = o.out.print(app.Out, all, func(t *tableWriter) {
		t.row("NAME", "SIZE", "TYPE", "MODIFIED", "REVISION")
		for _, b := range all.GetBlobs() {
			t.row(b.GetName(), words.Size(b.GetSize()), b.GetContentType(), when(b.GetModified()), strconv.FormatInt(b.GetRevision(), 10))
		}
	})
	if err != nil {
		return err
	}
	tellMore(app, all.GetNextPageToken())
	return nil
}

func newBlobDeleteCmd(app *App) *cobra.Command {
	var revision int64
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a blob",
		Example:           "  micro store blob delete pictures/cat.png",
		Args:              exactly(1),
		ValidArgsFunction: completeBlobs(app),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, err := app.blobs(cmd.Context())
			if err != nil {
				return err
			}
			req := &storev1.DeleteBlobRequest{Name: args[0]}
			if cmd.Flags().Changed("if-revision") {
				req.IfRevision = &revision
			}
			rsp, err := client.Delete(ctx, req)
			if err != nil {
				return err
			}
			if !rsp.GetDeleted() {
				return &Error{Message: "there is no blob " + front.Line(args[0]), Hint: "micro store blob list", Exit: ExitNotFound}
			}
			fmt.Fprintf(app.Out, "blob %s is deleted\n", front.Line(args[0]))
			return nil
		},
	}
	cmd.Flags().Int64Var(&revision, "if-revision", 0, "delete only if the blob has this revision")
	return cmd
}
