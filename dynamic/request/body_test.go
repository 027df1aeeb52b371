package request

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/dynamic/wire"
)

// everything has a field for each way to name one and each kind of value.
const everything = `
syntax = "proto3";
package test.v1;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

message All {
  string text = 1;
  bytes data = 2;
  bool flag = 3;
  int32 i32 = 4;
  int64 i64 = 5;
  uint32 u32 = 6;
  uint64 u64 = 7;
  sint32 s32 = 8;
  sfixed64 sf64 = 9;
  fixed32 f32 = 10;
  float small = 11;
  double big = 12;
  Color color = 13;

  Address home_address = 20;
  repeated Address stops = 21;
  repeated string tags = 22;
  repeated int32 counts = 23;
  repeated bytes blobs = 24;
  repeated Color colors = 25;
  repeated google.protobuf.Timestamp times = 26;
  repeated google.protobuf.Struct objects = 27;
  repeated google.protobuf.Value values = 28;

  map<string, string> labels = 30;
  map<int32, int64> numbers = 31;
  map<bool, Color> switches = 32;
  map<string, Address> places = 33;
  map<string, google.protobuf.Struct> notes = 34;

  oneof payment {
    string card_number = 40;
    Address invoice = 41;
    google.protobuf.NullValue nothing = 42;
    google.protobuf.Value whatever = 43;
  }
  optional string nickname = 45;

  google.protobuf.Timestamp at = 50;
  google.protobuf.Duration every = 51;
  google.protobuf.FieldMask mask = 52;
  google.protobuf.Struct object = 53;
  google.protobuf.Value value = 54;
  google.protobuf.ListValue list = 55;
  google.protobuf.Empty empty = 56;
  google.protobuf.Any any = 57;
  google.protobuf.StringValue w_text = 58;
  google.protobuf.Int64Value w_int = 59;
  google.protobuf.BytesValue w_data = 60;
  google.protobuf.BoolValue w_flag = 61;
  google.protobuf.NullValue none = 62;

  All all = 70;
  string foobar = 71;
  string foo_bar = 72;
  string renamed = 73 [json_name = "otherName"];
  string output = 74;
  All a = 75;
  All aa = 76 [json_name = "doubleA"];
}

message Address {
  string street_name = 1;
  string city = 2;
  map<string, string> extra = 3;
  Address next = 4;
  repeated string lines = 5;
}

enum Color {
  COLOR_UNSPECIFIED = 0;
  COLOR_RED = 1;
  COLOR_DARK_BLUE = 2;
  PLAIN = -3;
}
`

// clock is when the tests run.
var clock = time.Date(2026, 2, 3, 4, 5, 6, 7_000_000, time.UTC)

// given are values as a command line has them.
func given() Values {
	files := map[string]string{"a.json": `{"city":"Oslo"}`, "b.bin": "\x00\xff"}
	return Values{
		Now: func() time.Time { return clock },
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		},
	}
}

// set sets NAME=VALUE flags over a body, nothing when that is empty, and returns
// the JSON.
func set(m wire.Message, over string, flags []string, v Values) (string, error) {
	b := NewBody()
	if over != "" {
		var err error
		if b, err = ParseBody([]byte(over)); err != nil {
			return "", err
		}
	}
	for _, f := range flags {
		name, value, _ := strings.Cut(f, "=")
		if err := b.Set(m, name, value, v); err != nil {
			return "", err
		}
	}
	return string(b.JSON()), nil
}

type setTest struct {
	name  string
	body  string
	flags []string
	want  string // JSON; what it must say when it fails
}

// testSet runs tests on what can be set, whose JSON must be a message.
func testSet(t *testing.T, tests []setTest) {
	t.Helper()
	table := compile(t, everything)
	m, _ := table.Message("test.v1.All")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := set(m, test.body, test.flags, given())
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("%q:\ngot  %s\nwant %s", test.flags, got, test.want)
			}
			if _, err := m.AppendWire(nil, []byte(got), wire.DecodeOptions{}); err != nil {
				t.Errorf("%s is no message: %v", got, err)
			}
		})
	}
}

// testSetErrors runs tests on what cannot.
func testSetErrors(t *testing.T, tests []setTest) {
	t.Helper()
	table := compile(t, everything)
	m, _ := table.Message("test.v1.All")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := set(m, test.body, test.flags, given())
			if err == nil {
				t.Fatalf("%q: got %s, want an error", test.flags, got)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q:\ngot  %v\nwant …%s…", test.flags, err, test.want)
			}
		})
	}
}

