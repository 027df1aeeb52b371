package front

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// word is one that is being typed behind the name of a service, and what is known
// from those before it.
type word struct {
	help
	Completions

	partial string
	input   wire.Message // not valid when the words before mean no endpoint

	given   map[string][]string // values of fields, by their folded names
	names   []string            // of the fields that are given, as they are typed
	option  *option             // the option whose value the word is
	waiting string              // the field whose value the word is
	helped  bool                // help is asked for
}

// scan reads the flags before the word.
func (w *word) scan(in Invocation) {
	w.given = map[string][]string{}
	w.helped = in.WantsHelp()
	for args := in.args; len(args) > 0; {
		name, value, has := cutOption(args[0])
		args = args[1:]
		if isBody(name) || !strings.HasPrefix(name, "-") {
			continue
		}
		o := optionNamed(name)
		if o != nil && o.value == "" {
			continue
		}
		path, isField := strings.CutPrefix(name, "--")
		isField = isField && o == nil
		if path = strings.TrimPrefix(path, "."); isField && !has && w.isSwitch(path) {
			has, value = true, "true"
		}
		if !has && len(args) == 0 {
			if w.option = o; isField {
				w.waiting = path
			}
			return
		}
		if !has {
			value, args = args[0], args[1:]
		}
		if isField {
			w.names = append(w.names, path)
			w.given[request.Fold(path)] = append(w.given[request.Fold(path)], value)
		}
	}
}

// isSwitch reports whether a field needs no value behind its name.
func (w *word) isSwitch(path string) bool {
	if !w.input.IsValid() {
		return false
	}
	off, no := strings.CutPrefix(path, "no-")
	return request.IsSwitch(w.input, path) || no && request.IsSwitch(w.input, off)
}

// endpoint completes the words that name an endpoint; one that streams where no other
// is taken.
func (w *word) endpoint(in Invocation) {
	before := in.Words
	w.directive = directiveNoFile | directiveKeepOrder
	shown := map[string]bool{}
	for _, e := range endpointsFor(w.t, w.service, before, w.partial) {
		text, ok := nextWord(e, before, w.partial)
		if !ok || shown[text] || in.Streams && !e.method.ClientStreaming() && !e.method.ServerStreaming() {
			continue
		}
		shown[text] = true
		if len(before) == 0 && len(e.words) == 2 && !strings.Contains(text, ".") {
			w.add(text, first(firstSentence(w.comment(e.method.Service())), "gRPC service "+e.method.Service().Name()))
			continue
		}
		w.add(text, strings.TrimSpace(firstSentence(w.comment(e.method))+kindNote(e.method)))
	}
}

// nextWord returns the word of an endpoint that is being typed, in the way in which
// it was begun.
func nextWord(e endpoint, before []string, partial string) (string, bool) {
	short := request.ShortName(e.method.Service().Name())
	switch len(before) {
	case 0:
		if strings.Contains(partial, ".") {
			return spelled(partial, request.Endpoint(e.method), strings.TrimPrefix(e.method.Path(), "/"), e.method.Service().Name()+"."+e.method.Name())
		}
		if len(e.words) == 2 {
			return spelled(partial, e.words[0], short)
		}
		return spelled(partial, e.words[0], e.method.Name())
	case 1:
		if !request.Means(before[0], e.method.Service().Name()) {
			return "", false
		}
		return spelled(partial, e.name, e.method.Name())
	default:
		return "", false
	}
}

// spelled returns the first of the spellings of a name that goes on from what is
// typed.
func spelled(partial string, spellings ...string) (string, bool) {
	for _, s := range spellings {
		if strings.HasPrefix(s, partial) {
			return s, true
		}
	}
	return "", false
}

