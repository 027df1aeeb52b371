// Package model keeps values of Go types as records of the store, and finds them by more
// than their keys.
//
//	type User struct {
//		ID      string    `json:"id"`
//		Email   string    `json:"email" model:"unique"`
//		Team    string    `json:"team" model:"index,by=Joined"`
//		Joined  time.Time `json:"joined"`
//	}
//
//	users, err := model.NewTable[User](client.Table("users"))
//	err = users.Create(ctx, &User{ID: "1", Email: "alice@example.com", Team: "sales"})
//	alice, err := users.By(ctx, "Email", "alice@example.com")
//	for u, err := range users.All(ctx, model.Where("Team", "sales"), model.Desc()) { … }
//
// A value and all of its indexes are written at once or not at all, and only if nobody
// else has written it meanwhile.
//
// [New] and [Model] are what services written for Micro 3 use for the same.
package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/micro/micro/v3/service/store"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound: there is no such value.
	ErrNotFound = store.ErrNotFound
	// ErrExists: there is a value with that key already.
	ErrExists = errors.New("exists already")
	// ErrTaken: another value has the same in a field that is unique.
	ErrTaken = errors.New("taken")
	// ErrConflict: others wrote the same value all the time.
	ErrConflict = store.ErrConflict
)

// Table keeps values of a struct type in a table of the store, as JSON. It is safe for
// concurrent use, also by several processes.
//
// The tags of the struct's fields say how:
//
//	`model:"key"`              the key; without one it is the field ID or Id
//	`model:"index"`            values can be found, and are ordered, by the field
//	`model:"index,by=Created"` those that have the same are ordered by another field
//	`model:"unique"`           no two values have the same in the field
//
// Fields with a tag are strings, numbers, truth values or times. An index costs a copy of
// the value; one that is new finds the values that are there already after
// [Table.Reindex].
type Table[T any] struct {
	engine engine
	shape  shape
}

// NewTable returns the table of the values that a client keeps in its table, in which
// nothing else may be. The error says what is wrong with the type.
func NewTable[T any](c *store.Client) (*Table[T], error) {
	s, err := shapeOf[T]()
	if err != nil {
		return nil, err
	}
	return &Table[T]{engine{store: c}, s}, nil
}

// Create keeps a new value. [ErrExists] when there is one with its key, [ErrTaken] when
// another one has the same in a unique field.
func (t *Table[T]) Create(ctx context.Context, v *T) error {
	d, err := t.shape.document(v)
	if err != nil {
		return err
	}
	return t.engine.create(ctx, d)
}

