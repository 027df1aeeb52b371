package front

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

// What a server says of a failed call beyond code and message is in the details of
// google.rpc.Status: any messages, of which ten are agreed upon. Everybody carries
// the schema of those (wire.OpenBuiltin), so that they are read without asking.

// Types finds a message type by its full name.
type Types func(name string) (wire.Message, bool)

// Builtin finds the messages of google.rpc and the well-known ones.
func Builtin(name string) (wire.Message, bool) {
	t, err := wire.OpenBuiltin()
	if err != nil {
		return wire.Message{}, false
	}
	return t.Message(name)
}

// Or finds in more where the first does not know; both may be nil.
func (t Types) Or(more Types) Types {
	return func(name string) (wire.Message, bool) {
		for _, find := range []Types{t, more} {
			if find == nil {
				continue
			}
			if m, ok := find(name); ok {
				return m, true
			}
		}
		return wire.Message{}, false
	}
}

// detail is one detail of a status.
type detail struct {
	name  string // of the type
	json  []byte // without @type; nil when nobody knows the type
	value []byte // in wire form
}

// MarshalJSON writes the detail as an Any; that of an unknown type in base64.
func (d detail) MarshalJSON() ([]byte, error) {
	if d.json == nil {
		return json.Marshal(struct {
			Type  string `json:"@type"`
			Value []byte `json:"value"`
		}{"type.googleapis.com/" + d.name, d.value})
	}
	name, err := json.Marshal("type.googleapis.com/" + d.name)
	if err != nil {
		return nil, err
	}
	out := append([]byte(`{"@type":`), name...)
	body := d.json
	switch {
	case len(body) < 2 || body[0] != '{':
		out = append(append(out, `,"value":`...), body...)
		return append(out, '}'), nil
	case len(body) > 2:
		out = append(out, ',')
	}
	return append(out, body[1:]...), nil
}

// Said is what a server says of a failed call besides code and message.
type Said struct {
	details   []detail
	lines     []string // for people
	localized string   // the message that is meant for them
	fields    []Violation
}

// Violation is what is wrong with a field of a request, by the name that leads to it
// as flags have it, or the server's own name for it.
type Violation struct{ Field, Text string }

// Lines returns what a person is told of the details.
func (s *Said) Lines() []string { return s.lines }

// Localized returns the message that is meant for people, empty when there is none.
func (s *Said) Localized() string { return s.localized }

// Violations returns what is wrong with single fields; the lines have that too.
func (s *Said) Violations() []Violation { return s.fields }

// readSaid returns nil when the status has no details.
func readSaid(s Status) *Said {
	details := readDetails(s.Details, s.Types)
	if len(details) == 0 {
		return nil
	}
	said := &Said{details: details, lines: detailLines(details, s), localized: localizedMessage(details)}
	for _, d := range details {
		if d.name == "google.rpc.BadRequest" {
			for _, v := range d.violations() {
				if name, ok := flagPath(s.Input, v.Field); ok {
					v.Field = name
				}
				said.fields = append(said.fields, v)
			}
		}
	}
	return said
}

// maxDetails bounds how many details are shown.
const maxDetails = 100

// readDetails reads the details out of a google.rpc.Status in wire form. What is
// damaged ends them.
func readDetails(status []byte, types Types) []detail {
	find := types.Or(Builtin)
	var out []detail
	for number, v := range fieldsOf(status) {
		if number != 3 || v == nil || len(out) == maxDetails {
			continue
		}
		var d detail
		for number, v := range fieldsOf(v) {
			switch {
			case number == 1 && v != nil:
				d.name = string(v[strings.LastIndexByte(string(v), '/')+1:])
			case number == 2 && v != nil:
				d.value = v
			}
		}
		if m, ok := find(d.name); ok {
			if b, err := m.AppendJSON(nil, d.value, wire.EncodeOptions{AllowPartial: true, Resolve: find}); err == nil {
				d.json = b
			}
		}
		out = append(out, d)
	}
	return out
}