func TestFieldPaths(t *testing.T) {
	t.Parallel()
	testSet(t, []setTest{
		{"nothing", ``, nil, `{}`},
		{"a field", ``, []string{"text=x"}, `{"text":"x"}`},
		{"in capitals", ``, []string{"TEXT=x"}, `{"text":"x"}`},
		{"with a dot for a field like an option", ``, []string{".output=x"}, `{"output":"x"}`},
		{"the last counts", ``, []string{"text=x", "text=y"}, `{"text":"y"}`},
		{"in the order of the flags", ``, []string{"u32=1", "text=x", "i32=2"}, `{"u32":"1","text":"x","i32":"2"}`},
		{"a json_name", ``, []string{"otherName=x"}, `{"otherName":"x"}`},
		{"a json_name with hyphens", ``, []string{"other-name=x"}, `{"otherName":"x"}`},
		{"the name of what has a json_name", ``, []string{"renamed=x"}, `{"otherName":"x"}`},
		{"two alike, exactly", ``, []string{"foobar=x", "foo_bar=y"}, `{"foobar":"x","fooBar":"y"}`},
		{"below, with a dot", ``, []string{"home_address.city=x"}, `{"homeAddress":{"city":"x"}}`},
		{"below, camel", ``, []string{"homeAddress.streetName=x"}, `{"homeAddress":{"streetName":"x"}}`},
		{"below, with hyphens alone", ``, []string{"home-address-street-name=x"}, `{"homeAddress":{"streetName":"x"}}`},
		{"below, with underscores alone", ``, []string{"home_address_street_name=x"}, `{"homeAddress":{"streetName":"x"}}`},
		{"below, mixed", ``, []string{"home-address.next-next_city=x"}, `{"homeAddress":{"next":{"next":{"city":"x"}}}}`},
		{"two below the same", ``, []string{"home-address-city=x", "home_address.street-name=y"}, `{"homeAddress":{"city":"x","streetName":"y"}}`},
		{"the longer name first", ``, []string{"aa-text=x"}, `{"doubleA":{"text":"x"}}`},
		{"hyphens within a name and behind it", ``, []string{"a-a-text=x"}, `{"doubleA":{"text":"x"}}`},
		{"any number of hyphens", ``, []string{strings.Repeat("a-", 3) + "text=x"}, `{"doubleA":{"a":{"text":"x"}}}`},
		{"an element", ``, []string{"stops.0.city=x"}, `{"stops":[{"city":"x"}]}`},
		{"an element with hyphens", ``, []string{"stops-0-street-name=x", "stops.1_city=y", "tags-0=z"}, `{"stops":[{"streetName":"x"},{"city":"y"}],"tags":["z"]}`},
		{"elements in any order", ``, []string{"stops.2.city=c", "stops.0.city=a"}, `{"stops":[{"city":"a"},{},{"city":"c"}]}`},
		{"elements of a scalar list in any order", ``, []string{"tags.1=b", "tags.0=a"}, `{"tags":["a","b"]}`},
		{"an element of a list in an element", ``, []string{"stops.0.lines.0=x"}, `{"stops":[{"lines":["x"]}]}`},
		{"an entry", ``, []string{"labels.env=dev"}, `{"labels":{"env":"dev"}}`},
		{"an entry behind a hyphen", ``, []string{"labels-env-name=dev"}, `{"labels":{"env-name":"dev"}}`},
		{"an entry with dots in its key", ``, []string{`labels."a.b/c.d"=x`}, `{"labels":{"a.b/c.d":"x"}}`},
		{"an entry with an empty key", ``, []string{"labels.=x"}, `{"labels":{"":"x"}}`},
		{"an entry with a number", ``, []string{"numbers.007=0x10"}, `{"numbers":{"7":"16"}}`},
		{"an entry with a boolean", ``, []string{"switches.TRUE=red"}, `{"switches":{"true":"COLOR_RED"}}`},
		{"a field of an entry", ``, []string{`places."x.y".city=z`, `places."x.y".extra.k=v`}, `{"places":{"x.y":{"city":"z","extra":{"k":"v"}}}}`},
		{"within a Struct", ``, []string{"object.a.b=1", `object.a."c.d"=[true]`, "object.e=text"}, `{"object":{"a":{"b":1,"c.d":[true]},"e":"text"}}`},
		{"within a Struct behind a hyphen", ``, []string{"object-a=1"}, `{"object":{"a":1}}`},
		{"within a Struct in a map", ``, []string{"notes.k.a=1"}, `{"notes":{"k":{"a":1}}}`},
		{"within a Struct in a list", ``, []string{"objects.1.a=1"}, `{"objects":[{},{"a":1}]}`},
		{"within a Value", ``, []string{"value.a=null"}, `{"value":{"a":null}}`},
		{"the value of a wrapper", ``, []string{"w_text.value=x"}, `{"wText":"x"}`},
	})
	testSetErrors(t, []setTest{
		{"no such field", ``, []string{"txet=x"}, `All has no field "txet"`},
		{"no name", ``, []string{"=x"}, `All has no field ""`},
		{"two alike", ``, []string{"foo-bar=x"}, `All has no field "foo-bar"; it could be foobar or foo_bar`},
		{"no such field below", ``, []string{"home_address.town=x"}, `Address has no field "town"`},
		{"no such field behind a hyphen", ``, []string{"home-address-town=x"}, `All has no field "home-address-town"`},
		{"below a scalar", ``, []string{"text.x=y"}, "text is of type string and has no fields"},
		{"below a scalar of a list", ``, []string{"tags.0.x=y"}, "the elements of tags have no fields"},
		{"below a scalar of a map", ``, []string{"labels.a.b=y"}, "the values of labels have no fields"},
		{"a list without a number", ``, []string{"stops.city=x"}, `stops is a list: an element is named by its number, from 0, and not "city"`},
		{"a negative element", ``, []string{"tags.-1=x"}, `tags is a list`},
		{"an element with a sign", ``, []string{"tags.+1=x"}, `tags is a list`},
		{"an element far behind", ``, []string{"stops.10001.city=x"}, "the element 10001 is too far behind the last one"},
		{"many elements not so far behind", ``, []string{"stops.9000.city=x", "tags.9000=x"}, "the element 9000 is too far behind the last one"},
		{"an element beyond all numbers", ``, []string{"tags.99999999999999999999=x"}, "tags is a list"},
		{"an entry with a wrong number", ``, []string{"numbers.x=1"}, `the key "x": "x" is no whole number (int32)`},
		{"an entry with a wrong boolean", ``, []string{"switches.maybe=red"}, `the key "maybe": "maybe" is no boolean`},
		{"a quote that stays open", ``, []string{`labels."a.b=x`}, `the name has a " that nothing closes`},
		{"a name that is no text", ``, []string{"labels.\xff=x"}, "the name is no UTF-8 text"},
		{"below a Timestamp", ``, []string{"at.seconds=5"}, `a google.protobuf.Timestamp is one value; it has no "seconds"`},
		{"below an Any", ``, []string{"any.value=5"}, `a google.protobuf.Any is one value; it has no "value"`},
		{"below an Empty", ``, []string{"empty.x=5"}, `Empty has no field "x"`},
		{"below a wrapper", ``, []string{"w_text.x=5"}, `a google.protobuf.StringValue is one value; it has no "x"`},
		{"deep with dots", ``, []string{strings.Repeat("all.", 1000) + "text=x"}, "the name is more than 1000 levels deep"},
		{"deep with dots and hyphens", ``, []string{strings.Repeat("all-all-all-all.", 400) + "text=x"}, "the name is more than 1000 levels deep"},
		{"deep in a Struct", ``, []string{"object" + strings.Repeat(".a", 5000) + "=1"}, "the name is more than 1000 levels deep"},
		{"long with hyphens", ``, []string{strings.Repeat("a-", 1_000_000) + "x=1"}, "All has no field"},
		{"any number of ways with hyphens", ``, []string{strings.Repeat("a-", 120) + "x=1"}, "All has no field"},
	})
}

