// Package transfer moves what a namespace keeps between servers and engines, as one
// archive:
//
//	namespace.json         which it was, as of which revision
//	rules.json             its rules
//	blobs/N.json blobs/N   what is known of a blob, and its content
//	config.json            its configuration; with secrets in clear, or without them
//	records/N.ndjson       records with their databases and tables, a line each
//
// It has no accounts, since they are of a server, and no sessions, events, services and
// images. All that is in it is of one moment.
package transfer

import (
	"encoding/json"
	"time"

	"github.com/micro/micro/v3/backend/tables"
)

const (
	kind    = "namespace"
	version = 1
)

// Names in the archive.
const (
	namespaceFile = "namespace.json"
	rulesFile     = "rules.json"
	configFile    = "config.json"
	blobsDir      = "blobs/"
	recordsDir    = "records/"
)

// Right is what somebody has to be allowed, so that something is in an export or can be
// imported.
type Right struct {
	Type string // "store", "blob", "config", "secret" or "auth"
	Name string // of a table or a blob; else "*"
}

// Summary says what was moved.
type Summary struct {
	Namespace      string // that it was exported from
	Revision       int64  // all up to which is in it
	Records        int64
	Expired        int64 // records that were left out, since their time was over
	Blobs          int64
	BlobBytes      int64
	Values         int // of the configuration
	SecretsLeftOut int
	Rules          int
}

// header is what namespace.json says.
type header struct {
	Namespace string `json:"namespace"`
	Revision  int64  `json:"revision"`
	Secrets   bool   `json:"secrets"`
}

// record is a line of a file of records.
type record struct {
	Database string     `json:"database,omitempty"` // empty: the one that is called like the namespace
	Table    string     `json:"table"`
	Key      []byte     `json:"key"`
	Value    []byte     `json:"value"`
	Metadata []byte     `json:"metadata,omitempty"` // as the store keeps it
	Expires  *time.Time `json:"expires,omitempty"`
}

func (r *record) entry() tables.Entry {
	e := tables.Entry{Database: r.Database, Table: r.Table, Record: tables.Record{Key: string(r.Key), Value: r.Value, Metadata: r.Metadata}}
	if r.Expires != nil {
		e.Record.Expires = *r.Expires
	}
	return e
}

func recordOf(e tables.Entry) *record {
	r := &record{Database: e.Database, Table: e.Table, Key: []byte(e.Record.Key), Value: e.Record.Value, Metadata: e.Record.Metadata}
	if !e.Record.Expires.IsZero() {
		at := e.Record.Expires.UTC()
		r.Expires = &at
	}
	return r
}

// blob is what is known of a blob beside its content.
type blob struct {
	Name     string            `json:"name"`
	Size     int64             `json:"size"`
	SHA256   []byte            `json:"sha256"`
	Type     string            `json:"type,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(b, '\n'), err
}
