package front

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// Format is how an answer is printed.
type Format string

// The formats.
const (
	FormatAuto     Format = ""         // JSON, on one line when it is short
	FormatJSON     Format = "json"     // JSON on one line
	FormatYAML     Format = "yaml"     //
	FormatTable    Format = "table"    // rows and columns
	FormatText     Format = "text"     // the values alone
	FormatRaw      Format = "raw"      // the message in wire form
	FormatTemplate Format = "template" // what a template of Go makes of it
	FormatJQ       Format = "jq"       // what a filter of jq makes of it
)

// set takes the value of the option.
func (f *Format) set(r *Request, v string) error {
	name, expr, has := strings.Cut(v, "=")
	switch n := Format(name); n {
	case FormatJSON, FormatYAML, FormatTable, FormatText, FormatRaw:
		if has {
			return fmt.Errorf("%s takes no expression", name)
		}
		*f = n
	case FormatTemplate, FormatJQ:
		if expr == "" {
			return fmt.Errorf("%s needs an expression: -o %s='…'", name, name)
		}
		*f, r.Expr = n, expr
	default:
		return fmt.Errorf("%q is none of json, yaml, table, text, raw, template=…, jq=…", v)
	}
	r.Whole = r.Whole || *f != FormatJSON
	return nil
}

// Request is what a command line asks for, once its endpoint is known.
type Request struct {
	Messages []Message
	// Stdin says that there are none yet: those of a client stream are to be read from
	// standard input, see [Request.Stream]. Named is that it was asked for.
	Stdin, Named bool
	In           BodyFormat
	Show         Shown
	As           string // a language, for ShowAs

	Timeout  time.Duration
	Headers  [][2]string
	Output   Format
	Expr     string // of FormatTemplate and FormatJQ
	Metadata bool   // tell how the call went
	Transport
	Sources Sources
	// Whole is set by options that only microd knows what to do with.
	Whole bool

	flags  []assignment
	values request.Values
	typed  []typedArg
}

// Inputs are where a request gets more from than the command line.
type Inputs struct {
	Stdin    io.Reader
	ReadFile func(name string) ([]byte, error)
	Now      func() time.Time
	// Getenv returns the value of an environment variable for ${NAME}. Nil makes that
	// the text that it is.
	Getenv func(name string) string
	// Decode yields the messages of a body in another format than JSON, with
	// [BodyAuto] in any. Nil leaves such a body to microd.
	Decode func(m wire.Message, f BodyFormat, r io.Reader) iter.Seq2[Message, error]
}

// maxBody bounds what is read from a file or standard input when nobody says.
const maxBody = 64 << 20

// MaxBody bounds what is read as a whole from a file or standard input. JSON has twice the
// room of the largest message that was asked for: bytes take more of it as text.
func (r *Request) MaxBody() int { return max(maxBody, 2*r.MaxSize) }

// option is a flag of the call itself. Fields of the message of the same name are
// given with a dot: --.output.
type option struct {
	name, short string
	value       string // what help calls it; empty for a switch
	help        string
	set         func(r *Request, value string) error
}

// options lists the flags of a call, in the order in which help shows them.
func options() []option {
	return slices.Concat(inputOptions(), outputOptions(), transportOptions(), connectOptions(), schemaOptions())
}

// optionNamed returns the option that a flag is, nil when it is a field.
func optionNamed(flag string) *option {
	for _, o := range options() {
		if flag == "--"+o.name || o.short != "" && flag == "-"+o.short {
			return &o
		}
	}
	return nil
}

// Options returns what the options of a command line say, as far as that has to be
// known before there is a schema. What is wrong with them is for [Invocation.Build] to
// say.
func (in Invocation) Options(getenv func(string) string) *Request {
	r := &Request{}
	for o, typed := range in.options() {
		value := typed.value
		if o.name == "header" {
			v, err := expand(value, getenv)
			if err != nil {
				continue // see above
			}
			value = v
		}
		_ = o.set(r, value) // see above
	}
	return r
}

// options yields the options of the command line with how they were typed, in order; one
// whose value is missing is none.
func (in Invocation) options() iter.Seq2[*option, typedArg] {
	return func(yield func(*option, typedArg) bool) {
		for args := in.args; len(args) > 0; {
			name, value, has := cutOption(args[0])
			args = args[1:]
			o := optionNamed(name)
			if o == nil || o.value != "" && !has && len(args) == 0 {
				continue
			}
			if o.value != "" && !has {
				value, has, args = args[0], true, args[1:]
			}
			if !yield(o, typedArg{flag: name, value: value, has: has}) {
				return
			}
		}
	}
}

// outputOptions say what is printed.
func outputOptions() []option {
	return []option{
		{"output", "o", "FORMAT", "json (one line), yaml, table, text, raw, template=… or jq=…", func(r *Request, v string) error {
			return r.Output.set(r, v)
		}},
		{"verbose", "v", "", "tell how the call went, to standard error: metadata, sizes, times", func(r *Request, _ string) error {
			r.Metadata, r.Whole = true, true
			return nil
		}},
	}
}

// transportOptions say how the call is made.
func transportOptions() []option {
	return []option{
		{"header", "H", "NAME:VALUE", "metadata to send; can be repeated", setHeader},
		{"timeout", "", "DURATION", "give up after so long, for example 5s", func(r *Request, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil || d <= 0 {
				return fmt.Errorf("%q is no duration, such as 5s or 1m30s", v)
			}
			r.Timeout = d
			return nil
		}},
	}
}

// setHeader adds metadata to a request.
func setHeader(r *Request, v string) error {
	name, value, ok := strings.Cut(v, ":")
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	switch {
	case !ok || !isMetadataKey(name):
		return fmt.Errorf("%q has not the form NAME:VALUE", v)
	case isReserved(name):
		return fmt.Errorf("%s is not for callers to set", name)
	case !isMetadataValue(name, value):
		return fmt.Errorf("the value of %s has characters that are not of ASCII; a name that ends with -bin may have any", name)
	}
	r.Headers = append(r.Headers, [2]string{name, value})
	return nil
}

// isMetadataKey reports whether something has the form of a metadata key.
func isMetadataKey(k string) bool {
	for _, c := range []byte(k) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return k != ""
}

// isReserved reports whether a metadata key belongs to HTTP/2, gRPC or micro.
func isReserved(k string) bool {
	switch k {
	case "connection", "content-length", "content-type", "host", "keep-alive", "proxy-connection", "te", "trailer",
		"transfer-encoding", "upgrade", "user-agent":
		return true
	default:
		return strings.HasPrefix(k, "grpc-") || strings.HasPrefix(k, "micro-")
	}
}

// isMetadataValue reports whether a key may have a value: printable ASCII, or anything
// when the key says so.
func isMetadataValue(k, v string) bool {
	return isBinary(k) || !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' })
}

// isBinary reports whether the values of a metadata key go as base64.
func isBinary(k string) bool { return strings.HasSuffix(k, "-bin") }
