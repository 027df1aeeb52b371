// Package store keeps the records of a service: values under keys, in a table of
// its own, on the server that runs it.
//
//	err := store.Write(store.NewRecord("greeting", "hello"))
//	records, err := store.Read("greeting")
//
// The functions of the package use the table that is called like the service, with
// the service's own identity. A [Client] does the same, and more, with a context, on
// any connection and in any table. What a write acknowledged survives a crash of
// the server and a loss of power.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound: there is no record of that key.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the record does not have the revision that was asked for.
	ErrConflict = errors.New("the record was changed in between")
	// ErrCompacted: changes since that revision are no longer kept.
	ErrCompacted = errors.New("the changes since that revision are no longer kept")
)

// Record is a value under a key.
type Record struct {
	Key   string
	Value []byte
	// Metadata goes with the value: what JSON can say.
	Metadata map[string]any
	// Expiry is how long the record lasts, from when it is written or was read;
	// 0: for good.
	Expiry time.Duration
	// Revision is that of the write that made it what it is.
	Revision int64
}

// NewRecord returns a record with a value as JSON. It panics when JSON cannot say it,
// as for a channel.
func NewRecord(key string, value any) *Record {
	b, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("store: the value of %q: %v", key, err))
	}
	return &Record{Key: key, Value: b}
}

// Decode reads the value, which has to be JSON, into v.
func (r *Record) Decode(v any) error { return json.Unmarshal(r.Value, v) }

// Encode makes v the value, as JSON.
func (r *Record) Encode(v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		r.Value = b
	}
	return err
}

func (r *Record) toProto() (*storev1.Record, *durationpb.Duration, error) {
	out := &storev1.Record{Key: []byte(r.Key), Value: r.Value}
	if len(r.Metadata) > 0 {
		var err error
		if out.Metadata, err = structpb.NewStruct(r.Metadata); err != nil {
			return nil, nil, fmt.Errorf("the metadata: %w", err)
		}
	}
	if r.Expiry == 0 {
		return out, nil, nil
	}
	return out, durationpb.New(r.Expiry), nil
}

func fromProto(r *storev1.Record) *Record {
	out := &Record{Key: string(r.GetKey()), Value: r.GetValue(), Revision: r.GetRevision()}
	if r.GetMetadata() != nil {
		out.Metadata = r.GetMetadata().AsMap()
	}
	if r.GetExpires() != nil {
		out.Expiry = max(time.Until(r.GetExpires().AsTime()), 1)
	}
	return out
}

// Client reads and writes the records of one table. It is safe for concurrent use.
type Client struct {
	api             storev1.StoreClient
	database, table string
}

// New returns a client of the table "default" on a connection to a server, whose
// calls have to say who calls.
func New(conn grpc.ClientConnInterface) *Client { return &Client{api: storev1.NewStoreClient(conn)} }

// Table returns a client of another table of the same database.
func (c *Client) Table(name string) *Client {
	out := *c
	out.table = name
	return &out
}

// Database returns a client of the same table of another database.
func (c *Client) Database(name string) *Client {
	out := *c
	out.database = name
	return &out
}

// wrap says what was being done, and makes the errors of the package of statuses.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	switch status.Code(err) {
	case codes.NotFound:
		err = ErrNotFound
	case codes.Aborted:
		err = ErrConflict
	case codes.OutOfRange:
		err = ErrCompacted
	default:
	}
	return fmt.Errorf("store: %s: %w", fmt.Sprintf(format, args...), err)
}
