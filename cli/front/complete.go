package front

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// IsCompletion reports whether a word is what the scripts of shells ask with for
// completions: of the words behind it, the last of which is still being typed. It
// is cobra's protocol: a completion on each line, a tab and what it means, and in the
// end a colon and what the shell may do.
func IsCompletion(word string) bool { return word == completeWord || word == completeNoDesc }

const (
	completeWord   = "__complete"
	completeNoDesc = "__completeNoDesc"
)

// Directives tell the shell what it may do with completions. The values are cobra's.
const (
	directiveDefault   = 0 // files, when nothing else completes
	directiveNoSpace   = 2 // the word goes on
	directiveNoFile    = 4
	directiveDirs      = 16
	directiveKeepOrder = 32
)

// Completer knows completions from what is on disk. It asks nobody.
type Completer struct {
	Getenv func(string) string
	// IsCommand reports whether a word is a command of microd.
	IsCommand func(word string) bool
	// Table is the schema of the service, when what completes has asked for it.
	Table *wire.Table
}

// Missing is what has to be asked elsewhere before words can be completed.
type Missing struct {
	// Command: the words are of a command of microd, which knows its flags itself.
	Command bool
	// Service is one whose schema is not known, where Globals say, or which comes from
	// what Options say.
	Service string
	Globals Globals
	Options *Request
}

// Completions are what a shell is told.
type Completions struct {
	all       []completion
	directive int
}

type completion struct{ text, about string }

func (c *Command) complete() (code int, done bool) {
	answer, missing := Completer{Getenv: c.Getenv, IsCommand: c.IsCommand}.Complete(c.Args[1:])
	if missing != nil {
		return 0, false
	}
	if answer.Print(c.Out, c.Args[0] == completeWord) != nil {
		return ExitError, true
	}
	return ExitOK, true
}

// Print writes completions for the scripts of shells, with or without what they mean.
func (c *Completions) Print(w io.Writer, about bool) error {
	var b strings.Builder
	for _, one := range c.all {
		b.WriteString(one.text)
		if about && one.about != "" {
			b.WriteString("\t" + Line(one.about))
		}
		b.WriteByte('\n')
	}
	b.WriteString(":" + strconv.Itoa(c.directive) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// add adds a completion. One that a shell could take for more than a word is left
// out: names and values may come from strangers.
func (c *Completions) add(text, about string) {
	if isPlain(text) {
		c.all = append(c.all, completion{text, about})
	}
}

// isPlain reports whether a shell takes a text as it is.
func isPlain(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-_./:=@%+,", r):
		case r > 0xa0: // letters of other scripts
		default:
			return false
		}
	}
	return s != ""
}

// Complete completes the last of the words of a command line. It has either an
// answer, or what is missing for one.
func (c Completer) Complete(words []string) (*Completions, *Missing) {
	if len(words) == 0 {
		words = []string{""}
	}
	typed, partial := words[:len(words)-1], words[len(words)-1]
	var g Globals
	for len(typed) > 0 && strings.HasPrefix(typed[0], "-") {
		n := 1
		if isGlobalWithValue(typed[0]) {
			if n = 2; len(typed) == 1 {
				return c.globalValue(g, typed[0], partial), nil
			}
		}
		next, _, ok := SplitGlobals(typed[:n:n])
		if !ok {
			return nil, &Missing{Command: true} // --help and what is not known
		}
		g = Globals{Env: first(next.Env, g.Env), Namespace: first(next.Namespace, g.Namespace)}
		typed = typed[n:]
	}
	if len(typed) == 0 {
		return c.firstWord(g, partial), nil
	}
	streams := false
	if command := typed[0]; c.IsCommand(command) {
		typed = typed[1:]
		streams = command == "stream"
		asked := len(typed)
		if command == "call" {
			typed = slices.DeleteFunc(slices.Clone(typed), isForm)
		}
		switch {
		case command == "call" && len(typed) == 0 && asked == 0 && strings.HasPrefix(partial, "-"):
			return c.formFlag(partial), nil
		case command != "call" && command != "stream" && command != "describe":
			return nil, &Missing{Command: true}
		case len(typed) == 0 && !strings.HasPrefix(partial, "-"):
			return c.services(g, partial), nil
		case len(typed) == 0 || command == "describe":
			return nil, &Missing{Command: true}
		}
	}
	in := Parse(typed)
	g.Env = first(in.Env, g.Env)
	if in.Streams = streams; streams && len(in.Words) == 0 && strings.HasPrefix(partial, "-") {
		in.Words = []string{"Stream"}
	}
	return c.call(g, in, partial)
}

// formFlag completes what may stand between call and a service.
func (c Completer) formFlag(partial string) *Completions {
	answer := &Completions{directive: directiveNoFile}
	form := optionNamed("--interactive")
	for _, f := range []Summary{{"-" + form.short, form.help}, {"--" + form.name, form.help}, {"--help", "show help"}} {
		if strings.HasPrefix(f.Name, partial) {
			answer.add(f.Name, f.Short)
		}
	}
	return answer
}

