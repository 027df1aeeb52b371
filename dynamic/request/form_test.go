package request

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/dynamic/wire"
)

// newTestForm returns the form of the message with everything.
func newTestForm(tb testing.TB, text string) *Form {
	tb.Helper()
	m, _ := compile(tb, everything).Message("test.v1.All")
	var body []byte
	if text != "" {
		body = []byte(text)
	}
	f, err := NewForm(m, body)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// row returns the row of a flag, which has to be there.
func (f *Form) row(flag string) Row {
	rows := f.Rows()
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Flag == flag || r.Kind == OneofRow && r.Label == flag })
	if i < 0 {
		panic(fmt.Sprintf("no row %s of %s", flag, f.JSON()))
	}
	return rows[i]
}

func TestFormEdits(t *testing.T) {
	t.Parallel()
	set := func(flag, value string) func(*Form) error {
		return func(f *Form) error { return f.Set(f.row(flag), value, given()) }
	}
	zero := func(flag string) func(*Form) error {
		return func(f *Form) error { return f.SetZero(f.row(flag)) }
	}
	unset := func(flag string) func(*Form) error {
		return func(f *Form) error { f.Unset(f.row(flag)); return nil }
	}
	open := func(flag string) func(*Form) error {
		return func(f *Form) error { f.SetOpen(f.row(flag), true); return nil }
	}
	add := func(flag, key, value string) func(*Form) error {
		return func(f *Form) error {
			e, err := f.Element(f.row(flag), key)
			if err != nil {
				return err
			}
			if value == "" {
				return f.SetZero(e)
			}
			return f.Set(e, value, given())
		}
	}
	choose := func(flag, member string) func(*Form) error {
		return func(f *Form) error {
			r := f.row(flag)
			for m := range r.Oneof.Fields() {
				if m.Name() == member {
					return f.Choose(r, m)
				}
			}
			return fmt.Errorf("no member %s", member)
		}
	}
	for _, test := range []struct {
		name, body string
		do         []func(*Form) error
		want       string
	}{
		{"nothing", "", nil, `{}`},
		{"a value", "", []func(*Form) error{set("text", "x")}, `{"text":"x"}`},
		{"text that other types would take for nothing", "", []func(*Form) error{set("text", "null")}, `{"text":"null"}`},
		{"set and unset", `{"text":"x","i32":1}`, []func(*Form) error{unset("text")}, `{"i32":1}`},
		{"by the name of the schema", `{"home_address":{"city":"x"}}`, []func(*Form) error{set("home_address.city", "y"), unset("home_address.city")}, `{"home_address":{}}`},
		{"present and empty", "", []func(*Form) error{zero("nickname"), zero("home_address"), zero("at"), zero("w_int"), zero("object"), zero("list"), zero("value"), zero("color"), zero("mask")}, `{"nickname":"","homeAddress":{},"at":"1970-01-01T00:00:00Z","wInt":"0","object":{},"list":[],"value":null,"color":"COLOR_UNSPECIFIED","mask":""}`},
		{"below what is not set", "", []func(*Form) error{open("all"), open("all.all"), set("all.all.text", "deep")}, `{"all":{"all":{"text":"deep"}}}`},
		{"elements", "", []func(*Form) error{add("tags", "", "a,b"), add("tags", "", ""), add("stops", "", ""), set("stops.0.city", "x"), add("times", "", "now")}, `{"tags":["a,b",""],"stops":[{"city":"x"}],"times":["2026-02-03T04:05:06.007Z"]}`},
		{"an element less", `{"tags":["a","b","c"]}`, []func(*Form) error{unset("tags.1")}, `{"tags":["a","c"]}`},
		{"entries", "", []func(*Form) error{add("labels", "a.b\"c", "x"), add("numbers", "0x10", ""), add("switches", "TRUE", "red"), add("places", "p", ""), set("places.p.city", "y")}, `{"labels":{"a.b\"c":"x"},"numbers":{"16":"0"},"switches":{"true":"COLOR_RED"},"places":{"p":{"city":"y"}}}`},
		{"an entry changed and one less", `{"labels":{"a.b":"1","c":"2"}}`, []func(*Form) error{set(`labels."a.b"`, "3"), unset("labels.c")}, `{"labels":{"a.b":"3"}}`},
		{"of a oneof", "", []func(*Form) error{choose("payment", "card_number")}, `{"cardNumber":""}`},
		{"another of a oneof", `{"cardNumber":"1"}`, []func(*Form) error{choose("payment", "invoice"), set("invoice.city", "x")}, `{"invoice":{"city":"x"}}`},
		{"null of a oneof", `{"cardNumber":"1"}`, []func(*Form) error{choose("payment", "nothing")}, `{"nothing":null}`},
		{"none of a oneof", `{"card_number":"1","text":"x"}`, []func(*Form) error{unset("payment")}, `{"text":"x"}`},
		{"two of a oneof made one", `{"cardNumber":"1","invoice":{}}`, []func(*Form) error{set("card_number", "2")}, `{"cardNumber":"2"}`},
		{"JSON", "", []func(*Form) error{set("object", `{"a":[1]}`), set("any", `{"@type":"x"}`), set("value", `text`)}, `{"object":{"a":[1]},"any":{"@type":"x"},"value":"text"}`},
		{"a file", "", []func(*Form) error{set("data", "@b.bin"), add("blobs", "", "hex:00")}, `{"data":"AP8=","blobs":["AA=="]}`},
		{"what is no field", `{"nofield":1,"text":"x"}`, []func(*Form) error{unset("nofield")}, `{"text":"x"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newTestForm(t, test.body)
			for _, do := range test.do {
				if err := do(f); err != nil {
					t.Fatal(err)
				}
			}
			if got := string(f.JSON()); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// What cannot be is refused, and changes nothing.
func TestFormErrors(t *testing.T) {
	t.Parallel()
	f := newTestForm(t, `{"text":"x"}`)
	for flag, value := range map[string]string{"i32": "many", "flag": "perhaps", "color": "pink", "at": "soon", "every": "long", "object": "[1]", "any": "{", "data": "hex:z"} {
		if err := f.Set(f.row(flag), value, given()); err == nil {
			t.Errorf("%s=%s is taken: %s", flag, value, f.JSON())
		}
	}
	for _, text := range []string{"", "[]", `{"a":`, `{"a":1}{}`} {
		if err := f.SetJSON([]byte(text)); err == nil {
			t.Errorf("%q is taken: %s", text, f.JSON())
		}
	}
	if _, err := f.Element(f.row("numbers"), "x"); err == nil {
		t.Error("a key that is no number is taken")
	}
	if got := string(f.JSON()); got != `{"text":"x"}` {
		t.Errorf("it is %s", got)
	}
}

// What is wrong is said of the row where it is.
func TestFormProblem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"text":"x"}`:                           "",
		`{"i32":"x"}`:                            "i32",
		`{"homeAddress":{"streetName":1}}`:       "home_address.street_name",
		`{"stops":[{},{"city":true}]}`:           "stops.1.city",
		`{"labels":{"a.b":1}}`:                   `labels."a.b"`,
		`{"places":{"city":{"city":1}}}`:         "places.city.city",
		`{"switches":{"true":"PINK"}}`:           "switches.true",
		`{"at":"soon"}`:                          "at",
		`{"nofield":1}`:                          "nofield",
		`{"homeAddress":{"nofield":1}}`:          "home_address.nofield",
		`{"all":{"all":{"colors":["RED"]}}}`:     "all.all.colors.0",
		`{"cardNumber":"1","invoice":{}}`:        "invoice",
		`{"w_int":"x"}`:                          "w_int",
		`{"tags":{}}`:                            "tags",
		`{"any":{"@type":"nobody/knows.It"}}`:    "any.@type",
		`{"numbers":{"x":"1"}}`:                  "numbers.x",
		`{"stops":[{"extra":{"k":{}}}],"i32":1}`: "stops.0.extra.k",
	} {
		f := newTestForm(t, text)
		flag, err := f.Problem()
		if (err == nil) != (want == "") || flag != want {
			t.Errorf("%s: at %q: %v, want it at %q", text, flag, err, want)
		}
		rows := f.Rows()
		if at := RowOf(rows, flag); want != "" && (at < 0 || rows[at].Flag != strings.TrimSuffix(want, ".@type")) {
			t.Errorf("%s: the row is %d", text, at)
		}
	}
}

// The rows of a message as people see them.
func TestFormRows(t *testing.T) {
	t.Parallel()
	f := newTestForm(t, `{"text":"a\nb","data":"YWI=","blobs":["AP8=","QHg="],"i64":"9007199254740993","home_address":{"city":"Oslo"},"tags":["x"],"labels":{"k":"v"},"invoice":{},"wText":"w","wFlag":true,"at":"2026-01-02T03:04:05Z","object":{"a":1},"none":null,"extra":{}}`)
	var got []string
	for _, r := range f.Rows() {
		if r.IsSet {
			got = append(got, fmt.Sprintf("%s%s %d %q", strings.Repeat("  ", r.Depth), r.Label, r.Kind, r.Value))
		}
	}
	want := []string{
		`text 0 "a\nb"`, `data 0 "ab"`, `i64 0 "9007199254740993"`,
		`home_address 4 ""`, `  city 0 "Oslo"`, `tags 5 ""`, `  0 0 "x"`, `blobs 5 ""`, `  0 0 "base64:AP8="`, `  1 0 "base64:QHg="`, `labels 6 ""`, `  k 0 "v"`,
		`payment 7 "invoice"`, `  invoice 4 ""`, `at 0 "2026-01-02T03:04:05Z"`, `object 3 "{\"a\":1}"`, `w_text 0 "w"`, `w_flag 1 "true"`, `none 2 "null"`, `extra 8 "{}"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A request that is no message with fields is one row.
func TestFormOfOneValue(t *testing.T) {
	t.Parallel()
	table := compile(t, everything)
	for name, value := range map[string]string{
		"google.protobuf.Timestamp": "now", "google.protobuf.Duration": "90s", "google.protobuf.StringValue": "x", "google.protobuf.BoolValue": "true",
		"google.protobuf.Struct": `{"a":1}`, "google.protobuf.Value": "[1]", "google.protobuf.ListValue": "[1]", "google.protobuf.FieldMask": "a,b", "google.protobuf.Any": "{}",
	} {
		m, ok := table.Message(name)
		if !ok {
			t.Fatal(name)
		}
		f, err := NewForm(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows := f.Rows()
		if _, err := f.Problem(); err != nil || len(rows) != 1 {
			t.Errorf("%s: %d rows of %s: %v", name, len(rows), f.JSON(), err)
		}
		if err := f.Set(rows[0], value, given()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.Problem(); err != nil {
			t.Errorf("%s: %s: %v", name, f.JSON(), err)
		}
		if err := f.SetZero(f.Rows()[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		f.Unset(f.Rows()[0])
	}
}

// Whatever is done to a form, it is JSON, and what a row says that it has can be set
// again.
func FuzzForm(f *testing.F) {
	f.Add([]byte("\x00a\x01b\x02c\x03d\x04e\x05f\x06g"), `{"stops":[{"city":"x"}],"labels":{"a.b":"c"}}`)
	f.Add([]byte{0x44, 30, 0x45, 31, 0x43, 12}, `{"cardNumber":"1","invoice":{},"nofield":[{}]}`)
	f.Add([]byte{0x02, 3}, `{"a":{"a":{"a":{"tags":[null,1,{}]}}},"labels":[],"tags":{},"data":"!"}`)
	f.Fuzz(func(t *testing.T, steps []byte, text string) {
		form := newTestForm(t, "")
		_ = form.SetJSON([]byte(text)) // it need not be any
		for i := 0; i+1 < len(steps) && i < 64; i += 2 {
			rows := form.Rows()
			randomStep(form, rows[int(steps[i+1])%len(rows)], steps[i], text)
			checkForm(t, form)
		}
	})
}

// randomStep does something to a row.
func randomStep(f *Form, r Row, what byte, text string) {
	switch what % 7 {
	case 0:
		_ = f.Set(r, text, given()) // it need not be taken
	case 1:
		if r.Kind != UnknownRow && r.Kind != MoreRow && r.Kind != OneofRow {
			_ = f.SetZero(r)
		}
	case 2:
		f.Unset(r)
	case 3:
		f.SetOpen(r, !r.Open)
	case 4:
		if r.Kind != OneofRow {
			return
		}
		for m := range r.Oneof.Fields() {
			_ = f.Choose(r, m)
		}
	case 5:
		if r.Kind == ListRow || r.Kind == MapRow {
			if e, err := f.Element(r, text); err == nil {
				_ = f.SetZero(e)
			}
		}
	default:
		_ = f.SetJSON([]byte(text))
	}
}

func checkForm(t *testing.T, f *Form) {
	t.Helper()
	before := f.JSON()
	if !json.Valid(before) {
		t.Fatalf("it is no JSON: %q", before)
	}
	if _, err := f.Problem(); err != nil {
		return
	}
	for _, r := range f.Rows() {
		switch r.Kind {
		case ValueRow, SwitchRow, EnumRow, JSONRow:
		default:
			continue
		}
		if !r.IsSet {
			continue
		}
		if err := f.Set(r, r.Value, given()); err != nil {
			t.Fatalf("%s of %s cannot be set to %q: %v", r.Flag, before, r.Value, err)
		}
	}
	if same, want := wireOf(t, f.m, f.JSON()), wireOf(t, f.m, before); same != want {
		t.Fatalf("it was %s and is %s", before, f.JSON())
	}
}

func wireOf(t *testing.T, m wire.Message, text []byte) string {
	t.Helper()
	b, err := m.AppendWire(nil, text, wire.DecodeOptions{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	out, err := m.AppendJSON(nil, b, wire.EncodeOptions{})
	if err != nil {
		return string(b)
	}
	return string(out)
}
