package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// shape is what the tags of a struct type say.
type shape struct {
	key     field
	indexes []index
}

// index finds values by a field; those that have the same are ordered by a second one.
type index struct {
	name   string // of the first field
	fields []field
	unique bool
}

// field is one of a struct by whose value something is found.
type field struct {
	name      string
	typ       reflect.Type
	at        []int
	omitEmpty bool // it is in no index while it is empty
}

var timeType = reflect.TypeFor[time.Time]()

// shapeOf reads the tags of a struct type.
func shapeOf[T any]() (shape, error) {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct {
		return shape{}, fmt.Errorf("model: %v is no struct", t)
	}
	var s shape
	var orders []string // the second field of each index; empty: none
	var errs []error
	for _, f := range reflect.VisibleFields(t) {
		name, order, ok := cutTag(f.Tag.Get("model"))
		if !ok || !f.IsExported() {
			continue
		}
		typed := fieldOf(f)
		if !encodable(f.Type) {
			errs = append(errs, fmt.Errorf("model: the field %s of %v is a %v: nothing can be found by it", f.Name, t, f.Type))
			continue
		}
		switch name {
		case "key":
			if s.key.typ != nil {
				errs = append(errs, fmt.Errorf("model: %v has the keys %s and %s", t, s.key.name, f.Name))
			}
			s.key = typed
		case "index", "unique":
			s.indexes = append(s.indexes, index{f.Name, []field{typed}, name == "unique"})
			orders = append(orders, order)
		default:
			errs = append(errs, fmt.Errorf("model: the field %s of %v has the tag %q, none of key, index and unique", f.Name, t, name))
		}
	}
	for i, order := range orders {
		if order == "" {
			continue
		}
		f, ok := t.FieldByName(order)
		if !ok || !encodable(f.Type) || s.indexes[i].unique {
			errs = append(errs, fmt.Errorf("model: the index of %s of %v cannot be ordered by %s", s.indexes[i].name, t, order))
			continue
		}
		s.indexes[i].fields = append(s.indexes[i].fields, fieldOf(f))
	}
	for _, name := range []string{"ID", "Id"} {
		if f, ok := t.FieldByName(name); ok && s.key.typ == nil && encodable(f.Type) {
			s.key = fieldOf(f)
		}
	}
	if s.key.typ == nil {
		errs = append(errs, fmt.Errorf("model: %v has no key: give a field the tag `model:\"key\"`", t))
	}
	return s, errors.Join(errs...)
}

func fieldOf(f reflect.StructField) field {
	_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	omit := slices.ContainsFunc(strings.Split(options, ","), func(o string) bool { return o == "omitempty" || o == "omitzero" })
	return field{f.Name, f.Type, f.Index, omit}
}

// cutTag reads a tag: what the field is, and what orders it.
func cutTag(tag string) (what, order string, ok bool) {
	what, rest, _ := strings.Cut(tag, ",")
	order, _ = strings.CutPrefix(rest, "by=")
	return what, order, tag != ""
}

// document returns what is kept of a value.
func (s shape) document(v any) (document, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return document{}, fmt.Errorf("model: %w", err)
	}
	value := reflect.Indirect(reflect.ValueOf(v))
	d := document{json: b}
	if d.key, err = s.key.of(value); err != nil {
		return document{}, err
	}
	for _, x := range s.indexes {
		e := entry{index: x.name, unique: x.unique}
		if x.fields[0].omitEmpty && value.FieldByIndex(x.fields[0].at).IsZero() {
			continue
		}
		for _, f := range x.fields {
			part, err := f.of(value)
			if err != nil {
				return document{}, err
			}
			e.value += part
		}
		d.entries = append(d.entries, e)
	}
	return d, nil
}

// of returns the encoded value of the field.
func (f field) of(v reflect.Value) (string, error) { return f.encode(v.FieldByIndex(f.at).Interface()) }

// encode encodes a value for the field, which may be of another type that converts to
// its own.
func (f field) encode(v any) (string, error) {
	value := reflect.ValueOf(v)
	if !value.IsValid() || !value.Type().ConvertibleTo(f.typ) || kindOf(value.Type()) != kindOf(f.typ) {
		return "", fmt.Errorf("model: the field %s is a %v, and %v is a %T", f.name, f.typ, v, v)
	}
	return encode(value.Convert(f.typ)), nil
}

// show writes an encoded key for people.
func (f field) show(key string) string { return fmt.Sprintf("%s %q", f.name, key) }

// index returns the index of a field.
func (s shape) index(name string) (index, error) {
	i := slices.IndexFunc(s.indexes, func(x index) bool { return x.name == name })
	if i < 0 {
		return index{}, fmt.Errorf("model: there is no index of %s: give the field a tag", name)
	}
	return s.indexes[i], nil
}

// Option selects values of a table, and says in which order.
type Option func(*query)

type query struct {
	field    string // of the index
	where    bool
	value    any
	from, to any
	desc     bool
	limit    uint
	after    string
}

// Where selects the values that have something in a field with an index, ordered by the
// second field of that, if it has one.
func Where(field string, value any) Option {
	return func(q *query) { q.field, q.where, q.value = field, true, value }
}

// OrderBy orders the values by a field with an index.
func OrderBy(field string) Option { return func(q *query) { q.field = field } }

// From begins with a value of the field that the values are ordered by.
func From(value any) Option { return func(q *query) { q.from = value } }

// Until ends before a value of the field that the values are ordered by.
func Until(value any) Option { return func(q *query) { q.to = value } }

// Desc gives the values from the last to the first.
func Desc() Option { return func(q *query) { q.desc = true } }

// Limit takes at most so many values; 0: all.
func Limit(n uint) Option { return func(q *query) { q.limit = n } }

// After begins behind a page that [Table.Page] has returned, whose options have to be the
// same.
func After(token string) Option { return func(q *query) { q.after = token } }

// selection returns which range options select.
func (s shape) selection(opts []Option) (selection, error) {
	var q query
	for _, o := range opts {
		o(&q)
	}
	sel := selection{desc: q.desc, limit: q.limit}
	ordered := []field{s.key} // what values are ordered by
	if q.field != "" {
		x, err := s.index(q.field)
		if err != nil {
			return sel, err
		}
		sel.index, sel.unique = x.name, x.unique
		if ordered = x.fields; !x.unique {
			ordered = append(slices.Clip(ordered), s.key)
		}
	}
	if q.where {
		v, err := ordered[0].encode(q.value)
		if err != nil {
			return sel, err
		}
		sel.prefix, ordered = v, ordered[1:]
	}
	for _, bound := range []struct {
		value any
		to    *string
	}{{q.from, &sel.from}, {q.to, &sel.to}} {
		if bound.value == nil {
			continue
		}
		if len(ordered) == 0 {
			return sel, errors.New("model: the values of a unique field have no order behind it")
		}
		v, err := ordered[0].encode(bound.value)
		if err != nil {
			return sel, err
		}
		*bound.to = v
	}
	if q.after != "" {
		var err error
		if sel.after, err = decodeToken(q.after); err != nil {
			return sel, err
		}
	}
	return sel, nil
}