// fieldsOf yields the fields of a message in wire form, by their numbers; the value
// is nil for those that are numbers. It ends where the form is broken.
func fieldsOf(b []byte) func(yield func(number uint64, value []byte) bool) {
	return func(yield func(uint64, []byte) bool) {
		for len(b) > 0 {
			tag, n := binary.Uvarint(b)
			if n <= 0 {
				return
			}
			b = b[n:]
			var value []byte
			switch tag & 7 {
			case 0:
				_, n = binary.Uvarint(b)
			case 1:
				n = 8
			case 2:
				var size uint64
				if size, n = binary.Uvarint(b); n <= 0 || size > uint64(len(b)-n) {
					return
				}
				value = b[n : n+int(size) : n+int(size)]
				n += int(size)
			case 5:
				n = 4
			default:
				return
			}
			if n <= 0 || n > len(b) || !yield(tag>>3, value) {
				return
			}
			b = b[n:]
		}
	}
}

// The details that are agreed upon, as they are in JSON.
type (
	localized struct {
		Message string `json:"message"`
	}
	badRequest struct {
		Violations []struct {
			Field       string    `json:"field"`
			Description string    `json:"description"`
			Reason      string    `json:"reason"`
			Localized   localized `json:"localizedMessage"`
		} `json:"fieldViolations"`
	}
	retryInfo struct {
		Delay string `json:"retryDelay"`
	}
	quotaFailure struct {
		Violations []struct {
			Subject     string            `json:"subject"`
			Description string            `json:"description"`
			Service     string            `json:"apiService"`
			Metric      string            `json:"quotaMetric"`
			ID          string            `json:"quotaId"`
			Dimensions  map[string]string `json:"quotaDimensions"`
			Value       string            `json:"quotaValue"`
			Future      string            `json:"futureQuotaValue"`
		} `json:"violations"`
	}
	preconditionFailure struct {
		Violations []struct {
			Type        string `json:"type"`
			Subject     string `json:"subject"`
			Description string `json:"description"`
		} `json:"violations"`
	}
	helpLinks struct {
		Links []struct {
			Description string `json:"description"`
			URL         string `json:"url"`
		} `json:"links"`
	}
	errorInfo struct {
		Reason   string            `json:"reason"`
		Domain   string            `json:"domain"`
		Metadata map[string]string `json:"metadata"`
	}
	debugInfo struct {
		Stack  []string `json:"stackEntries"`
		Detail string   `json:"detail"`
	}
	requestInfo struct {
		ID   string `json:"requestId"`
		Data string `json:"servingData"`
	}
	resourceInfo struct {
		Type        string `json:"resourceType"`
		Name        string `json:"resourceName"`
		Owner       string `json:"owner"`
		Description string `json:"description"`
	}
)

// detailLines returns what a person is told of the details.
func detailLines(details []detail, s Status) []string {
	var lines []string
	for _, d := range details {
		lines = append(lines, d.lines(s)...)
	}
	return lines
}

func (d detail) lines(s Status) []string {
	if d.json == nil {
		return []string{d.name + " " + base64.StdEncoding.EncodeToString(d.value)}
	}
	switch d.name {
	case "google.rpc.BadRequest":
		return d.badRequest(s)
	case "google.rpc.RetryInfo":
		if delay, ok := d.retryDelay(); ok {
			return []string{"try again in " + delay.String()}
		}
		return nil
	case "google.rpc.QuotaFailure":
		return d.quotaFailure()
	case "google.rpc.PreconditionFailure":
		var v preconditionFailure
		d.into(&v)
		return linesOf(v.Violations, func(i int) string {
			return colon(words(v.Violations[i].Type, v.Violations[i].Subject), v.Violations[i].Description)
		})
	case "google.rpc.Help":
		var v helpLinks
		d.into(&v)
		return linesOf(v.Links, func(i int) string { return colon(v.Links[i].Description, v.Links[i].URL) })
	case "google.rpc.ErrorInfo":
		var v errorInfo
		d.into(&v)
		if v.Domain == "micro" {
			return nil // the message and the hint are made of it
		}
		return []string{words("reason:", v.Reason, inParentheses(v.Domain), pairs(v.Metadata))}
	case "google.rpc.RequestInfo":
		var v requestInfo
		d.into(&v)
		if s.Verbose && v.Data != "" {
			return []string{"request: " + v.ID, "serving data: " + v.Data}
		}
		return []string{"request: " + v.ID}
	case "google.rpc.ResourceInfo":
		var v resourceInfo
		d.into(&v)
		owner := v.Owner
		if owner != "" {
			owner = "(owner " + owner + ")"
		}
		return []string{colon(words(v.Type, v.Name, owner), v.Description)}
	case "google.rpc.LocalizedMessage":
		return nil // it is the message
	case "google.rpc.DebugInfo":
		var v debugInfo
		d.into(&v)
		if !s.Verbose {
			return nil
		}
		return append([]string{"debug: " + v.Detail}, v.Stack...)
	default:
		return []string{d.name + " " + string(d.json)}
	}
}

