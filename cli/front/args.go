package front

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// Globals are the flags that every command has.
type Globals struct {
	Env       string
	Namespace string
}

// Command returns how a command line begins that has these flags.
func (g Globals) Command() string {
	command := "micro"
	if g.Env != "" {
		command += " -e " + inShell(g.Env)
	}
	if g.Namespace != "" {
		command += " --namespace " + inShell(g.Namespace)
	}
	return command
}

// SplitGlobals takes the flags before the first word off a command line. It
// reports false when it meets one that it does not know.
func SplitGlobals(args []string) (g Globals, rest []string, ok bool) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, value, has := strings.Cut(args[0], "=")
		var target *string
		switch name {
		case "-e", "--env":
			target = &g.Env
		case "--namespace":
			target = &g.Namespace
		case "-y", "--yes", "--no-color":
			if has {
				return g, args, false
			}
			args = args[1:]
			continue
		default:
			return g, args, false
		}
		if !has {
			if len(args) < 2 {
				return g, args, false
			}
			value, args = args[1], args[1:]
		}
		*target = value
		args = args[1:]
	}
	return g, args, true
}

// Invocation is the call of a service as it was typed.
type Invocation struct {
	Service string
	Words   []string // of the endpoint
	Streams bool     // it has to be one that streams
	Env     string   // what -e behind the service says; empty: nothing
	args    []string // flags, and what stands between them
}

// Parse splits the words that name an endpoint from what comes after them. The option
// that asks for a form may stand before them and among them, and there need not be a
// service then.
func Parse(args []string) Invocation {
	var in Invocation
	isWord := func(arg string) bool { return !strings.HasPrefix(arg, "-") && !isBody(arg) }
	for len(args) > 0 && (isForm(args[0]) || isWord(args[0]) || in.Service == "" && len(in.args) == 0) {
		switch word := args[0]; {
		case isForm(word):
			in.args = []string{word}
		case in.Service != "":
			in.Words = append(in.Words, word)
		default:
			in.Service = word
			if service, method, ok := strings.Cut(strings.TrimPrefix(word, "/"), "/"); ok {
				in.Service, in.Words = service, []string{method}
			}
		}
		args = args[1:]
	}
	in.args, in.Env = takeEnv(append(in.args, args...))
	return in
}

// takeEnv takes -e NAME off what stands behind a service, where people put it who know it
// from the end of other commands. No field is given by a letter; and where -e could be the
// value of a flag, the name would be a word too many.
func takeEnv(args []string) (rest []string, env string) {
	for len(args) > 0 {
		i := slices.Index(args, "-e")
		if i < 0 || i+1 == len(args) {
			break
		}
		if next := args[i+1]; strings.HasPrefix(next, "-") || isBody(next) {
			rest, args = append(rest, args[:i+1]...), args[i+1:]
			continue
		}
		env = args[i+1]
		rest, args = append(rest, args[:i]...), args[i+2:]
	}
	return append(rest, args...), env
}

// isForm reports whether an argument asks for a form.
func isForm(arg string) bool { return arg == "-i" || arg == "--interactive" }

// WantsForm reports whether a form is asked for.
func (in Invocation) WantsForm() bool {
	return in.Options(func(string) string { return "" }).Show == ShowForm
}

// WantsHelp reports whether help is asked for.
func (in Invocation) WantsHelp() bool {
	for _, a := range in.args {
		if a == "--help" || a == "-h" {
			return true
		}
	}
	return false
}

// HasRequest reports whether a body or a field is given.
func (in Invocation) HasRequest() bool {
	for args := in.args; len(args) > 0; {
		name, _, has := cutOption(args[0])
		o := optionNamed(name)
		switch {
		case o == nil || o.name == "json":
			return true
		case o.value != "" && !has && len(args) > 1:
			args = args[2:]
		default:
			args = args[1:]
		}
	}
	return false
}

// isBody reports whether an argument is the body of a request.
func isBody(arg string) bool {
	return arg == "-" || strings.HasPrefix(arg, "{") || strings.HasPrefix(arg, "@")
}

// Build reads flags and body by the schema of the method.
func (in Invocation) Build(m wire.Method, from Inputs) (*Request, error) {
	r := &Request{}
	stdinRead := false
	r.values = request.Values{Now: from.Now, ReadFile: func(name string) ([]byte, error) {
		switch {
		case name != "-":
			return from.ReadFile(name)
		case stdinRead:
			return nil, errors.New("standard input can be read only once")
		}
		stdinRead = true
		return readAll(from.Stdin, "standard input", r.MaxBody())
	}}
	var typed typedBody
	for args := in.args; len(args) > 0; {
		arg := args[0]
		args = args[1:]
		next := typedBody{arg: arg}
		switch {
		case isBody(arg):
			r.typed = append(r.typed, typedArg{value: arg})
		case !strings.HasPrefix(arg, "-"):
			return nil, &Error{
				Message: fmt.Sprintf("what is %q for? An endpoint stands before the flags, and the value of a flag behind it or after =", arg),
				Hint:    in.HelpCommand(),
				Exit:    ExitUsage,
			}
		default:
			var err error
			if next, err = in.takeFlag(m, r, arg, &args, from.Getenv); err != nil {
				return nil, err
			}
		}
		if next.given() && typed.given() {
			return nil, &Error{Message: Line(shorten(next.arg)) + " is a second body; a request has one", Exit: ExitUsage}
		}
		if next.given() {
			typed = next
		}
	}
	return r, r.fill(m, typed, from)
}

