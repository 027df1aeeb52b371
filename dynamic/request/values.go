package request

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/micro/v3/dynamic/wire"
)

// Values is what values are read with, beside their text.
type Values struct {
	// ReadFile reads what a value names as @FILE. Nil makes such a value the text
	// that it is, which is how it must be for text from a stranger.
	ReadFile func(name string) ([]byte, error)
	// Now tells the time for "now", "-2h" and the like. It must be there.
	Now func() time.Time
}

// setValue sets a field from the value of a flag. That of a list may be given
// several times, with commas, or as a JSON array; that of a map as key=value,
// with commas, or as a JSON object.
func setValue(n *node, f wire.Field, value string, v Values) error {
	switch {
	case f.IsMap():
		return setMap(n, f, value, v)
	case f.IsList():
		return setList(n, f, value, v)
	default:
		return setOne(n, f, value, v)
	}
}

func setList(n *node, f wire.Field, value string, v Values) error {
	if strings.HasPrefix(value, "[") {
		t, err := parseTree([]byte(value))
		if err != nil {
			return fmt.Errorf("%q is no JSON array: %w", abbreviate(value), err)
		}
		for _, e := range t.list {
			n.append(e)
		}
		return nil
	}
	if _, ok := f.Message(); ok { // its own values may have commas
		e := &node{}
		if err := setOne(e, f, value, v); err != nil {
			return err
		}
		n.append(e)
		return nil
	}
	items, err := splitList(value)
	if err != nil {
		return err
	}
	if n.kind != array {
		*n = node{kind: array}
	}
	for _, item := range items {
		e := &node{}
		if err := setOne(e, f, item, v); err != nil {
			return err
		}
		n.append(e)
	}
	return nil
}

// splitList cuts a value at its commas. An item that begins with " goes to the
// next, and what it says of itself is written "".
func splitList(value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	var items []string
	for {
		rest, quoted := strings.CutPrefix(value, `"`)
		if !quoted {
			item, rest, more := strings.Cut(value, ",")
			items = append(items, item)
			if !more {
				return items, nil
			}
			value = rest
			continue
		}
		var item strings.Builder
		for {
			part, after, closed := strings.Cut(rest, `"`)
			if !closed {
				return nil, fmt.Errorf(`%q is no list of values with commas: nothing closes a "`, value)
			}
			item.WriteString(part)
			if rest, quoted = strings.CutPrefix(after, `"`); !quoted {
				rest = after
				break
			}
			item.WriteByte('"')
		}
		items = append(items, item.String())
		if rest == "" {
			return items, nil
		}
		var ok bool
		if value, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, fmt.Errorf(`%q is no list of values with commas: %q comes behind a closing "`, value, abbreviate(rest))
		}
	}
}

func setMap(n *node, f wire.Field, value string, v Values) error {
	if strings.HasPrefix(value, "{") {
		t, err := parseTree([]byte(value))
		if err != nil {
			return fmt.Errorf("%q is no JSON object: %w", abbreviate(value), err)
		}
		for _, k := range t.keys {
			*n.get(k) = *t.child[k]
		}
		return nil
	}
	if n.kind != object {
		*n = *newObject()
	}
	items := []string{value}
	if _, ok := f.Value().Message(); !ok {
		var err error
		if items, err = splitList(value); err != nil {
			return err
		}
	}
	for _, item := range items {
		k, text, ok := strings.Cut(item, "=")
		if !ok {
			return fmt.Errorf("%q has not the form key=value", item)
		}
		key, err := mapKey(f.Key(), k)
		if err != nil {
			return err
		}
		if err := setOne(n.get(key), f.Value(), text, v); err != nil {
			return err
		}
	}
	return nil
}

// mapKey checks a key, and returns it as JSON has it.
func mapKey(f wire.Field, key string) (string, error) {
	n := &node{}
	if err := setOne(n, f, key, Values{}); err != nil {
		return "", fmt.Errorf("the key %q: %w", key, err)
	}
	if f.Kind() == wire.StringKind {
		return key, nil
	}
	return strings.Trim(string(n.raw), `"`), nil
}

// setOne sets a single value: a field, an element of a list, a value of a map.
func setOne(n *node, f wire.Field, value string, v Values) error {
	if sub, ok := f.Message(); ok {
		return setMessage(n, sub, value, v)
	}
	raw, err := scalarValue(f, value, v)
	if err != nil {
		return err
	}
	n.set(raw)
	return nil
}

var errNotText = errors.New("the value is no UTF-8 text")

