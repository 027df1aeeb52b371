package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/micro/micro/v3/internal/atomicfile"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// An export is a file of lines, each a JSON object: the header, a
// micro.store.v1.Entry for each record, without revisions, and the trailer. The
// same records make the same file.

// exportHeader is the first line.
type exportHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

const (
	exportFormat  = "micro-store"
	exportVersion = 1
	// maxExportLine is more than any record has in JSON.
	maxExportLine = 4 << 20
)

// exportTrailer is the last line: how many records there are, and the hash of all
// lines before.
type exportTrailer struct {
	Count  *int64 `json:"count"`
	SHA256 string `json:"sha256"`
}

type storeExportOptions struct{ storeTable }

func newStoreExportCmd(app *App) *cobra.Command {
	var o storeExportOptions
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Export records to a file or standard output",
		Long: `Export all records of the namespace, or of one database or table, as they are at one
moment, whatever is written meanwhile: lines of JSON that "micro store import" reads,
with a checksum at the end. A file appears when it is whole.`,
		Example: `  micro store export records.ndjson
  micro store export --table pictures
  micro store export | micro --namespace other store import -`,
		Args: atMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), app, args) },
	}
	o.flags(app, cmd)
	return cmd
}

func (o *storeExportOptions) run(ctx context.Context, app *App, args []string) (err error) {
	ctx, client, err := app.store(ctx)
	if err != nil {
		return err
	}
	stream, err := client.Export(ctx, &storev1.ExportRequest{Database: o.database, Table: o.table})
	if err != nil {
		return err
	}
	name := "-"
	if len(args) == 1 {
		name = args[0]
	}
	var count, revision int64
	if name == "-" {
		count, revision, err = writeExport(app.Out, stream)
	} else {
		err = atomicfile.Replace(name, func(w io.Writer) error {
			count, revision, err = writeExport(w, stream)
			return err
		})
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(app.Err, "exported: %d records, with all up to revision %d\n", count, revision)
	return nil
}

// writeExport writes what a server exports. Without an error it was whole.
func writeExport(w io.Writer, stream grpc.ServerStreamingClient[storev1.ExportResponse]) (count, revision int64, err error) {
	sum := sha256.New()
	out := bufio.NewWriterSize(w, 64<<10)
	line := func(b []byte) error {
		b = append(b, '\n')
		sum.Write(b)
		_, err := out.Write(b)
		return err
	}
	header, err := json.Marshal(exportHeader{exportFormat, exportVersion})
	if err != nil {
		return 0, 0, err
	}
	if err := line(header); err != nil {
		return 0, 0, err
	}
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return 0, 0, errors.New("the server ended the export before it was complete")
		}
		if err != nil {
			return 0, 0, err
		}
		revision = max(revision, rsp.GetRevision())
		for _, e := range rsp.GetEntries() {
			e.GetRecord().Revision = 0
			b, err := compactJSON(e)
			if err != nil {
				return 0, 0, err
			}
			if err := line(b); err != nil {
				return 0, 0, err
			}
			count++
		}
		if !rsp.GetComplete() {
			continue
		}
		if rsp.GetCount() != count {
			return 0, 0, fmt.Errorf("the server sent %d records and says that there are %d", count, rsp.GetCount())
		}
		b, err := json.Marshal(exportTrailer{&count, hex.EncodeToString(sum.Sum(nil))})
		if err != nil {
			return 0, 0, err
		}
		if _, err := out.Write(append(b, '\n')); err != nil {
			return 0, 0, err
		}
		return count, revision, out.Flush()
	}
}

func newStoreImportCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Import records from a file or standard input",
		Long: `Import what "micro store export" wrote, here or elsewhere, from FILE, or - for standard
input. Records of the same keys are replaced, others stay; what has expired meanwhile
is left out. The database of the one namespace becomes that of the other.

A file that is cut off, damaged or of another format changes nothing: the records are
written when all of them have come and the checksum is right.`,
		Example: `  micro store import records.ndjson
  micro store import - <records.ndjson`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return importStore(cmd.Context(), app, args[0]) },
	}
}