// fill makes the messages of the request out of its body and flags.
func (r *Request) fill(m wire.Method, b typedBody, from Inputs) error {
	if r.Show == ShowTemplate {
		if b.given() || len(r.flags) > 0 {
			return &FlagError{Flag: "--template", Message: "it prints an example of the whole request, and takes no fields"}
		}
		return nil
	}
	r.In = b.format(r.In)
	if m.ClientStreaming() && (b.stdin() || !b.given() && len(r.flags) == 0) {
		r.Stdin, r.Named = true, b.given()
		return nil
	}
	messages := []Message{{JSON: []byte("{}")}}
	var err error
	if b.given() {
		messages, err = b.messages(m, r.In, from, r.values.ReadFile)
	}
	if errors.Is(err, errWhole) {
		r.Whole = true
		return nil
	}
	if unset, ok := errors.AsType[*UnsetError](err); ok {
		return &Error{Message: b.what() + ": " + unset.Error(), Hint: unset.hint(), Exit: ExitUsage}
	}
	if err != nil {
		return err
	}
	if !b.given() && len(r.flags) == 0 && !takesObject(m.Input()) {
		messages = []Message{{Wire: []byte{}}}
	}
	for i := range messages {
		if messages[i], err = r.Complete(m.Input(), messages[i]); err != nil {
			var flag *FlagError
			if b.given() && !errors.As(err, &flag) {
				return &Error{Message: b.what() + " " + err.Error(), Exit: ExitUsage}
			}
			return err
		}
	}
	r.Messages = messages
	return nil
}

// FlagError says what is wrong with a flag.
type FlagError struct {
	Flag    string // with its dashes
	Message string
	Near    string // the flag that may have been meant
}

func (e *FlagError) Error() string { return e.Flag + ": " + e.Message }

// assignment is a field and its value as typed.
type assignment struct{ name, value string }

// takeFlag reads one flag, and its value from the arguments after it where it has
// one there. It returns the body where the flag gives that.
func (in Invocation) takeFlag(m wire.Method, r *Request, arg string, rest *[]string, getenv func(string) string) (typedBody, error) {
	name, value, has := cutOption(arg)
	typed := name
	next := func() (string, error) {
		if !has && len(*rest) == 0 {
			return "", &FlagError{Flag: typed, Message: "it needs a value"}
		}
		v := value
		if !has {
			v = (*rest)[0]
			*rest = (*rest)[1:]
		}
		r.typed = append(r.typed, typedArg{typed, v, true})
		return v, nil
	}
	if o := optionNamed(name); o != nil {
		if o.value == "" {
			r.typed = append(r.typed, typedArg{flag: typed})
			if has {
				return typedBody{}, &FlagError{Flag: name, Message: "it takes no value"}
			}
			return typedBody{}, flagged(name, o.set(r, ""))
		}
		v, err := next()
		if err == nil && o.name == "header" {
			v, err = expand(v, getenv)
		}
		if err == nil {
			err = o.set(r, v)
		}
		if err == nil && o.name == "json" {
			if v == "" {
				err = errors.New("it needs a value")
			}
			return typedBody{arg: v, isJSON: true}, flagged(name, err)
		}
		return typedBody{}, flagged(name, err)
	}
	if !strings.HasPrefix(name, "--") {
		return typedBody{}, &FlagError{Flag: name, Message: "there is no such option"}
	}
	name = name[2:]
	if !has {
		if request.IsSwitch(m.Input(), name) {
			r.typed = append(r.typed, typedArg{flag: typed})
			r.flags = append(r.flags, assignment{name, "true"})
			return typedBody{}, nil
		}
		if field, ok := strings.CutPrefix(name, "no-"); ok && request.IsSwitch(m.Input(), field) {
			r.typed = append(r.typed, typedArg{flag: typed})
			r.flags = append(r.flags, assignment{field, "false"})
			return typedBody{}, nil
		}
	}
	v, err := next()
	if err == nil {
		v, err = expand(v, getenv)
	}
	if err != nil {
		return typedBody{}, flagged("--"+name, err)
	}
	r.flags = append(r.flags, assignment{name, v})
	return typedBody{}, nil
}

// cutOption splits an argument into the name of an option and the value that stands
// with it: --name=value, -nvalue, -n=value.
func cutOption(arg string) (name, value string, has bool) {
	if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
		return arg[:2], strings.TrimPrefix(arg[2:], "="), true
	}
	return strings.Cut(arg, "=")
}

// flagged makes an error one of a flag.
func flagged(name string, err error) error {
	if err == nil {
		return nil
	}
	if _, is := errors.AsType[*FlagError](err); is {
		return err
	}
	if unset, ok := errors.AsType[*UnsetError](err); ok {
		return &Error{Message: name + ": " + unset.Error(), Hint: unset.hint(), Exit: ExitUsage}
	}
	return &FlagError{Flag: name, Message: err.Error()}
}

// shorten cuts what is too long to be shown.
func shorten(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// FileReader returns what reads a file that is the request or a part of it, with most
// bytes.
func FileReader(most int) func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readAll(f, name, most)
	}
}

// readRegular reads a file that can be read again.
func readRegular(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it may be there only once")
	}
	return FileReader(maxBody)(name)
}

func readAll(r io.Reader, what string, most int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if len(b) > most {
		return nil, fmt.Errorf("%s has more than %d bytes; --max-size lets it be larger", what, most)
	}
	return b, nil
}