// flag completes the name of a flag, or its value behind a '='.
func (w *word) flag() {
	if name, value, ok := strings.Cut(w.partial, "="); ok {
		switch o := optionNamed(name); {
		case o != nil:
			w.optionValue(*o, value)
		case strings.HasPrefix(name, "--"):
			w.fieldValue(strings.TrimPrefix(name[2:], "."), value)
		}
		return
	}
	w.directive = directiveNoFile | directiveKeepOrder
	if w.input.IsValid() {
		w.fields()
	}
	for _, o := range options() {
		if name := "--" + o.name; strings.HasPrefix(name, w.partial) {
			w.add(name, o.help)
		}
		if name := "-" + o.short; w.partial == name || w.partial == "-" && o.short != "" {
			w.add(name, o.help)
		}
	}
	if strings.HasPrefix("--help", w.partial) {
		w.add("--help", "show the fields of the endpoint, and an example")
	}
	goesOn := func(c completion) bool { return strings.HasSuffix(c.text, ".") }
	if len(w.all) > 0 && !slices.ContainsFunc(w.all, func(c completion) bool { return !goesOn(c) }) {
		w.directive |= directiveNoSpace
	}
}

// fields completes the name of a field.
func (w *word) fields() {
	dashes := "--"
	if strings.HasPrefix(w.partial, "--.") {
		dashes = "--."
	}
	path, ok := strings.CutPrefix(w.partial, dashes)
	switch {
	case ok:
	case strings.HasPrefix(dashes, w.partial):
		path = ""
	default:
		return
	}
	w.fieldsAt(dashes, "", path)
	if rest, ok := strings.CutPrefix(path, "no-"); ok {
		w.fieldsAt(dashes, "no-", rest)
	} else if path != "" && strings.HasPrefix("no-", path) {
		w.fieldsAt(dashes, "no-", "")
	}
}

// fieldsAt completes the name of a field behind dashes, and behind "no-" for what
// turns a boolean off.
func (w *word) fieldsAt(dashes, no, path string) {
	cut := strings.LastIndexByte(path, '.') + 1
	head, tail := path[:cut], path[cut:]
	if head == "" {
		w.fieldsOf(w.input, dashes, no, "", tail)
		return
	}
	w.below(dashes, no, head, tail)
}

// below completes what goes on behind a field.
func (w *word) below(dashes, no, head, tail string) {
	target, ok := request.Lookup(w.input, strings.TrimSuffix(head, "."))
	if !ok {
		return
	}
	if m, ok := target.Message(); ok {
		if m.WellKnown() == 0 {
			w.fieldsOf(m, dashes, no, head, tail)
		}
		return
	}
	value, about := target.Field, ""
	var keys []string
	switch {
	case target.Field.IsMap():
		value, about = target.Field.Value(), "key"
		keys = append(w.keys(target.Field), w.used(head)...)
	case target.Field.IsList():
		about = "element"
		keys = append(w.used(head), nextIndex(w.used(head)))
	}
	end := ""
	if opensFields(value) {
		end = "."
	}
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		if strings.HasPrefix(k, tail) {
			w.add(dashes+no+head+k+end, about)
		}
	}
}

// keys returns the keys of a map that are known: of booleans, and by a rule.
func (w *word) keys(f wire.Field) []string {
	if f.Key().Kind() == wire.BoolKind {
		return []string{"false", "true"}
	}
	return allowed(w.docs.Of(f).Rules, "keys")
}

// used returns the parts of names behind a field, which ends with a dot, that are
// typed already.
func (w *word) used(head string) []string {
	dots := strings.Count(head, ".")
	var parts []string
	for _, name := range w.names {
		split := strings.SplitAfterN(name, ".", dots+1)
		if len(split) > dots && request.Fold(strings.Join(split[:dots], "")) == request.Fold(head) {
			part, _, _ := strings.Cut(split[dots], ".")
			parts = append(parts, part)
		}
	}
	return parts
}

// nextIndex returns the position behind those of a list that are used.
func nextIndex(used []string) string {
	const digits = "0123456789"
	for i := range len(digits) {
		if !slices.Contains(used, digits[i:i+1]) {
			return digits[i : i+1]
		}
	}
	return digits[len(digits)-1:]
}

