package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Value is a value of the configuration. Its methods return what they are given when it
// does not exist or is of another type.
type Value struct {
	json     []byte // nil: it does not exist
	revision int64
}

// NewValue returns a value that is made of JSON, for tests of code that takes one.
func NewValue(json []byte) Value { return Value{json: json} }

// Exists reports whether there is a value.
func (v Value) Exists() bool { return v.json != nil }

// Revision returns the revision of the configuration that was read, 0 when the value
// does not exist: what [IfRevision] takes.
func (v Value) Revision() int64 { return v.revision }

// Bytes returns the value as JSON, nil when it does not exist.
func (v Value) Bytes() []byte { return v.json }

// Scan stores the value in what dst points to, as encoding/json does. It is an error
// when the value does not exist.
func (v Value) Scan(dst any) error {
	if v.json == nil {
		return errors.New("config: the value does not exist")
	}
	if err := json.Unmarshal(v.json, dst); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}

// as returns the value as a T.
func as[T any](v Value) (t T, ok bool) {
	if v.json == nil || string(v.json) == "null" {
		return t, false
	}
	ok = json.Unmarshal(v.json, &t) == nil
	return t, ok
}

// String returns a string, or a number or a truth value as text.
func (v Value) String(def string) string {
	if s, ok := as[string](v); ok {
		return s
	}
	if n, ok := as[json.Number](v); ok {
		return n.String()
	}
	if b, ok := as[bool](v); ok {
		return strconv.FormatBool(b)
	}
	return def
}

// Bool returns a truth value, or a string that is one, such as "true".
func (v Value) Bool(def bool) bool {
	if b, ok := as[bool](v); ok {
		return b
	}
	if s, ok := as[string](v); ok {
		if b, err := strconv.ParseBool(s); err == nil {
			return b
		}
	}
	return def
}

// Int returns a whole number, or a string that is one.
func (v Value) Int(def int) int {
	if n, ok := as[int](v); ok {
		return n
	}
	if s, ok := as[string](v); ok {
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
	}
	return def
}

// Float64 returns a number, or a string that is one.
func (v Value) Float64(def float64) float64 {
	if f, ok := as[float64](v); ok {
		return f
	}
	if s, ok := as[string](v); ok {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	}
	return def
}

// Duration returns a string such as "1m30s", or a number of nanoseconds.
func (v Value) Duration(def time.Duration) time.Duration {
	if s, ok := as[string](v); ok {
		if d, err := time.ParseDuration(s); err == nil {
			return d
		}
	}
	if d, ok := as[time.Duration](v); ok {
		return d
	}
	return def
}

// StringSlice returns an array of strings.
func (v Value) StringSlice(def []string) []string {
	if s, ok := as[[]string](v); ok {
		return s
	}
	return def
}

// StringMap returns an object whose values are strings.
func (v Value) StringMap(def map[string]string) map[string]string {
	if m, ok := as[map[string]string](v); ok {
		return m
	}
	return def
}