// Save keeps a value, in the place of the one with its key.
func (t *Table[T]) Save(ctx context.Context, v *T) error {
	d, err := t.shape.document(v)
	if err != nil {
		return err
	}
	for range attempts {
		before, err := t.read(ctx, d.key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err = t.engine.replace(ctx, before, d); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("save %s: %w", t.shape.key.show(d.key), ErrConflict)
}

// attempts is how often a value is tried to be written that others write as well.
const attempts = 100

// Update changes the value of a key: f changes what is there, which is then kept, unless f
// returns an error. When somebody else has written it meanwhile, f is called again with
// what is there then. It must leave the key alone.
func (t *Table[T]) Update(ctx context.Context, key any, f func(v *T) error) (T, error) {
	var zero T
	k, err := t.shape.key.encode(key)
	if err != nil {
		return zero, err
	}
	for range attempts {
		before, err := t.read(ctx, k)
		if err != nil {
			return zero, err
		}
		v, err := decode[T](before.json)
		if err != nil {
			return zero, err
		}
		if err := f(&v); err != nil {
			return zero, err
		}
		after, err := t.shape.document(&v)
		if err != nil {
			return zero, err
		}
		if after.key != before.key {
			return zero, fmt.Errorf("update %v: its key was changed", key)
		}
		if err = t.engine.replace(ctx, before, after); !errors.Is(err, ErrConflict) {
			return v, err
		}
	}
	return zero, fmt.Errorf("update %v: %w", key, ErrConflict)
}

// Delete removes the value of a key. That there is none is no error.
func (t *Table[T]) Delete(ctx context.Context, key any) error {
	k, err := t.shape.key.encode(key)
	if err != nil {
		return err
	}
	for range attempts {
		before, err := t.read(ctx, k)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err = t.engine.remove(ctx, before); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("delete %v: %w", key, ErrConflict)
}

// Get returns the value of a key, [ErrNotFound] when there is none.
func (t *Table[T]) Get(ctx context.Context, key any) (T, error) {
	var zero T
	k, err := t.shape.key.encode(key)
	if err != nil {
		return zero, err
	}
	d, err := t.engine.get(ctx, k)
	if err != nil {
		return zero, fmt.Errorf("get %v: %w", key, err)
	}
	return decode[T](d.json)
}

// By returns the value that has something in a unique field, [ErrNotFound] when there
// is none.
func (t *Table[T]) By(ctx context.Context, field string, value any) (T, error) {
	var zero T
	x, err := t.shape.index(field)
	if err != nil {
		return zero, err
	}
	if !x.unique {
		return zero, fmt.Errorf("the field %s is not unique; use All with Where", field)
	}
	v, err := x.fields[0].encode(value)
	if err != nil {
		return zero, err
	}
	d, err := t.engine.unique(ctx, x.name, v)
	if err != nil {
		return zero, fmt.Errorf("get by %s %v: %w", field, value, err)
	}
	return decode[T](d)
}

// All yields the values that the options select, ordered by the index that they use, else
// by key. An error is yielded last.
func (t *Table[T]) All(ctx context.Context, opts ...Option) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		s, err := t.shape.selection(opts)
		if err != nil {
			yield(zero, err)
			return
		}
		for r, err := range t.engine.scan(ctx, s) {
			if err != nil {
				yield(zero, err)
				return
			}
			v, err := decode[T](r.Value)
			if err != nil {
				yield(zero, err)
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// Page returns at most size of the values that the options select, and where the next
// page begins: what the option [After] takes. It is empty on the last page.
func (t *Table[T]) Page(ctx context.Context, size int, opts ...Option) (values []T, next string, err error) {
	s, err := t.shape.selection(opts)
	if err != nil {
		return nil, "", err
	}
	last := ""
	for r, err := range t.engine.scan(ctx, s) {
		if err != nil {
			return nil, "", err
		}
		if len(values) == size {
			return values, encodeToken(last), nil
		}
		v, err := decode[T](r.Value)
		if err != nil {
			return nil, "", err
		}
		values, last = append(values, v), r.Key
	}
	return values, "", nil
}

// Reindex makes the indexes of all values again, as the tags are now, and removes those
// that there are no tags for any more. Others may write meanwhile.
func (t *Table[T]) Reindex(ctx context.Context) error {
	names := map[string]bool{}
	for _, x := range t.shape.indexes {
		names[x.name] = true
	}
	if err := t.engine.dropOthers(ctx, names); err != nil {
		return err
	}
	for r, err := range t.engine.scan(ctx, selection{}) {
		if err != nil {
			return err
		}
		v, err := decode[T](r.Value)
		if err != nil {
			return err
		}
		if err := t.Save(ctx, &v); err != nil {
			return err
		}
	}
	return nil
}

// read returns the document of a key as it is kept.
func (t *Table[T]) read(ctx context.Context, key string) (document, error) {
	kept, err := t.engine.get(ctx, key)
	if err != nil {
		return document{}, err
	}
	v, err := decode[T](kept.json)
	if err != nil {
		return document{}, err
	}
	d, err := t.shape.document(&v)
	d.json, d.revision = kept.json, kept.revision
	return d, err
}

func decode[T any](b []byte) (v T, err error) {
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("a record is no %T: %w", v, err)
	}
	return v, nil
}