func scalarValue(f wire.Field, value string, v Values) ([]byte, error) {
	mismatch := func(what string) error { return fmt.Errorf("%q is no %s", value, what) }
	switch f.Kind() {
	case wire.StringKind:
		if !utf8.ValidString(value) {
			return nil, errNotText
		}
		return quote(value), nil
	case wire.BytesKind:
		b, err := bytesValue(value, v)
		if err != nil {
			return nil, err
		}
		return quote(base64.StdEncoding.EncodeToString(b)), nil
	case wire.BoolKind:
		b, err := strconv.ParseBool(strings.ToLower(value))
		if err != nil {
			return nil, mismatch("boolean: use true or false")
		}
		return strconv.AppendBool(nil, b), nil
	case wire.FloatKind, wire.DoubleKind:
		return floatValue(f, value)
	case wire.EnumKind:
		return enumValue(f, value)
	case wire.Int32Kind, wire.Sint32Kind, wire.Sfixed32Kind:
		return intValue(value, 32)
	case wire.Int64Kind, wire.Sint64Kind, wire.Sfixed64Kind:
		return intValue(value, 64)
	case wire.Uint32Kind, wire.Fixed32Kind:
		return uintValue(value, 32)
	case wire.Uint64Kind, wire.Fixed64Kind:
		return uintValue(value, 64)
	default:
		return nil, fmt.Errorf("a value of type %s cannot be given as a flag", f.Kind())
	}
}

// decimal returns a number without the zeros that would make it octal: nobody means
// that by 007. Hexadecimal, binary and octal begin with 0x, 0b and 0o.
func decimal(value string) string {
	digits := strings.TrimLeft(value, "+-")
	sign := value[:len(value)-len(digits)]
	for len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		digits = digits[1:]
	}
	return sign + digits
}

func intValue(value string, bits int) ([]byte, error) {
	v, err := strconv.ParseInt(decimal(value), 0, bits)
	if err != nil {
		return nil, numberError(value, fmt.Sprintf("whole number (int%d)", bits), err)
	}
	return quote(strconv.FormatInt(v, 10)), nil
}

func uintValue(value string, bits int) ([]byte, error) {
	v, err := strconv.ParseUint(decimal(value), 0, bits)
	if err != nil {
		return nil, numberError(value, fmt.Sprintf("whole number from 0 (uint%d)", bits), err)
	}
	return quote(strconv.FormatUint(v, 10)), nil
}

func numberError(value, what string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%s is out of the range of a %s", value, what)
	}
	return fmt.Errorf("%q is no %s", value, what)
}

func floatValue(f wire.Field, value string) ([]byte, error) {
	switch strings.ToLower(strings.TrimPrefix(value, "+")) {
	case "nan":
		return []byte(`"NaN"`), nil
	case "inf", "infinity":
		return []byte(`"Infinity"`), nil
	case "-inf", "-infinity":
		return []byte(`"-Infinity"`), nil
	}
	bits := 64
	if f.Kind() == wire.FloatKind {
		bits = 32
	}
	v, err := strconv.ParseFloat(value, bits)
	if err != nil {
		return nil, numberError(value, "number ("+f.Kind().String()+")", err)
	}
	return strconv.AppendFloat(nil, v, 'g', -1, bits), nil
}

func enumValue(f wire.Field, value string) ([]byte, error) {
	e, _ := f.Enum()
	if v, ok := e.Value(value); ok {
		return quote(v.Name()), nil
	}
	if value == "null" && isNullValue(e) {
		return []byte(value), nil
	}
	if n, err := strconv.ParseInt(decimal(value), 0, 32); err == nil {
		return strconv.AppendInt(nil, n, 10), nil
	}
	// The names of values often begin with the name of the enum.
	prefix := Fold(ShortName(e.Name()))
	want := Fold(value)
	var names []string
	for v := range e.Values() {
		if name := Fold(v.Name()); name == want || name == prefix+want {
			return quote(v.Name()), nil
		}
		names = append(names, v.Name())
	}
	if near := Nearest(value, names); near != "" {
		names = []string{near}
	}
	return nil, fmt.Errorf("%q is none of the values of %s: %s", value, ShortName(e.Name()), strings.Join(names[:min(len(names), 20)], ", "))
}

// bytesValue reads bytes as text, @file, base64: or hex:.
func bytesValue(value string, v Values) ([]byte, error) {
	if name, ok := strings.CutPrefix(value, "@"); ok && v.ReadFile != nil {
		return v.ReadFile(name)
	}
	if text, ok := strings.CutPrefix(value, "base64:"); ok {
		text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
		b, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("what follows base64: is no base64: %w", err)
		}
		return b, nil
	}
	if text, ok := strings.CutPrefix(value, "hex:"); ok {
		b, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("what follows hex: is no hexadecimal: %w", err)
		}
		return b, nil
	}
	return []byte(value), nil
}

