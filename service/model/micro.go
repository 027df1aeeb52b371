package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/micro/micro/v3/service/store"
)

// What follows is what services written for Micro 3 use. It finds fields by their names
// at run time, in whatever JSON makes of a value, and keeps all types in the table of
// the service.

// Errors of a [Model], for [errors.Is].
var (
	// ErrorNotFound: there is no such value.
	ErrorNotFound = ErrNotFound
	// ErrorMultipleRecordsFound: more than one value is there for one that is read.
	ErrorMultipleRecordsFound = errors.New("multiple records found")
	// ErrorNilInterface: nothing is no value.
	ErrorNilInterface = errors.New("interface is nil")
)

// OrderType is how values are ordered.
type OrderType string

// The orders. What is unordered has the order of its values too.
const (
	OrderTypeUnordered = OrderType("unordered")
	OrderTypeAsc       = OrderType("ascending")
	OrderTypeDesc      = OrderType("descending")
)

// Order is by which field values are ordered, and how.
type Order struct {
	FieldName string
	Type      OrderType
}

// Index finds values by a field.
type Index struct {
	FieldName string
	Type      string
	// Order orders the values that have the same in the field; empty: by the key.
	Order Order
	// Unique lets no two values have the same in the field.
	Unique bool
}

// ByEquality returns the index of a field.
func ByEquality(field string) Index {
	return Index{FieldName: field, Type: "eq", Order: Order{FieldName: field, Type: OrderTypeAsc}}
}

// ToQuery returns a query for the values that have something in the field of the index;
// for nil all, in the order of the index.
func (i Index) ToQuery(value any) Query { return Query{Index: i, Order: i.Order, Value: value} }

// Query says which values are read, and in which order.
type Query struct {
	Index
	Order  Order
	Value  any
	Offset int64
	Limit  int64
}

// QueryEquals returns a query for the values that have something in a field.
func QueryEquals(field string, value any) Query { return ByEquality(field).ToQuery(value) }

// QueryByID returns a query for the value of a key.
func QueryByID(id string) Query { return Query{Index: Index{Type: byID}, Value: id} }

// QueryAll returns a query for all values, ordered by their keys.
func QueryAll() Query { return Query{Index: Index{Type: byID}} }

const byID = "id"

// Options are what the options of a [Model] have set.
type Options struct {
	// Database and Table are where the values are; empty: those of the service.
	Database, Table string
	// Debug changes nothing.
	Debug bool
	// Indexes are those besides the key's.
	Indexes []Index
	// Namespace keeps values apart from others of the table; empty: by their type.
	Namespace string
	// Context is that of all that the model does; nil: none.
	Context context.Context //nolint:containedctx // the name that services use
	// Key is the field that is the key; empty: ID.
	Key string
}

// ModelOption sets something of a [Model].
type ModelOption func(*Options) //nolint:revive // Option is that of a table

// WithIndexes sets the indexes.
func WithIndexes(indexes ...Index) ModelOption { return func(o *Options) { o.Indexes = indexes } }

// WithKey sets the field that is the key.
func WithKey(field string) ModelOption { return func(o *Options) { o.Key = field } }

// WithNamespace keeps values apart from others of the table.
func WithNamespace(ns string) ModelOption { return func(o *Options) { o.Namespace = ns } }

// WithTable sets the table.
func WithTable(table string) ModelOption { return func(o *Options) { o.Table = table } }

// WithDatabase sets the database.
func WithDatabase(db string) ModelOption { return func(o *Options) { o.Database = db } }

// WithContext sets the context.
func WithContext(ctx context.Context) ModelOption { return func(o *Options) { o.Context = ctx } }

// WithDebug changes nothing.
func WithDebug(b bool) ModelOption { return func(o *Options) { o.Debug = b } }