// isGlobalWithValue reports whether a flag before the first word has its value in
// the next.
func isGlobalWithValue(flag string) bool {
	return flag == "-e" || flag == "--env" || flag == "--namespace"
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// firstWord completes a command, a service, or a flag before it.
func (c Completer) firstWord(g Globals, partial string) *Completions {
	if name, value, ok := strings.Cut(partial, "="); ok && isGlobalWithValue(name) {
		return c.globalValue(g, name, value)
	}
	answer := &Completions{directive: directiveNoFile}
	if strings.HasPrefix(partial, "-") {
		for _, f := range []Summary{
			{"--env", "environment to act on"},
			{"--namespace", "namespace to act in"},
			{"--yes", "answer yes to every question"},
			{"--no-color", "no colours"},
			{"--help", "show help"},
			{"--version", "print the version"},
		} {
			if strings.HasPrefix(f.Name, partial) {
				answer.add(f.Name, f.Short)
			}
		}
		return answer
	}
	for _, s := range Summaries() {
		if strings.HasPrefix(s.Name, partial) {
			answer.add(s.Name, s.Short)
		}
	}
	answer.all = append(answer.all, c.services(g, partial).all...)
	return answer
}

// manyServices is how many tables are opened for what their services say.
const manyServices = 32

// services completes the names of services.
func (c Completer) services(g Globals, partial string) *Completions {
	answer := &Completions{directive: directiveNoFile}
	s, ok := scopeOf(c.Getenv, g)
	if !ok {
		return answer
	}
	cache := Cache{Dir: s.dirs.Cache}
	var names []string
	for _, name := range cache.Services(s.env, s.namespace) {
		if strings.HasPrefix(name, partial) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		about := "service"
		if len(names) <= manyServices {
			if entry, ok := cache.Lookup(s.env, s.namespace, name); ok {
				about = first(aboutService(entry.Table, name), about)
			}
		}
		answer.add(name, about)
	}
	return answer
}

// aboutService returns the first sentence of what a service says of itself.
func aboutService(t *wire.Table, service string) string {
	docs, err := t.Docs()
	if err != nil {
		return ""
	}
	for s := range t.Services() {
		if request.Means(service, s.Name()) {
			return firstSentence(docs.Of(s).Comment)
		}
	}
	return ""
}

// globalValue completes the value of a flag before the first word.
func (c Completer) globalValue(g Globals, flag, partial string) *Completions {
	answer := &Completions{directive: directiveNoFile}
	s, ok := scopeOf(c.Getenv, g)
	if !ok {
		return answer
	}
	if flag == "--namespace" {
		for _, name := range (Cache{Dir: s.dirs.Cache}).Namespaces(s.env) {
			if strings.HasPrefix(name, partial) {
				answer.add(name, "")
			}
		}
		return answer
	}
	for _, e := range s.config.List() {
		if strings.HasPrefix(e.Name, partial) {
			answer.add(e.Name, e.Address)
		}
	}
	return answer
}

// table returns the schema of a service, and the words that are left to name an
// endpoint of it: the first may name that too. It is false when the schema is not known.
func (c Completer) table(g Globals, in Invocation) (*wire.Table, Invocation, bool) {
	if c.Table != nil {
		return c.Table, in, true
	}
	s, ok := scopeOf(c.Getenv, g)
	if !in.Options(c.Getenv).Sources.IsEmpty() || !ok {
		return nil, in, false
	}
	cache := Cache{Dir: s.dirs.Cache}
	entry, ok := cache.Lookup(s.env, s.namespace, in.Service)
	if i := strings.LastIndexAny(in.Service, "./"); i > 0 && !ok {
		if entry, ok = cache.Lookup(s.env, s.namespace, in.Service[:i]); ok {
			in.Words = append([]string{in.Service[i+1:]}, in.Words...)
			in.Service = in.Service[:i]
		}
	}
	return entry.Table, in, ok
}

// call completes what comes behind the name of a service.
func (c Completer) call(g Globals, in Invocation, partial string) (*Completions, *Missing) {
	t, in, ok := c.table(g, in)
	if !ok {
		return nil, &Missing{Service: in.Service, Globals: g, Options: in.Options(c.Getenv)}
	}
	w := word{help: help{t: t, service: in.Service}, partial: partial}
	w.docs, _ = t.Docs() // completion goes without them
	// Where the first word is begun there is nothing to resolve: that none is the
	// endpoint Call would be told with all that are nearly called so.
	named := len(in.Words) > 0
	if named || len(in.args) > 0 || strings.HasPrefix(partial, "-") {
		m, err := request.Resolve(t, in.Service, in.Words)
		if err == nil {
			w.input = m.Input()
		}
		named = named && err == nil
	}
	w.scan(in)
	switch {
	case w.helped:
		w.directive = directiveNoFile
	case w.option != nil:
		w.optionValue(*w.option, partial)
	case w.waiting != "":
		w.fieldValue(w.waiting, partial)
	case strings.HasPrefix(partial, "-"):
		w.flag()
	case strings.HasPrefix(partial, "@"):
		w.files("@", partial[1:])
	case len(in.args) == 0:
		w.endpoint(in)
		if partial == "" && named {
			w.flag()
		}
	default:
		if w.directive = directiveNoFile; partial == "" {
			w.flag()
		}
	}
	return &w.Completions, nil
}

// NoCompletions returns an answer that completes nothing.
func NoCompletions() *Completions { return &Completions{directive: directiveNoFile} }
