package store

import (
	"cmp"

	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// Option selects records of a table.
type Option func(*selection)

// ReadOption is an option of Read.
type ReadOption = Option

// ListOption is an option of List.
type ListOption = Option

type selection struct {
	database, table          string
	prefix, suffix           string
	keyIsPrefix, keyIsSuffix bool
	from, to                 string
	offset, limit            uint
	order                    Order
}

// Order is the order of records by their keys, which are bytes.
type Order string

// The two orders; any other is the first.
const (
	OrderAsc  = Order("asc")
	OrderDesc = Order("desc")
)

// Prefix selects the records whose keys begin so.
func Prefix(p string) Option { return func(s *selection) { s.prefix = p } }

// Suffix selects the records whose keys end so.
func Suffix(p string) Option { return func(s *selection) { s.suffix = p } }

// From selects the records from a key on, which need not be there.
func From(key string) Option { return func(s *selection) { s.from = key } }

// To selects the records before a key.
func To(key string) Option { return func(s *selection) { s.to = key } }

// Limit takes at most so many records; 0: all.
func Limit(n uint) Option { return func(s *selection) { s.limit = n } }

// Offset leaves so many records out at the beginning. The server reads them anyway.
func Offset(n uint) Option { return func(s *selection) { s.offset = n } }

// Reverse gives the records from the last key to the first.
func Reverse() Option { return func(s *selection) { s.order = OrderDesc } }

// ReadPrefix makes the key that is read a [Prefix].
func ReadPrefix() Option { return func(s *selection) { s.keyIsPrefix = true } }

// ReadSuffix makes the key that is read a [Suffix].
func ReadSuffix() Option { return func(s *selection) { s.keyIsSuffix = true } }

// ReadLimit is [Limit].
func ReadLimit(n uint) Option { return Limit(n) }

// ReadOffset is [Offset].
func ReadOffset(n uint) Option { return Offset(n) }

// ReadOrder gives the records in an order.
func ReadOrder(o Order) Option { return func(s *selection) { s.order = o } }

// ReadFrom reads another table of another database than the client's.
func ReadFrom(database, table string) Option {
	return func(s *selection) { s.database, s.table = database, table }
}

// ListPrefix is [Prefix].
func ListPrefix(p string) Option { return Prefix(p) }

// ListSuffix is [Suffix].
func ListSuffix(p string) Option { return Suffix(p) }

// ListLimit is [Limit].
func ListLimit(n uint) Option { return Limit(n) }

// ListOffset is [Offset].
func ListOffset(n uint) Option { return Offset(n) }

// ListOrder is [ReadOrder].
func ListOrder(o Order) Option { return ReadOrder(o) }

// ListFrom is [ReadFrom].
func ListFrom(database, table string) Option { return ReadFrom(database, table) }

func selectionOf(opts []Option) (s selection) {
	for _, o := range opts {
		o(&s)
	}
	return s
}

func (s selection) protoOrder() storev1.Order {
	if s.order == OrderDesc {
		return storev1.Order_ORDER_DESC
	}
	return storev1.Order_ORDER_ASC
}

// of returns the client of the table that a selection names.
func (c *Client) of(s selection) *Client { return c.in(s.database, s.table) }

// in returns the client of a table of a database; an empty name leaves it as it is.
func (c *Client) in(database, table string) *Client {
	if database != "" {
		c = c.Database(database)
	}
	if table != "" {
		c = c.Table(table)
	}
	return c
}

// WriteOption is a condition on a write, or says where it goes.
type WriteOption func(*storev1.WriteRequest)

// IfRevision writes only if the record has that revision; else [ErrConflict].
func IfRevision(revision int64) WriteOption {
	return func(r *storev1.WriteRequest) { r.IfRevision = &revision }
}

// Create writes only if there is no such record; else [ErrConflict].
func Create() WriteOption { return IfRevision(0) }

// WriteTo writes to another table of another database than the client's. An empty name
// leaves that as it is.
func WriteTo(database, table string) WriteOption {
	return func(r *storev1.WriteRequest) {
		r.Database, r.Table = cmp.Or(database, r.GetDatabase()), cmp.Or(table, r.GetTable())
	}
}

// DeleteOption says where [Delete] deletes.
type DeleteOption func(*place)

type place struct{ database, table string }

// DeleteFrom deletes in another table of another database than the default. An empty name
// leaves that as it is.
func DeleteFrom(database, table string) DeleteOption {
	return func(p *place) { *p = place{database, table} }
}