func TestOneof(t *testing.T) {
	t.Parallel()
	testSet(t, []setTest{
		{"the same twice", ``, []string{"card-number=1", "card-number=2"}, `{"cardNumber":"2"}`},
		{"two fields of the same", ``, []string{"invoice.city=1", "invoice.street-name=2"}, `{"invoice":{"city":"1","streetName":"2"}}`},
		{"one, and another not", ``, []string{"card-number=1", "invoice=null"}, `{"cardNumber":"1"}`},
		{"not one, and another", ``, []string{"invoice=null", "card-number=1"}, `{"cardNumber":"1"}`},
		{"instead of null in a body", `{"invoice":null}`, []string{"card-number=1"}, `{"invoice":null,"cardNumber":"1"}`},
		{"null that is a value", ``, []string{"nothing=null"}, `{"nothing":null}`},
		{"null of any type", ``, []string{"whatever=null"}, `{"whatever":null}`},
		{"optional is none", ``, []string{"nickname=x", "card-number=1"}, `{"nickname":"x","cardNumber":"1"}`},
	})
	testSetErrors(t, []setTest{
		{"two", ``, []string{"card-number=1", "invoice.city=x"}, "only one of payment can be set: card_number is set already"},
		{"over a body", `{"cardNumber":"1"}`, []string{"invoice.city=x"}, "only one of payment can be set: card_number is set already"},
		{"over a body with names of the schema", `{"card_number":"1"}`, []string{"invoice.city=x"}, "only one of payment can be set: card_number is set already"},
		{"null that is a value", ``, []string{"nothing=null", "card-number=x"}, "only one of payment can be set: nothing is set already"},
		{"null of any type", ``, []string{"whatever=null", "card-number=x"}, "only one of payment can be set: whatever is set already"},
	})
}

