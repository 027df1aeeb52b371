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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
	"github.com/micro/micro/v3/service/internal/platform"
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

// Default returns the client that the functions of the package use: of the table
// that is called like the service, on the server that runs it.
func Default() (*Client, error) { return defaultClient() }

// defaultClient is made at first use: a service has one server and one name.
var defaultClient = sync.OnceValues(func() (*Client, error) {
	conn, err := platform.Conn()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return New(conn).Table(os.Getenv("MICRO_SERVICE_NAME")), nil
})

// Read returns the record of a key, or with [Prefix] or [Suffix] those that these
// select, ordered by key; the key does not count then. [ErrNotFound] when the key
// has none.
func Read(key string, opts ...Option) ([]*Record, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	return c.Read(context.Background(), key, opts...)
}

// Write sets a record.
func Write(r *Record, opts ...WriteOption) error {
	c, err := Default()
	if err != nil {
		return err
	}
	_, err = c.Write(context.Background(), r, opts...)
	return err
}

// Delete removes the record of a key. It is no error when there is none.
func Delete(key string) error {
	c, err := Default()
	if err != nil {
		return err
	}
	return c.Delete(context.Background(), key)
}

// List returns the keys of all records, or of those that the options select, in order.
func List(opts ...Option) ([]string, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	return c.List(context.Background(), opts...)
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