func (d detail) badRequest(s Status) []string {
	fields := d.violations()
	return linesOf(fields, func(i int) string {
		name := fields[i].Field
		if path, ok := flagPath(s.Input, name); ok {
			name = flagName(path)
		}
		return colon(name, fields[i].Text)
	})
}

// violations returns what a BadRequest says of single fields, which have the names that
// the server gives them.
func (d detail) violations() []Violation {
	var v badRequest
	d.into(&v)
	var all []Violation
	for _, f := range v.Violations {
		one := Violation{f.Field, f.Description}
		if f.Localized.Message != "" {
			one.Text = f.Localized.Message
		}
		if one.Text == "" {
			one.Text = f.Reason
		}
		all = append(all, one)
	}
	return all
}

// flagPath is [request.FlagPath] for what need not be known.
func flagPath(m wire.Message, path string) (string, bool) {
	if !m.IsValid() {
		return "", false
	}
	return request.FlagPath(m, path)
}

func (d detail) quotaFailure() []string {
	var v quotaFailure
	d.into(&v)
	return linesOf(v.Violations, func(i int) string {
		q := v.Violations[i]
		limit := q.Value
		if limit != "" {
			limit = "limit " + limit
		}
		if q.Future != "" {
			limit = words(limit, "(soon "+q.Future+")")
		}
		text := words(q.Description, inParentheses(words(q.Service, q.Metric, q.ID, pairs(q.Dimensions), limit)))
		return colon(words("quota", q.Subject), text)
	})
}

// retryDelay returns how long a RetryInfo says to wait.
func (d detail) retryDelay() (time.Duration, bool) {
	var v retryInfo
	d.into(&v)
	delay, err := time.ParseDuration(v.Delay)
	return delay, err == nil && delay >= 0
}

// into reads the JSON of a detail; what does not fit stays empty.
func (d detail) into(v any) { _ = json.Unmarshal(d.json, v) }

// RetryDelay returns how long a server asks to wait before the call is made again,
// by its status in wire form; false when it does not say.
func RetryDelay(status []byte) (time.Duration, bool) {
	for _, d := range readDetails(status, nil) {
		if d.name == "google.rpc.RetryInfo" && d.json != nil {
			return d.retryDelay()
		}
	}
	return 0, false
}

// localizedMessage returns the message that is meant for people, empty when there is
// none.
func localizedMessage(details []detail) string {
	for _, d := range details {
		if d.name == "google.rpc.LocalizedMessage" && d.json != nil {
			var v localized
			d.into(&v)
			return v.Message
		}
	}
	return ""
}

// FlagOf returns the flag of a field that a server names by its path, such as
// address.city, items[0].name or items.0.name, empty when the message has no such
// field.
func FlagOf(m wire.Message, path string) string {
	name, ok := request.FlagPath(m, path)
	if !ok {
		return ""
	}
	return flagName(name)
}

func linesOf[T any](list []T, line func(i int) string) []string {
	var out []string
	for i := range list {
		out = append(out, line(i))
	}
	return out
}

// words joins what is not empty.
func words(s ...string) string {
	return strings.Join(slices.DeleteFunc(s, func(w string) bool { return w == "" }), " ")
}

// colon returns what something is about and what is said of it.
func colon(about, said string) string {
	switch {
	case about == "":
		return said
	case said == "":
		return about
	default:
		return about + ": " + said
	}
}

func inParentheses(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

// pairs returns the entries of a map in the order of their keys.
func pairs(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s=%s", k, m[k]))
	}
	return strings.Join(out, " ")
}
