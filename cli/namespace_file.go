package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/cli/words"
	"github.com/micro/micro/v3/internal/atomicfile"
	namespacev1 "github.com/micro/micro/v3/proto/micro/namespace/v1"
)

type namespaceExportOptions struct{ secrets bool }

func newNamespaceExportCmd(app *App) *cobra.Command {
	var o namespaceExportOptions
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Copy what the namespace keeps to a file",
		Long: `Copy what the namespace keeps to FILE, or to standard output for -, all as it is at one
moment, whatever is written meanwhile: its records, blobs, configuration and rules, for
"micro namespace import" here or elsewhere. The file appears when it is whole.

The secrets of the configuration are left out, unless --secrets puts them in, in clear.
Accounts, sessions, events, services and images are not in it: "micro backup" copies a
whole server.`,
		Example: `  micro namespace export acme.archive
  micro namespace export - --secrets | micro --env dev namespace import -`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args[0]) },
	}
	cmd.Flags().BoolVar(&o.secrets, "secrets", false, "with the secrets of the configuration, in clear")
	return cmd
}

func (o *namespaceExportOptions) run(ctx context.Context, app *App, name string) error {
	if name == "-" && app.Terminal.Out {
		return usage("micro namespace export FILE", "an export is no text, and standard output is a terminal")
	}
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	stream, err := namespacev1.NewTransferClient(conn).Export(ctx, &namespacev1.ExportRequest{Secrets: o.secrets})
	if err != nil {
		return err
	}
	p := app.transfer("copying", "the namespace", -1)
	var summary *namespacev1.Summary
	write := func(w io.Writer) (err error) {
		summary, err = receiveExport(io.MultiWriter(w, p), stream)
		return err
	}
	if name == "-" {
		err = write(app.Out)
	} else {
		err = atomicfile.Replace(name, write)
	}
	p.end(err)
	if err != nil {
		return err
	}
	fmt.Fprintf(app.Err, "exported: %s, with all up to revision %d\n", moved(summary), summary.GetRevision())
	if n := summary.GetSecretsLeftOut(); n > 0 {
		fmt.Fprintf(app.Err, "left out: %d secrets of the configuration; --secrets puts them in\n", n)
	}
	if name != "-" {
		fmt.Fprintf(app.Out, "what namespace %s keeps is in %s\n", front.Line(summary.GetNamespace()), filepath.ToSlash(name))
	}
	return nil
}

// moved says what there was.
func moved(s *namespacev1.Summary) string {
	return fmt.Sprintf("%d records, %d blobs with %s, %d values of configuration, %d rules",
		s.GetRecords(), s.GetBlobs(), words.Size(s.GetBlobBytes()), s.GetValues(), s.GetRules())
}

// receiveExport writes what a server exports. Without an error it was whole.
func receiveExport(w io.Writer, stream grpc.ServerStreamingClient[namespacev1.ExportResponse]) (*namespacev1.Summary, error) {
	sum, size := sha256.New(), int64(0)
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the server ended the export before it was complete")
		}
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(rsp.GetData()); err != nil {
			return nil, err
		}
		sum.Write(rsp.GetData())
		size += int64(len(rsp.GetData()))
		if !rsp.GetComplete() {
			continue
		}
		if rsp.GetSize() != size || !bytes.Equal(rsp.GetSha256(), sum.Sum(nil)) {
			return nil, errors.New("what the server sent is not what it wrote")
		}
		return rsp.GetSummary(), nil
	}
}

func newNamespaceImportCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Bring what a namespace kept into this one",
		Long: `Bring what "micro namespace export" copied, here or elsewhere, into the namespace, from
FILE, or standard input for -. What has the same name is replaced, and all else stays;
the database that is called like the one namespace becomes that of the other, and
records that have expired meanwhile are left out.

A file that is cut off, damaged or of something else changes nothing: what is in it is
written when all of it has come.`,
		Example: `  micro namespace import acme.archive
  micro --namespace shop namespace import acme.archive`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return importNamespace(cmd.Context(), app, args[0]) },
	}
}

func importNamespace(ctx context.Context, app *App, name string) error {
	in, size := interruptibleInput(ctx, app.In), int64(-1)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		in = f
	}
	// An error on this side ends the call, and nothing is written.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, conn, err := app.connFor(ctx)
	if err != nil {
		return err
	}
	stream, err := namespacev1.NewTransferClient(conn).Import(ctx)
	if err != nil {
		return err
	}
	p := app.transfer("sending", strings.TrimPrefix(name, "-"), size)
	err = sendImport(io.TeeReader(in, p), stream)
	p.end(err)
	if err != nil {
		return err
	}
	rsp, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	s := rsp.GetSummary()
	fmt.Fprintf(app.Out, "imported: %s\n", moved(s))
	if n := s.GetExpired(); n > 0 {
		fmt.Fprintf(app.Err, "left out because they have expired: %d\n", n)
	}
	return nil
}

// sendImport sends what r gives, and that it is complete. When the server takes no more
// it returns nil: the answer tells why.
func sendImport(r io.Reader, stream grpc.ClientStreamingClient[namespacev1.ImportRequest, namespacev1.ImportResponse]) error {
	for {
		piece := make([]byte, blobPiece) // gRPC may look at a message later
		n, err := io.ReadFull(r, piece)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		err = stream.Send(&namespacev1.ImportRequest{Data: piece[:n], Complete: last})
		switch {
		case errors.Is(err, io.EOF), err == nil && last:
			return nil
		case err != nil:
			return err
		}
	}
}