// Model keeps values of one type as records of the store, as Micro 3 had it. New code
// takes a [Table].
type Model interface {
	// Context returns the model with another context.
	Context(ctx context.Context) Model
	// Register says of which type the values are.
	Register(instance any) error
	// Create keeps a new value: [ErrExists], [ErrTaken].
	Create(v any) error
	// Update keeps a value, in the place of the one with its key.
	Update(v any) error
	// Read stores what a query finds in what result points to: a slice for all
	// values, anything else for the only one. [ErrorNotFound] and
	// [ErrorMultipleRecordsFound] say that there is not one.
	Read(q Query, result any) error
	// Delete removes what a query finds. [ErrorNotFound] when that is nothing.
	Delete(q Query) error
}

// New returns a model of the values of a type, of which instance is one.
func New(instance any, o *Options) Model {
	m := &model{}
	if o != nil {
		m.options = *o
	}
	_ = m.Register(instance) // it fails for nil only, and then has no namespace
	return m
}

// NewModel returns a model of values whose type Register says.
func NewModel(opts ...ModelOption) Model {
	m := &model{}
	for _, o := range opts {
		o(&m.options)
	}
	return m
}

type model struct {
	options Options
	typ     string
}

func (m *model) Context(ctx context.Context) Model {
	out := *m
	out.options.Context = ctx
	return &out
}

func (m *model) Register(instance any) error {
	t := reflect.TypeOf(instance)
	if t == nil {
		return ErrorNilInterface
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	m.typ = t.String()
	return nil
}

// open returns where the values are.
func (m *model) open() (context.Context, engine, error) {
	c, err := store.Default()
	if err != nil {
		return nil, engine{}, err
	}
	if m.options.Database != "" {
		c = c.Database(m.options.Database)
	}
	if m.options.Table != "" {
		c = c.Table(m.options.Table)
	}
	ns := m.options.Namespace
	if ns == "" {
		ns = m.typ
	}
	ctx := m.options.Context
	if ctx == nil {
		ctx = context.Background()
	}
	return ctx, engine{store: c, prefix: "model/" + ns + "/"}, nil
}

func (m *model) keyField() string {
	if m.options.Key != "" {
		return m.options.Key
	}
	return "ID"
}

// document returns what is kept of a value.
func (m *model) document(v any) (document, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return document{}, fmt.Errorf("model: %w", err)
	}
	return m.parse(b)
}

// parse returns the document that JSON is.
func (m *model) parse(b []byte) (document, error) {
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil || fields == nil {
		return document{}, fmt.Errorf("model: a value of %s is no object of JSON", m.typ)
	}
	key := valueOf(fields, m.keyField())
	if empty(key) {
		return document{}, fmt.Errorf("model: a value of %s has nothing in its key %s", m.typ, m.keyField())
	}
	d := document{json: b, key: encodeAny(key)}
	for _, x := range m.options.Indexes {
		if same(x.FieldName, m.keyField()) {
			continue // it is found by its key
		}
		e := entry{index: indexName(x), value: encodeAny(valueOf(fields, x.FieldName)), unique: x.Unique}
		if x.Unique && empty(valueOf(fields, x.FieldName)) {
			continue
		}
		if order := x.Order.FieldName; order != "" && !same(order, x.FieldName) && !x.Unique {
			e.value += encodeAny(valueOf(fields, order))
		}
		d.entries = append(d.entries, e)
	}
	return d, nil
}

func (m *model) Create(v any) error {
	if v == nil {
		return ErrorNilInterface
	}
	ctx, e, err := m.open()
	if err != nil {
		return err
	}
	d, err := m.document(v)
	if err != nil {
		return err
	}
	return e.create(ctx, d)
}

func (m *model) Update(v any) error {
	if v == nil {
		return ErrorNilInterface
	}
	ctx, e, err := m.open()
	if err != nil {
		return err
	}
	d, err := m.document(v)
	if err != nil {
		return err
	}
	for range attempts {
		before, err := m.read(ctx, e, d.key)
		if err != nil {
			return err
		}
		if err = e.replace(ctx, before, d); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return ErrConflict
}

// read returns the document of a key as it is kept; none is one of revision 0.
func (m *model) read(ctx context.Context, e engine, key string) (document, error) {
	kept, err := e.get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return document{key: key}, nil
	}
	if err != nil {
		return document{}, err
	}
	d, err := m.parse(kept.json)
	d.revision = kept.revision
	return d, err
}