// fieldsOf completes the name of a field of a message.
func (w *word) fieldsOf(m wire.Message, dashes, no, head, tail string) {
	for _, f := range namedFields(m) {
		name, ok := spelled(tail, f.name, f.Name(), f.JSONName())
		if !ok {
			continue
		}
		flag := dashes + no + head + name
		if dashes+no+head == "--" {
			flag = flagName(name)
		}
		opens := opensFields(f.Field)
		one := !f.IsList() && !f.IsMap()
		switch {
		case !strings.HasPrefix(flag, w.partial) && no == "":
		case w.isRuledOut(f.Field, head), !opens && one && w.isGiven(head, f.Field):
		case no == "" && opens:
			w.add(flag+".", w.aboutField(f.Field))
		case no == "":
			w.add(flag, w.aboutField(f.Field))
		case opens && one && head+tail != "":
			w.add(flag+".", w.aboutField(f.Field))
		case f.Kind() == wire.BoolKind && one && !w.isField(no+head+name):
			w.add(flag, "turns off: "+w.aboutField(f.Field))
		}
	}
}

// isField reports whether a name leads to a field.
func (w *word) isField(path string) bool {
	_, ok := request.Lookup(w.input, path)
	return ok
}

// opensFields reports whether the name of a field goes on with those of others.
func opensFields(f wire.Field) bool {
	if f.IsMap() {
		f = f.Value()
	}
	sub, ok := f.Message()
	return ok && sub.WellKnown() == 0 && hasFields(sub)
}

// isGiven reports whether a field has a value, or something in it has.
func (w *word) isGiven(head string, f wire.Field) bool {
	for _, name := range []string{f.Name(), f.JSONName()} {
		if w.given[request.Fold(head+name)] != nil || w.given[request.Fold("no-"+head+name)] != nil || len(w.used(head+kebab(name)+".")) > 0 {
			return true
		}
	}
	return false
}

// isRuledOut reports whether a field cannot be given, since another of its oneof is.
func (w *word) isRuledOut(f wire.Field, head string) bool {
	o, ok := f.Oneof()
	if !ok {
		return false
	}
	for other := range o.Fields() {
		if other != f && w.isGiven(head, other) {
			return true
		}
	}
	return false
}

// aboutField returns the type of a field and the first sentence of its comment.
func (w *word) aboutField(f wire.Field) string {
	text := request.TypeName(f)
	if w.required(f) {
		text += ", required"
	}
	if f.Deprecated() {
		text += ", deprecated"
	}
	if o, ok := f.Oneof(); ok {
		text += ", one of " + o.Name()
	}
	if sentence := firstSentence(w.comment(f)); sentence != "" {
		text += ": " + sentence
	}
	return text
}

// optionValue completes the value of an option.
func (w *word) optionValue(o option, partial string) {
	w.directive = directiveNoFile | directiveKeepOrder
	switch o.value {
	case "":
		return
	case "FILE":
		w.directive = directiveDefault
		return
	case "DIR":
		w.directive = directiveDirs
		return
	}
	for _, v := range optionValues(o) {
		if strings.HasPrefix(v, partial) {
			if w.add(v, ""); strings.HasSuffix(v, "=") {
				w.directive |= directiveNoSpace
			}
		}
	}
}

// optionValues returns the values that are known of an option, and that it takes.
func optionValues(o option) []string {
	known := map[string][]string{
		"output": {"json", "yaml", "table", "text", "raw", "jq=", "template="},
		"in":     {"json", "yaml", "textproto", "binary"},
		"as":     {"micro", "curl", "grpcurl", "go", "python", "ts"},
	}
	return slices.DeleteFunc(known[o.name], func(v string) bool {
		sample := v
		if strings.HasSuffix(v, "=") {
			sample += "."
		}
		return o.set(&Request{}, sample) != nil
	})
}

// maxFiles bounds how many files are listed.
const maxFiles = 500

// files completes a path behind a prefix that shells do not know.
func (w *word) files(prefix, partial string) {
	w.directive = directiveNoFile
	dir, base := filepath.Split(partial)
	entries, err := os.ReadDir(first(dir, "."))
	if err != nil {
		return
	}
	directories := 0
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, base) || strings.HasPrefix(name, ".") && base == "" || len(w.all) == maxFiles {
			continue
		}
		if e.IsDir() {
			name += "/"
			directories++
		}
		w.add(prefix+dir+name, "")
	}
	if directories == len(w.all) && directories > 0 {
		w.directive |= directiveNoSpace
	}
}
