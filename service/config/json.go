package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// JSONValues are values in a JSON object, by the same paths as in the configuration. It is
// for code that keeps such an object elsewhere, and not safe for concurrent use.
type JSONValues struct{ root map[string]any }

// NewJSONValues returns the values of a JSON object; none if it is not one.
func NewJSONValues(data []byte) *JSONValues {
	v := &JSONValues{root: map[string]any{}}
	_ = json.Unmarshal(data, &v.root) // what is no object has no values
	if v.root == nil {
		v.root = map[string]any{}
	}
	return v
}

// Get returns the value at a path. The empty path is all of them.
func (v *JSONValues) Get(path string, _ ...Option) Value {
	var at any = v.root
	for _, name := range split(path) {
		object, _ := at.(map[string]any)
		var ok bool
		if at, ok = object[name]; !ok {
			return Value{}
		}
	}
	b, err := json.Marshal(at)
	if err != nil {
		return Value{}
	}
	return NewValue(b)
}

// Set puts a value at a path, with the objects above it, in place of what was there. What
// JSON cannot say is left out.
func (v *JSONValues) Set(path string, value any, _ ...Option) {
	b, err := json.Marshal(value)
	if err != nil {
		return
	}
	var plain any
	if err := json.Unmarshal(b, &plain); err != nil {
		return
	}
	names := split(path)
	if len(names) == 0 {
		if object, ok := plain.(map[string]any); ok {
			v.root = object
		}
		return
	}
	at := v.root
	for _, name := range names[:len(names)-1] {
		below, ok := at[name].(map[string]any)
		if !ok {
			below = map[string]any{}
			at[name] = below
		}
		at = below
	}
	at[names[len(names)-1]] = plain
}

// Delete removes what is at a path and below.
func (v *JSONValues) Delete(path string, _ ...Option) {
	names := split(path)
	if len(names) == 0 {
		v.root = map[string]any{}
		return
	}
	at := v.root
	for _, name := range names[:len(names)-1] {
		at, _ = at[name].(map[string]any)
	}
	delete(at, names[len(names)-1])
}

// Map returns the values as an object of Go.
func (v *JSONValues) Map() map[string]any { return v.root }

// Scan stores the values in what dst points to, as encoding/json does.
func (v *JSONValues) Scan(dst any) error {
	if err := json.Unmarshal(v.Bytes(), dst); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}

// Bytes returns the values as JSON.
func (v *JSONValues) Bytes() []byte { return v.Get("").Bytes() }

// String returns the values as JSON.
func (v *JSONValues) String() string { return string(v.Bytes()) }

func split(path string) []string {
	if path == "" {
		return nil
	}
	return strings.Split(path, ".")
}