// setMessage sets a message from one value: JSON, @file with JSON, or the short
// forms of the well-known types.
func setMessage(n *node, m wire.Message, value string, v Values) error {
	switch m.WellKnown() {
	case wire.Timestamp:
		t, err := timeValue(value, v)
		if err != nil {
			return err
		}
		if y := t.UTC().Year(); y < 1 || y > 9999 {
			return fmt.Errorf("%q is not within the years 1 to 9999", value)
		}
		n.set(quote(t.UTC().Format(time.RFC3339Nano)))
		return nil
	case wire.Duration:
		return setDuration(n, value)
	case wire.FieldMask:
		if !utf8.ValidString(value) {
			return errNotText
		}
		n.set(quote(maskValue(value)))
		return nil
	case wire.Wrapper:
		inner, _ := m.FieldByNumber(1)
		return setOne(n, inner, value, v)
	case wire.Value:
		return setAny(n, value)
	default:
	}
	text := []byte(value)
	if name, ok := strings.CutPrefix(value, "@"); ok && v.ReadFile != nil {
		var err error
		if text, err = v.ReadFile(name); err != nil {
			return err
		}
	}
	if value == "" && m.WellKnown() == wire.Empty {
		text = []byte("{}")
	}
	t, err := parseTree(text)
	if err != nil {
		return fmt.Errorf("%q is no JSON for a %s: %w", abbreviate(value), ShortName(m.Name()), err)
	}
	want, what := object, "object"
	if m.WellKnown() == wire.ListValue {
		want, what = array, "array"
	}
	if t.kind != want {
		return fmt.Errorf("%q is no JSON %s, as a %s is", abbreviate(value), what, ShortName(m.Name()))
	}
	*n = *t
	return nil
}

// maskValue returns paths of fields as JSON has them, whichever of their two names
// is given.
func maskValue(paths string) string {
	var b strings.Builder
	upper := false
	for _, c := range []byte(paths) {
		switch {
		case c == '_' && !upper:
			upper = true
			continue
		case upper && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		case upper:
			b.WriteByte('_') // nothing that JSON could say: it is refused later
		}
		b.WriteByte(c)
		upper = false
	}
	if upper {
		b.WriteByte('_')
	}
	return b.String()
}

// timeValue reads a time as RFC 3339, a date, a date with a time of this place,
// "now", or as long before or after now as "-2h" and "+30m" say.
func timeValue(value string, v Values) (time.Time, error) {
	if value == "now" {
		return v.Now(), nil
	}
	if strings.HasPrefix(value, "-") || strings.HasPrefix(value, "+") {
		if d, err := parseDuration(value); err == nil {
			return v.Now().Add(d), nil
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, value); err == nil {
		return t, nil
	}
	if t, err := time.Parse("2006-01-02", value); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, value, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(`%q is no time: use 2026-01-02, 2026-01-02T15:04:05Z, now or -2h`, value)
}

// parseDuration reads a duration as Go writes it, with days as well.
func parseDuration(value string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(value, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n > -36500 && n < 36500 {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	}
	return time.ParseDuration(value)
}

func setDuration(n *node, value string) error {
	if isSeconds(value) {
		n.set(quote(strings.TrimPrefix(value, "+"))) // the JSON form itself, which reaches further
		return nil
	}
	d, err := parseDuration(value)
	if err != nil {
		return fmt.Errorf("%q is no duration: use 1h30m, 250ms or 2d", value)
	}
	sign := ""
	if d < 0 {
		sign = "-"
	}
	seconds, nanos := d/time.Second, d%time.Second
	text := fmt.Sprintf("%s%d", sign, seconds.Abs())
	if nanos != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%09d", nanos.Abs()), "0")
	}
	n.set(quote(text + "s"))
	return nil
}

// maxSeconds is how many seconds a google.protobuf.Duration may have.
const maxSeconds = 315_576_000_000

// isSeconds reports whether a value is a duration as JSON has it: seconds with up to
// nine digits behind the point.
func isSeconds(value string) bool {
	text, ok := strings.CutSuffix(strings.TrimLeft(value, "+-"), "s")
	whole, fraction, point := strings.Cut(text, ".")
	seconds, err := strconv.ParseUint(whole, 10, 64)
	if !ok || err != nil || seconds > maxSeconds || len(value) > len(text)+len("-s") || whole[0] == '0' && len(whole) > 1 {
		return false
	}
	if !point {
		return true
	}
	_, err = strconv.ParseUint(fraction, 10, 64)
	return err == nil && len(fraction) <= 9
}

// setAny sets a value of any type: JSON, or else a string.
func setAny(n *node, value string) error {
	if !utf8.ValidString(value) {
		return errNotText
	}
	if !json.Valid([]byte(value)) {
		n.set(quote(value))
		return nil
	}
	t, err := parseTree([]byte(value))
	if err != nil {
		return fmt.Errorf("%q: %w", abbreviate(value), err)
	}
	*n = *t
	return nil
}

func abbreviate(s string) string {
	if r := []rune(s); len(s) > 60 && len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
