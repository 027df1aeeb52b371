package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/archive"
	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/tables"
)

// Source is a namespace that is exported.
type Source struct {
	Store     store.Store
	Config    *config.Config
	Namespace string
	Secrets   bool   // with those of the configuration, in clear
	Micro     string // the version
	// Allowed returns why something may not be in the export.
	Allowed func(ctx context.Context, r Right) error
}

// maxRecords is how long a file of records becomes, but for its last record.
const maxRecords = 1 << 20

// Export writes what a namespace keeps, all as it is at one moment, which is not before
// the call. It holds resources of the store until it returns.
func Export(ctx context.Context, w io.Writer, s Source) (Summary, error) {
	revision, err := s.Store.Txn(ctx, store.Txn{})
	if err != nil {
		return Summary{}, err
	}
	a, err := archive.NewWriter(w, archive.Header{Kind: kind, Version: version, Created: time.Now().UTC(), Micro: s.Micro})
	if err != nil {
		return Summary{}, err
	}
	e := &export{
		Source: s, archive: a, blobs: blobs.NewExport(s.Namespace), allowed: map[Right]bool{},
		sum: Summary{Namespace: s.Namespace, Revision: revision},
	}
	if err := e.run(ctx); err != nil {
		a.Discard()
		return e.sum, err
	}
	return e.sum, a.Close()
}

type export struct {
	Source

	archive *archive.Writer
	sum     Summary
	blobs   *blobs.Export
	blob    io.Writer // the content that comes
	rules   []auth.Rule
	records bytes.Buffer
	files   int
	allowed map[Right]bool // that were asked for
}

// may returns why something may not be in the export.
func (e *export) may(ctx context.Context, typ, name string) error {
	r := Right{Type: typ, Name: name}
	if e.allowed[r] {
		return nil
	}
	err := e.Allowed(ctx, r)
	if err == nil && typ != "blob" { // of which there may be many, each asked for once
		e.allowed[r] = true
	}
	return err
}

func (e *export) run(ctx context.Context) error {
	if err := e.add(namespaceFile, header{e.Namespace, e.sum.Revision, e.Secrets}); err != nil {
		return err
	}
	for rec, err := range e.Store.Range(ctx, store.Prefix(e.Namespace+"/")) {
		if err == nil {
			err = e.take(ctx, rec)
		}
		if err != nil {
			return err
		}
	}
	if err := e.blobs.Close(); err != nil {
		return err
	}
	if err := e.flush(); err != nil {
		return err
	}
	if err := e.may(ctx, "auth", "*"); err != nil {
		return err
	}
	e.sum.Rules = len(e.rules)
	return e.add(rulesFile, e.rules)
}

// take puts a record of the namespace where it belongs.
func (e *export) take(ctx context.Context, rec store.Record) error {
	if strings.HasPrefix(rec.Key, tables.Prefix(e.Namespace)) {
		return e.record(ctx, rec)
	}
	begins, piece, err := e.blobs.Take(rec)
	if err != nil {
		return err
	}
	if begins != nil {
		if err := e.begin(ctx, begins); err != nil {
			return err
		}
	}
	if piece != nil {
		_, err := e.blob.Write(piece)
		return err
	}
	rule, ok, err := auth.ExportRule(e.Namespace, rec)
	if ok {
		e.rules = append(e.rules, rule)
		return err
	}
	c, ok, err := e.Config.Export(e.Namespace, rec, e.Secrets)
	if !ok || err != nil {
		return err
	}
	if err := e.may(ctx, "config", "*"); err != nil {
		return err
	}
	if e.Secrets {
		if err := e.may(ctx, "secret", "*"); err != nil {
			return err
		}
	}
	e.sum.Values, e.sum.SecretsLeftOut = c.Values, c.LeftOut
	return e.addBytes(configFile, append(c.JSON, '\n'))
}

// begin begins the content of a blob.
func (e *export) begin(ctx context.Context, i *blobs.Info) error {
	if err := e.may(ctx, "blob", i.Name); err != nil {
		return err
	}
	name := fmt.Sprintf("%s%08d", blobsDir, e.sum.Blobs)
	err := e.add(name+".json", blob{Name: i.Name, Size: i.Size, SHA256: i.SHA256, Type: i.ContentType, Metadata: i.Metadata})
	if err != nil {
		return err
	}
	e.sum.Blobs++
	e.sum.BlobBytes += i.Size
	e.blob, err = e.archive.Create(name, i.Size)
	return err
}

func (e *export) record(ctx context.Context, rec store.Record) error {
	entry, err := tables.EntryOf(e.Namespace, rec)
	if err != nil {
		return err
	}
	if err := e.may(ctx, "store", entry.Table); err != nil {
		return err
	}
	b, err := marshal(recordOf(entry))
	if err != nil {
		return err
	}
	e.records.Write(b)
	e.sum.Records++
	if e.records.Len() < maxRecords {
		return nil
	}
	return e.flush()
}

// flush writes the records that have come.
func (e *export) flush() error {
	if e.records.Len() == 0 {
		return nil
	}
	err := e.addBytes(fmt.Sprintf("%s%08d.ndjson", recordsDir, e.files), e.records.Bytes())
	e.records.Reset()
	e.files++
	return err
}

func (e *export) add(name string, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	return e.addBytes(name, b)
}

func (e *export) addBytes(name string, b []byte) error {
	w, err := e.archive.Create(name, int64(len(b)))
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