func TestFlagsOverBody(t *testing.T) {
	t.Parallel()
	testSet(t, []setTest{
		{"untouched", ` { "i64" : 9007199254740993 , "big":1.50e+2, "text":"\u00e9\ud83d\ude00\/" } `, nil, `{"i64":9007199254740993,"big":1.50e+2,"text":"\u00e9\ud83d\ude00\/"}`},
		{"a flag wins", `{"text":"x","flag":true}`, []string{"text=y"}, `{"text":"y","flag":true}`},
		{"a flag wins over a name of the schema", `{"home_address":{"street_name":"x","city":"y"}}`, []string{"home-address-street-name=z"}, `{"home_address":{"street_name":"z","city":"y"}}`},
		{"and takes it away", `{"home_address":{"city":"x"},"i32":1}`, []string{"home-address=null", "i32=null"}, `{}`},
		{"and over null", `{"homeAddress":null,"tags":null,"labels":null}`, []string{"homeAddress.city=x", "tags=x", "labels=a=b"}, `{"homeAddress":{"city":"x"},"tags":["x"],"labels":{"a":"b"}}`},
		{"a list grows", `{"tags":["a"]}`, []string{"tags=b", "tags=c,d"}, `{"tags":["a","b","c","d"]}`},
		{"an element changes", `{"stops":[{"city":"a"},{"city":"b"}]}`, []string{"stops.1.city=c"}, `{"stops":[{"city":"a"},{"city":"c"}]}`},
		{"a map grows", `{"labels":{"a":"1","b":"2"}}`, []string{"labels.b=3", "labels=c=4,d=5"}, `{"labels":{"a":"1","b":"3","c":"4","d":"5"}}`},
		{"an element within a Struct", `{"object":{"a":[1,{"b":2}]}}`, []string{"object.a.1.b=3", "object.a.2=4"}, `{"object":{"a":[1,{"b":3},4]}}`},
		{"a key that is no field stays for the table to refuse", `{"object":{"é\n\"":1}}`, nil, `{"object":{"é\n\"":1}}`},
	})
	testSetErrors(t, []setTest{
		{"a name for a list within a Struct", `{"object":{"a":[1]}}`, []string{"object.a.b=3"}, `there is a list before "b"`},
		{"an element far behind within a Struct", `{"object":{"a":[1]}}`, []string{"object.a.20000=3"}, `the element 20000 is too far behind the last one`},
	})
}

func TestParseBodyErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"nothing", ``, "is not JSON: it ends in the middle"},
		{"white space", " \n", "is not JSON: it ends in the middle"},
		{"a list", `[]`, "is not a JSON object"},
		{"null", `null`, "is not a JSON object"},
		{"cut off", `{"a":`, "is not JSON: it ends in the middle"},
		{"cut off in a list", `{"a":[1,`, "is not JSON: it ends in the middle"},
		{"cut off in a string", `{"a":"b`, "is not JSON: it ends in the middle"},
		{"more behind it", `{} {}`, "is not JSON: there is more after the JSON value, at byte 4"},
		{"rubbish behind it", `{}x`, "is not JSON: there is more after the JSON value, at byte"},
		{"a comma too many", `{"a":1,}`, "is not JSON: invalid character '}'"},
		{"a comma too many in a list", `{"a":[1,]}`, "is not JSON: invalid character ']'"},
		{"no comma", `{"a":1 "b":2}`, "is not JSON: invalid character '\"'"},
		{"no colon", `{"a" 1}`, "is not JSON: invalid character '1'"},
		{"ends crossed", `{"a":[}]`, "is not JSON: invalid character '}'"},
		{"a key that is none", `{1:2}`, "is not JSON: invalid character '1'"},
		{"a key twice", `{"a":1,"a":1}`, `is not JSON: the key "a" is there twice`},
		{"a key twice, written otherwise", `{"a":1,"\u0061":1}`, `is not JSON: the key "a" is there twice`},
		{"a key twice below", `{"b":[{"a":1,"a":1}]}`, `is not JSON: the key "a" is there twice`},
		{"no UTF-8", "{\"a\":\"\xff\"}", "is not JSON: it is no UTF-8 text"},
		{"half a pair in a key", `{"a\ud83d":1}`, "has half of a surrogate pair"},
		{"the other half", `{"\\\ude00":1}`, "has half of a surrogate pair"},
		{"a number with zeros", `{"a":01}`, "is not JSON: invalid character"},
		{"NaN", `{"a":NaN}`, "is not JSON: invalid character 'N'"},
		{"a control character", "{\"a\":\"\x01\"}", `is not JSON: invalid character '\x01'`},
		{"deep", strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000), "is not JSON: it is nested more than 1000 deep"},
		{"deep and open", strings.Repeat("[", 5_000_000), "is not JSON: it is nested more than 1000 deep"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, err := ParseBody([]byte(test.text))
			if err == nil {
				t.Fatalf("got %s, want an error", b.JSON())
			}
			if !strings.HasPrefix(err.Error(), test.want) && (test.want[0] != 'h' || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

// TestHalfPairs leaves strings to the table, which says where they are wrong.
func TestHalfPairs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`"a"`:                    false,
		`"\ud83d\ude00"`:         false,
		`"\uD83D\uDE00\ud83d"`:   true,
		`"\ud83dx"`:              true,
		`"\ud83d\n\ude00"`:       true,
		`"\ude00\ud83d"`:         true,
		`"\\ud83d"`:              false,
		`"\\\ud83d"`:             true,
		`"\u00e9\ufffd\"\u0000"`: false,
		`"\ud83d"`:               true,
		`"\`:                     false,
	} {
		if got := halfPair([]byte(text)); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
}

func TestUnknownField(t *testing.T) {
	t.Parallel()
	m, _ := compile(t, everything).Message("test.v1.All")
	for typed, want := range map[string]string{
		"txt": "text", "card-nubmer": "card_number", "qqqqqq": "",
		"home_address.ctiy": "home_address.city", "hmoe_address.city": "home_address.city",
	} {
		err := NewBody().Set(m, typed, "x", given())
		if unknown, ok := errors.AsType[*UnknownFieldError](err); !ok {
			t.Errorf("%s: got %v, want an *UnknownFieldError", typed, err)
		} else if got := unknown.Near(typed); got != want {
			t.Errorf("%s: got %q, want %q", typed, got, want)
		}
	}
}

func TestIsEmpty(t *testing.T) {
	t.Parallel()
	m, _ := compile(t, everything).Message("test.v1.All")
	b := NewBody()
	for _, step := range []struct {
		name, value string
		want        bool
	}{{"home_address", "null", true}, {"text", "", false}} {
		if err := b.Set(m, step.name, step.value, given()); err != nil {
			t.Fatal(err)
		}
		if got := b.IsEmpty(); got != step.want {
			t.Errorf("after %s: got %t, want %t", step.name, got, step.want)
		}
	}
}

func TestIsSwitch(t *testing.T) {
	t.Parallel()
	m, _ := compile(t, everything).Message("test.v1.All")
	for name, want := range map[string]bool{
		"flag": true, "FLAG": true, ".flag": true, "all.flag": true, "all-all_flag": true,
		"text": false, "all": false, "w_flag": false, "switches": false, "switches.true": false,
		"flag.x": false, "nothing-here": false, "": false, `"flag`: false, "object.flag": false,
	} {
		if got := IsSwitch(m, name); got != want {
			t.Errorf("%q: got %t, want %t", name, got, want)
		}
	}
}
