package front

import (
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// fieldValue completes the value of a field, by its type and rules.
func (w *word) fieldValue(path, partial string) {
	w.directive = directiveNoFile | directiveKeepOrder
	if !w.input.IsValid() {
		return
	}
	target, ok := request.Lookup(w.input, path)
	if !ok {
		return
	}
	f, rules := target.Field, w.docs.Of(target.Field).Rules
	switch {
	case f.IsMap():
		if !strings.Contains(partial, "=") {
			for _, k := range w.keys(f) {
				if strings.HasPrefix(k, partial) {
					w.add(k+"=", "")
				}
			}
			w.directive |= directiveNoSpace
		}
	case f.IsList() && !target.Part:
		before := partial[:strings.LastIndexByte(partial, ',')+1]
		used := append(strings.Split(before, ","), w.given[request.Fold(path)]...)
		w.values(f, allowed(rules, "items"), before, partial[len(before):], used)
	default:
		w.values(f, allowed(rules, ""), "", partial, nil)
	}
}

// values completes a single value behind those before it, without those that are
// used.
func (w *word) values(f wire.Field, in []string, before, partial string, used []string) {
	kind := f.Kind()
	if sub, ok := f.Message(); ok {
		switch sub.WellKnown() {
		case wire.Wrapper:
			inner, _ := sub.FieldByNumber(1)
			kind = inner.Kind()
		case wire.Timestamp:
			w.value(before, partial, "now", "this moment; -2h and 2026-01-02T15:04:05Z are others")
			return
		case wire.Duration, wire.FieldMask, wire.Value:
			return
		default:
			if strings.HasPrefix(partial, "@") {
				w.files(before+"@", partial[1:])
			}
			return
		}
	}
	for _, v := range in {
		if !slices.Contains(used, v) && kind != wire.EnumKind {
			w.value(before, partial, v, "")
		}
	}
	switch kind {
	case wire.EnumKind:
		e, _ := f.Enum()
		w.enumValues(e, before, partial, used)
	case wire.BoolKind:
		w.value(before, partial, "true", "")
		w.value(before, partial, "false", "")
	case wire.BytesKind:
		if strings.HasPrefix(partial, "@") {
			w.files(before+"@", partial[1:])
			return
		}
		w.value(before, partial, "@", "the content of a file")
		w.value(before, partial, "base64:", "in base64")
		w.value(before, partial, "hex:", "in hexadecimal")
		w.directive |= directiveNoSpace
	default:
	}
}

func (w *word) value(before, partial, value, about string) {
	if strings.HasPrefix(value, partial) {
		w.add(before+value, about)
	}
}

// enumValues completes a value of an enum, spelled as it was begun: in full, without
// the name of the enum before it, in capitals or small letters.
func (w *word) enumValues(e wire.Enum, before, partial string, used []string) {
	for v := range e.Values() {
		short := withoutPrefix(v.Name(), request.ShortName(e.Name()))
		spellings := []string{v.Name(), strings.ToLower(v.Name()), short, strings.ToLower(short)}
		if slices.ContainsFunc(spellings, func(s string) bool { return slices.Contains(used, s) }) {
			continue
		}
		if name, ok := spelled(partial, spellings...); ok {
			about := firstSentence(w.comment(v))
			if v.Deprecated() {
				about = strings.TrimSpace("deprecated. " + about)
			}
			w.add(before+name, about)
		}
	}
}

// withoutPrefix returns the name of a value without that of its enum, if it begins
// with that: COLOR_RED of Color is RED.
func withoutPrefix(name, enum string) string {
	want := request.Fold(enum)
	for i := range len(name) {
		if request.Fold(name[:i]) == want {
			if rest := strings.TrimLeft(name[i:], "_"); rest != "" {
				return rest
			}
		}
	}
	return name
}