// find returns the values that a query finds, as JSON.
func (m *model) find(q Query) ([]json.RawMessage, error) {
	ctx, e, err := m.open()
	if err != nil {
		return nil, err
	}
	s, err := m.selection(q)
	if err != nil {
		return nil, err
	}
	var found []json.RawMessage
	for r, err := range e.scan(ctx, s) {
		if err != nil {
			return nil, err
		}
		found = append(found, r.Value)
	}
	return found, nil
}

func (m *model) selection(q Query) (selection, error) {
	s := selection{desc: q.Order.Type == OrderTypeDesc, limit: uint(max(q.Limit, 0)), offset: uint(max(q.Offset, 0))}
	value, err := plain(q.Value)
	if err != nil {
		return s, err
	}
	if value != nil {
		s.prefix = encodeAny(value)
	}
	if q.Type == byID || same(q.FieldName, m.keyField()) {
		return s, nil
	}
	i := slices.IndexFunc(m.options.Indexes, func(x Index) bool {
		return same(x.FieldName, q.FieldName) && (q.Order.FieldName == "" || same(q.Order.FieldName, x.FieldName) || same(q.Order.FieldName, x.Order.FieldName))
	})
	if i < 0 {
		return s, fmt.Errorf("model: there is no index of %s by %s for this query", m.typ, q.FieldName)
	}
	s.index, s.unique = indexName(m.options.Indexes[i]), m.options.Indexes[i].Unique
	return s, nil
}

func (m *model) Read(q Query, result any) error {
	to := reflect.ValueOf(result)
	if to.Kind() != reflect.Pointer || to.IsNil() {
		return errors.New("model: the result is no pointer")
	}
	found, err := m.find(q)
	if err != nil {
		return err
	}
	if to.Elem().Kind() == reflect.Slice {
		b, err := json.Marshal(found)
		if err != nil {
			return err
		}
		if found == nil {
			b = []byte("[]")
		}
		return json.Unmarshal(b, result)
	}
	switch len(found) {
	case 0:
		return ErrorNotFound
	case 1:
		return json.Unmarshal(found[0], result)
	default:
		return ErrorMultipleRecordsFound
	}
}

func (m *model) Delete(q Query) error {
	ctx, e, err := m.open()
	if err != nil {
		return err
	}
	found, err := m.find(q)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return ErrorNotFound
	}
	for _, b := range found {
		d, err := m.parse(b)
		for try := 0; err == nil && try < attempts; try++ {
			if d, err = m.read(ctx, e, d.key); err != nil || d.revision == 0 {
				break
			}
			if err = e.remove(ctx, d); !errors.Is(err, ErrConflict) {
				break
			}
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// indexName names an index in keys.
func indexName(x Index) string {
	if x.Order.FieldName == "" || same(x.Order.FieldName, x.FieldName) || x.Unique {
		return folded(x.FieldName)
	}
	return folded(x.FieldName) + "," + folded(x.Order.FieldName)
}

// folded is a name that two spellings of a field have in common.
func folded(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func same(a, b string) bool { return folded(a) == folded(b) }

// valueOf returns the value of a field, nil when there is none.
func valueOf(fields map[string]any, name string) any {
	if v, ok := fields[name]; ok {
		return v
	}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if same(k, name) {
			return fields[k]
		}
	}
	return nil
}

// plain returns a value as JSON has it.
func plain(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	var out any
	err = json.Unmarshal(b, &out)
	return out, err
}

// empty reports whether JSON may have left a value out.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	default:
		return false
	}
}

// encodeAny encodes a value of JSON. What is empty may have been left out, and is all one.
func encodeAny(v any) string {
	if empty(v) {
		return "0"
	}
	switch v := v.(type) {
	case bool, string:
		return encode(reflect.ValueOf(v))
	case float64:
		return encodeFloat(v)
	default:
		b, err := json.Marshal(v)
		if err != nil { // it came from JSON
			return "j\x00"
		}
		return "j" + string(b) + "\x00"
	}
}
