package model

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// Values are encoded so that they have the order of their bytes, and none is the beginning
// of another: a letter for the kind, and then
//
//	z  nothing
//	b  false or true, as 0 or 1
//	i  a whole number, as 16 hexadecimal digits from the least on
//	u  one without a sign, likewise
//	f  a number, likewise
//	t  a time in UTC, to the nanosecond
//	s  a string with 0 and 1 at its end; a 0 inside has ff behind it

// kind is what a value is encoded as; 0 is nothing that can be.
type kind byte

func kindOf(t reflect.Type) kind {
	if t == timeType {
		return 't'
	}
	switch t.Kind() {
	case reflect.Bool:
		return 'b'
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return 'i'
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return 'u'
	case reflect.Float32, reflect.Float64:
		return 'f'
	case reflect.String:
		return 's'
	default:
		return 0
	}
}

func encodable(t reflect.Type) bool { return kindOf(t) != 0 }

// encode encodes a value of an encodable type.
func encode(v reflect.Value) string {
	switch kindOf(v.Type()) {
	case 't':
		return "t" + v.Interface().(time.Time).UTC().Format("2006-01-02T15:04:05.000000000Z")
	case 'b':
		if v.Bool() {
			return "b1"
		}
		return "b0"
	case 'i':
		return fmt.Sprintf("i%016x", uint64(v.Int())^1<<63) //nolint:gosec // its bits
	case 'u':
		return fmt.Sprintf("u%016x", v.Uint())
	case 'f':
		return encodeFloat(v.Float())
	default:
		return "s" + strings.ReplaceAll(v.String(), "\x00", "\x00\xff") + "\x00\x01"
	}
}

// encodeFloat makes the bits of a number a whole number that has its order.
func encodeFloat(f float64) string {
	if f == 0 {
		f = 0 // there is one zero
	}
	bits := math.Float64bits(f)
	if bits>>63 == 0 {
		bits ^= 1 << 63
	} else {
		bits = ^bits
	}
	return fmt.Sprintf("f%016x", bits)
}