func importStore(ctx context.Context, app *App, name string) error {
	in := interruptibleInput(ctx, app.In)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	} else {
		name = "standard input"
	}
	// An error on this side ends the call, and nothing is written.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, client, err := app.store(ctx)
	if err != nil {
		return err
	}
	stream, err := client.Import(ctx)
	if err != nil {
		return err
	}
	err = readExport(in, func(req *storev1.ImportRequest) error { return stream.Send(req) })
	// After EOF from Send the server has said why it takes no more.
	if err != nil && !errors.Is(err, errImportEnded) {
		return fmt.Errorf("%s: %w; nothing was written", name, err)
	}
	rsp, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	fmt.Fprintf(app.Out, "imported: %d records\n", rsp.GetWritten())
	if n := rsp.GetExpired(); n > 0 {
		fmt.Fprintf(app.Err, "left out because they have expired: %d\n", n)
	}
	return nil
}

// errImportEnded says that the receiver of an import takes no more.
var errImportEnded = errors.New("the import was ended")

// importBytes is how large a message of an import becomes, but for the last record.
const importBytes = 256 << 10

// readExport reads a file and sends its records, and that it is complete when it is.
func readExport(r io.Reader, send func(*storev1.ImportRequest) error) error {
	f := exportFile{lines: bufio.NewScanner(r), sum: sha256.New()}
	f.lines.Buffer(nil, maxExportLine)
	if err := f.header(); err != nil {
		return err
	}
	part := &storev1.ImportRequest{}
	size := 0
	deliver := func() error {
		err := send(part)
		part, size = &storev1.ImportRequest{}, 0
		if errors.Is(err, io.EOF) {
			return errImportEnded
		}
		return err
	}
	for {
		e, err := f.next()
		if err != nil {
			return err
		}
		if e == nil {
			part.Count, part.Complete = f.count, true
			return deliver()
		}
		part.Entries = append(part.Entries, e)
		if size += proto.Size(e); size >= importBytes {
			if err := deliver(); err != nil {
				return err
			}
		}
	}
}

// exportFile reads the lines of an export.
type exportFile struct {
	lines *bufio.Scanner
	sum   hash.Hash
	n     int   // the line that was read last
	count int64 // records
}

// line returns the next line, with an error at the end.
func (f *exportFile) line() ([]byte, error) {
	f.n++
	if f.lines.Scan() {
		return f.lines.Bytes(), nil
	}
	if err := f.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d is longer than that of any record", f.n)
	} else if err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

func (f *exportFile) header() error {
	b, err := f.line()
	var h exportHeader
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is empty")
	case err != nil:
		return err
	case json.Unmarshal(b, &h) != nil || h.Format != exportFormat:
		return errors.New(`it is no export of "micro store export"`)
	case h.Version != exportVersion:
		return fmt.Errorf("it is an export of version %d, and this micro knows version %d", h.Version, exportVersion)
	}
	f.add(b)
	return nil
}

func (f *exportFile) add(b []byte) {
	f.sum.Write(b)
	f.sum.Write([]byte{'\n'})
}

// next returns the next record, nil at the end of a file that is whole.
func (f *exportFile) next() (*storev1.Entry, error) {
	b, err := f.line()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("it is cut off after line %d", f.n-1)
	}
	if err != nil {
		return nil, err
	}
	var t exportTrailer
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if dec.Decode(&t) == nil && t.Count != nil {
		return nil, f.trailer(t)
	}
	e := &storev1.Entry{}
	if err := protojson.Unmarshal(b, e); err != nil {
		return nil, fmt.Errorf("line %d is no record", f.n)
	}
	f.add(b)
	f.count++
	return e, nil
}

func (f *exportFile) trailer(t exportTrailer) error {
	if *t.Count != f.count {
		return fmt.Errorf("it has %d records and says that it has %d", f.count, *t.Count)
	}
	if t.SHA256 != hex.EncodeToString(f.sum.Sum(nil)) {
		return errors.New("it is damaged: the checksum is not that of its records")
	}
	if _, err := f.line(); !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("line %d is behind the end", f.n)
	}
	return nil
}
