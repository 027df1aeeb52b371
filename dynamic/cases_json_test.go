package dynamic

import (
	"strings"
	"sync"
	"testing"

	"github.com/micro/micro/v3/dynamic/wire"
)

// fixtures are the schemas of testdata; they are compiled once.
type fixtures struct {
	once sync.Once
	apis map[string]*api
}

// load returns the schema of a .proto file in testdata.
func (f *fixtures) load(t *testing.T, file string) *api {
	t.Helper()
	f.once.Do(func() {
		f.apis = map[string]*api{}
		for _, name := range []string{"proto2.proto", "proto3.proto", "editions.proto", "order.proto", "both.proto"} {
			a, err := newAPI(compileProto(t, name))
			if err != nil {
				t.Fatal(err)
			}
			f.apis[name] = a
		}
	})
	return f.apis[file]
}

// of returns the schema that a message is in.
func (f *fixtures) of(t *testing.T, message string) *api {
	t.Helper()
	files := map[string]string{"three": "proto3.proto", "two": "proto2.proto", "ed": "editions.proto", "shop": "order.proto", "google": "proto3.proto"}
	return f.load(t, files[message[:strings.IndexByte(message, '.')]])
}

// TestJSONToWire says for JSON of all kinds what it means: as what it comes back,
// or what is wrong with it and where. The oracle has to agree.
func TestJSONToWire(t *testing.T) {
	t.Parallel()
	var schemas fixtures
	const (
		all  = "three.All"
		base = "two.Base"
		mix  = "ed.Mixed"
	)
	discard := wire.DecodeOptions{DiscardUnknown: true}
	partial := wire.DecodeOptions{AllowPartial: true}
	tests := []struct {
		name    string
		message string
		in      string
		opts    wire.DecodeOptions
		want    string // JSON, or the error behind "error: "
	}{
		// Syntax.
		{"nothing", all, ``, wire.DecodeOptions{}, `error: unexpected end of input @0`},
		{"white space", all, " \t\r\n{ \n} ", wire.DecodeOptions{}, `{}`},
		{"other white space", all, "\v{}", wire.DecodeOptions{}, `error: expected object, got byte 0xb @0`},
		{"more than one", all, `{}{}`, wire.DecodeOptions{}, `error: syntax error: unexpected object @2`},
		{"comma at the end", all, `{"fBool":true,}`, wire.DecodeOptions{}, `error: syntax error: unexpected '}' @14`},
		{"comma at the beginning", all, `{,}`, wire.DecodeOptions{}, `error: syntax error: unexpected ',' @1`},
		{"comma in an array", all, `{"rInt32":[1,]}`, wire.DecodeOptions{}, `error: rInt32: syntax error: unexpected ']' @13`},
		{"no comma", all, `{"fBool":true "fString":""}`, wire.DecodeOptions{}, `error: syntax error: unexpected string @14`},
		{"no colon", all, `{"fBool" true}`, wire.DecodeOptions{}, `error: syntax error: unexpected true @9`},
		{"no value", all, `{"fBool":}`, wire.DecodeOptions{}, `error: fBool: expected true or false, got '}' @9`},
		{"name without quotes", all, `{fBool:true}`, wire.DecodeOptions{}, `error: syntax error: unexpected 'f' @1`},
		{"cut off in a name", all, `{"fBo`, wire.DecodeOptions{}, `error: unexpected end of input @5`},
		{"cut off in an object", all, `{"fMessage":{`, wire.DecodeOptions{}, `error: fMessage: unexpected end of input @13`},
		{"cut off in an escape", all, `{"fString":"\`, wire.DecodeOptions{}, `error: fString: unexpected end of input @13`},
		{"word that goes on", all, `{"fBool":true_}`, wire.DecodeOptions{}, `error: fBool: expected true or false, got 't' @9`},
		{"array for a message", all, `[]`, wire.DecodeOptions{}, `error: expected object, got array @0`},

		// Names.
		{"JSON name", all, `{"fInt32":1}`, wire.DecodeOptions{}, `{"fInt32":1}`},
		{"proto name", all, `{"f_int32":1}`, wire.DecodeOptions{}, `{"fInt32":1}`},
		{"name with escapes", all, `{"f\u0049nt32":1}`, wire.DecodeOptions{}, `{"fInt32":1}`},
		{"name of its own", all, `{"other-name":"x"}`, wire.DecodeOptions{}, `{"other-name":"x"}`},
		{"name of its own by its proto name", all, `{"renamed":"x"}`, wire.DecodeOptions{}, `{"other-name":"x"}`},
		{"name that needs escapes", all, `{"a \"quoted\" \\ name":"x"}`, wire.DecodeOptions{}, `{"a \"quoted\" \\ name":"x"}`},
		{"any order", all, `{"fString":"s","fDouble":1}`, wire.DecodeOptions{}, `{"fDouble":1,"fString":"s"}`},
		{"unknown name", all, `{"fInt32":1,"nope":2}`, wire.DecodeOptions{}, `error: nope: unknown field @12`},
		{"unknown name, nested", all, `{"rMessage":[{},{"mMessage":{"5":{"nope":2}}}]}`, wire.DecodeOptions{}, `error: rMessage[1].mMessage["5"].nope: unknown field @34`},
		{"unknown names discarded", all, `{"nope":{"a":[1,{"b":"\u0041"}]},"fInt32":1}`, discard, `{"fInt32":1}`},
		{"unknown names must be JSON", all, `{"nope":[1,}`, discard, `error: syntax error: unexpected '}' @11`},
		{"empty name", all, `{"":1}`, wire.DecodeOptions{}, `error: "": unknown field @1`},
		{"name for a terminal", all, `{"\u001b[31m":1}`, wire.DecodeOptions{}, `error: "\x1b[31m": unknown field @1`},
		{"twice", all, `{"fInt32":1,"fInt32":2}`, wire.DecodeOptions{}, `error: fInt32: duplicate field @12`},
		{"twice by both names", all, `{"fInt32":1,"f_int32":2}`, wire.DecodeOptions{}, `error: fInt32: duplicate field @12`},
		{"twice and null", all, `{"fInt32":null,"fInt32":2}`, wire.DecodeOptions{}, `error: fInt32: duplicate field @15`},
		{"unknown twice", all, `{"x":1,"x":2}`, discard, `{}`},

		// Null.
		{"null is absent", all, `{"fInt32":null,"fMessage":null,"rInt32":null,"mString":null,"oString":null,"any":null,"wInt64":null}`, wire.DecodeOptions{}, `{}`},
		{"null value", all, `{"value":null,"null":null}`, wire.DecodeOptions{}, `{"value":null}`},
		{"null in a list", all, `{"rInt32":[null]}`, wire.DecodeOptions{}, `error: rInt32[0]: expected number, got null @11`},
		{"null in a list of messages", all, `{"rMessage":[null]}`, wire.DecodeOptions{}, `error: rMessage[0]: expected object, got null @13`},
		{"null in a list of values", all, `{"values":[null]}`, wire.DecodeOptions{}, `{"values":[null]}`},
		{"null for a list of values", all, `{"values":null}`, wire.DecodeOptions{}, `error: values: expected array, got null @10`},
		{"null in a map", all, `{"mString":{"a":null}}`, wire.DecodeOptions{}, `error: mString["a"]: expected string, got null @16`},
		{"null in a map of values", all, `{"mValue":{"a":null}}`, wire.DecodeOptions{}, `{"mValue":{"a":null}}`},
		{"null message", all, `null`, wire.DecodeOptions{}, `error: expected object, got null @0`},

		// Numbers.
		{"number as string", all, `{"fInt32":"12","fUint64":"18446744073709551615","fDouble":"1.5"}`, wire.DecodeOptions{}, `{"fDouble":1.5,"fUint64":"18446744073709551615","fInt32":12}`},
		{"all lexical forms", all, `{"rInt32":[1.0,1e2,120e-1,-0,"-0.0e9","1E+1"]}`, wire.DecodeOptions{}, `{"rInt32":[1,100,12,0,0,10]}`},
		{"exponent without digits", all, `{"fInt32":1e,"fInt64":"1"}`, wire.DecodeOptions{}, `{"fInt64":"1","fInt32":1}`},
		{"not an integer", all, `{"fInt32":1.5}`, wire.DecodeOptions{}, `error: fInt32: not a value of int32: "1.5" @10`},
		{"too great", all, `{"fInt32":2147483648}`, wire.DecodeOptions{}, `error: fInt32: not a value of int32: "2147483648" @10`},
		{"negative", all, `{"fUint32":-1}`, wire.DecodeOptions{}, `error: fUint32: not a value of uint32: "-1" @11`},
		{"space in a number", all, `{"fInt32":" 1"}`, wire.DecodeOptions{}, `error: fInt32: expected number, got string " 1" @10`},
		{"number in words", all, `{"fInt32":"one"}`, wire.DecodeOptions{}, `error: fInt32: expected number, got string "one" @10`},
		{"empty number", all, `{"fInt32":""}`, wire.DecodeOptions{}, `error: fInt32: expected number, got string "" @10`},
		{"a bool is no number", all, `{"rMessage":[{},{},{"fInt32":true}]}`, wire.DecodeOptions{}, `error: rMessage[2].fInt32: expected number, got true @29`},
		{"leading zero", all, `{"fInt32":01}`, wire.DecodeOptions{}, `error: fInt32: expected number, got '0' @10`},
		{"a number is no bool", all, `{"fBool":1}`, wire.DecodeOptions{}, `error: fBool: expected true or false, got number @9`},
		{"a string is no bool", all, `{"fBool":"true"}`, wire.DecodeOptions{}, `error: fBool: expected true or false, got string @9`},
		{"NaN and infinities", all, `{"fDouble":"NaN","fFloat":"-Infinity","mSfixed32":{"1":"Infinity"}}`, wire.DecodeOptions{}, `{"fDouble":"NaN","fFloat":"-Infinity","mSfixed32":{"1":"Infinity"}}`},
		{"NaN with an escape", all, `{"fDouble":"\u004eaN"}`, wire.DecodeOptions{}, `{"fDouble":"NaN"}`},
		{"NaN is no number", all, `{"fDouble":NaN}`, wire.DecodeOptions{}, `error: fDouble: expected number, got 'N' @11`},
		{"NaN is no integer", all, `{"fInt32":"NaN"}`, wire.DecodeOptions{}, `error: fInt32: expected number, got string "NaN" @10`},
		{"too great for a float", all, `{"fFloat":1e39}`, wire.DecodeOptions{}, `error: fFloat: not a floating-point number of 32 bits: "1e39" @10`},
		{"too great for a double", all, `{"fDouble":-1e309}`, wire.DecodeOptions{}, `error: fDouble: not a floating-point number of 64 bits: "-1e309" @11`},
		{"negative zero", all, `{"fDouble":-0.0,"fFloat":"-0"}`, wire.DecodeOptions{}, `{"fDouble":-0,"fFloat":-0}`},
		{"zero values", all, `{"fDouble":0,"fInt32":0,"fBool":false,"fString":"","fBytes":"","fEnum":0,"oString":"","oInt32":0,"oneInt32":0}`, wire.DecodeOptions{}, `{"oString":"","oInt32":0,"oneInt32":0}`},

		// Strings and bytes.
		{"escapes", all, `{"fString":"\u0041\ud83d\ude00\n\u0000\/"}`, wire.DecodeOptions{}, `{"fString":"A😀\n\u0000/"}`},
		{"half a surrogate pair", all, `{"fString":"\ud83d"}`, wire.DecodeOptions{}, `error: fString: invalid escape in a string @11`},
		{"pair the wrong way", all, `{"fString":"\ude00\ud83d"}`, wire.DecodeOptions{}, `error: fString: invalid escape in a string @11`},
		{"not UTF-8", all, "{\"fString\":\"a\xff\"}", wire.DecodeOptions{}, `error: fString: invalid UTF-8 in a string @13`},
		{"control character", all, "{\"fString\":\"a\nb\"}", wire.DecodeOptions{}, `error: fString: control character in a string @13`},
		{"base64", all, `{"fBytes":"+/8="}`, wire.DecodeOptions{}, `{"fBytes":"+/8="}`},
		{"base64 for URLs without padding", all, `{"fBytes":"-_8"}`, wire.DecodeOptions{}, `{"fBytes":"+/8="}`},
		{"both alphabets", all, `{"fBytes":"+_8="}`, wire.DecodeOptions{}, `error: fBytes: invalid base64 @10`},
		{"padding that is too short", all, `{"fBytes":"YQ="}`, wire.DecodeOptions{}, `error: fBytes: invalid base64 @10`},
		{"line ends in base64", all, `{"fBytes":"YW\n\rJj\n\n"}`, wire.DecodeOptions{}, `{"fBytes":"YWJj"}`},

		// Enums.
		{"enum by name", all, `{"fEnum":"BLUE","rEnum":["RED","CRIMSON",0,-1,99,1.0]}`, wire.DecodeOptions{}, `{"fEnum":"BLUE","rEnum":["RED","RED","COLOR_UNSPECIFIED","BLUE",99,"RED"]}`},
		{"unknown enum name", all, `{"fEnum":"GREEN"}`, wire.DecodeOptions{}, `error: fEnum: no value of enum three.Color: "GREEN" @9`},
		{"enum number as string", all, `{"fEnum":"1"}`, wire.DecodeOptions{}, `error: fEnum: no value of enum three.Color: "1" @9`},
		{"unknown enum names discarded", all, `{"fEnum":"GREEN","rEnum":["RED","GREEN"],"mBool":{"true":"GREEN","true":"RED"},"oneEnum":"GREEN"}`, discard, `{"rEnum":["RED"],"mBool":{"true":"RED"}}`},
		{"key of a discarded value", all, `{"mBool":{"true":"GREEN","true":"GREEN","true":"RED"}}`, discard, `{"mBool":{"true":"RED"}}`},
		{"key again with a value that is discarded", all, `{"mBool":{"true":"RED","true":"GREEN"}}`, discard, `error: mBool["true"]: duplicate key @23`},
		{"enum number that is too great", all, `{"fEnum":2147483648}`, wire.DecodeOptions{}, `error: fEnum: not a number of an enum: "2147483648" @9`},
		{"closed enum takes any number", base, `{"id":"x","level":5}`, wire.DecodeOptions{}, `{"id":"x","level":5}`},

		// Repeated fields and maps.
		{"empty list", all, `{"rInt32":[],"rMessage":[],"mString":{}}`, wire.DecodeOptions{}, `{}`},
		{"value for a list", all, `{"rInt32":1}`, wire.DecodeOptions{}, `error: rInt32: expected array, got number @10`},
		{"error in a list", all, `{"rMessage":[{},{"rInt32":[1,"x"]}]}`, wire.DecodeOptions{}, `error: rMessage[1].rInt32[1]: expected number, got string "x" @29`},
		{"map keys", all, `{"mMessage":{"-1":{},"02":{},"+3":{}},"mBool":{"true":1,"false":0},"mUint64":{"18446744073709551615":""}}`, wire.DecodeOptions{}, `{"mMessage":{"-1":{},"2":{},"3":{}},"mBool":{"false":"COLOR_UNSPECIFIED","true":"RED"},"mUint64":{"18446744073709551615":""}}`},
		{"map key of another kind", all, `{"mMessage":{"x":{}}}`, wire.DecodeOptions{}, `error: mMessage["x"]: not a key of a map from int32 @13`},
		{"map key that is a float", all, `{"mMessage":{"1.0":{}}}`, wire.DecodeOptions{}, `error: mMessage["1.0"]: not a key of a map from int32 @13`},
		{"the same key", all, `{"mString":{"b":"1","a":"2","b":"3"}}`, wire.DecodeOptions{}, `error: mString["b"]: duplicate key @28`},
		{"the same key in other words", all, `{"mMessage":{"1":{},"01":{}}}`, wire.DecodeOptions{}, `error: mMessage["01"]: duplicate key @20`},
		{"the same key with an escape", all, `{"mString":{"b":"1","\u0062":"3"}}`, wire.DecodeOptions{}, `error: mString["\u0062"]: duplicate key @20`},
		{"list for a map", all, `{"mString":[]}`, wire.DecodeOptions{}, `error: mString: expected object, got array @11`},

		// Oneofs.
		{"one of them", all, `{"oneString":""}`, wire.DecodeOptions{}, `{"oneString":""}`},
		{"two of them", all, `{"oneString":"","oneInt32":1}`, wire.DecodeOptions{}, `error: oneInt32: another field of oneof one is set already @16`},
		{"one of them and null", all, `{"oneString":"a","oneInt32":null}`, wire.DecodeOptions{}, `{"oneString":"a"}`},
		{"null as the one", all, `{"oneValue":null}`, wire.DecodeOptions{}, `{"oneValue":null}`},
		{"null as the one and another", all, `{"oneNull":null,"oneInt32":1}`, wire.DecodeOptions{}, `error: oneInt32: another field of oneof one is set already @16`},

		// Well-known types.
		{"timestamp", all, `{"timestamp":"2026-03-01T12:00:00.5+02:00"}`, wire.DecodeOptions{}, `{"timestamp":"2026-03-01T10:00:00.500Z"}`},
		{"timestamp that package time takes", all, `{"timestamp":"2026-03-01T1:00:00,5Z"}`, wire.DecodeOptions{}, `{"timestamp":"2026-03-01T01:00:00.500Z"}`},
		{"timestamp too early", all, `{"timestamp":"0000-12-31T23:59:59Z"}`, wire.DecodeOptions{}, `error: timestamp: not a timestamp: "0000-12-31T23:59:59Z" @13`},
		{"timestamp too precise", all, `{"timestamp":"2026-03-01T12:00:00.1234567890Z"}`, wire.DecodeOptions{}, `error: timestamp: not a timestamp: "2026-03-01T12:00:00.1234567890Z" @13`},
		{"timestamp as number", all, `{"timestamp":0}`, wire.DecodeOptions{}, `error: timestamp: expected string, got number @13`},
		{"duration", all, `{"duration":"-.5s"}`, wire.DecodeOptions{}, `{"duration":"-0.500s"}`},
		{"duration in minutes", all, `{"duration":"5m"}`, wire.DecodeOptions{}, `error: duration: not a duration: "5m" @12`},
		{"field mask", all, `{"mask":" fooBar,baz.quxQuux\n"}`, wire.DecodeOptions{}, `{"mask":"fooBar,baz.quxQuux"}`},
		{"field mask of proto names", all, `{"mask":"foo_bar"}`, wire.DecodeOptions{}, `error: mask: not a path of a field mask: "foo_bar" @8`},
		{"wrappers", all, `{"wString":"","wInt64":"-1","wBytes":"AA"}`, wire.DecodeOptions{}, `{"wString":"","wInt64":"-1","wBytes":"AA=="}`},
		{"struct", all, `{"struct":{"a":[1,"x",null,true,{"b":{}}],"":false}}`, wire.DecodeOptions{}, `{"struct":{"":false,"a":[1,"x",null,true,{"b":{}}]}}`},
		{"key twice in a struct", all, `{"struct":{"a":1,"a":2}}`, wire.DecodeOptions{}, `error: struct["a"]: duplicate key @17`},
		{"value", all, `{"value":"NaN","list":[],"values":[[],{},1e3]}`, wire.DecodeOptions{}, `{"value":"NaN","list":[],"values":[[],{},1000]}`},
		{"value too great", all, `{"value":1e999}`, wire.DecodeOptions{}, `error: value: not a floating-point number of 64 bits: "1e999" @9`},
		{"empty", all, `{"empty":{}}`, wire.DecodeOptions{}, `{"empty":{}}`},
		{"not empty", all, `{"empty":{"a":1}}`, wire.DecodeOptions{}, `error: empty.a: unknown field @10`},
		{"timestamp alone", "google.protobuf.Timestamp", `"1970-01-01T00:00:00Z"`, wire.DecodeOptions{}, `"1970-01-01T00:00:00Z"`},
		{"value alone", "google.protobuf.Value", ` [null] `, wire.DecodeOptions{}, `[null]`},

		// Any.
		{"any", all, `{"any":{"@type":"x/three.All","fInt32":1}}`, wire.DecodeOptions{}, `{"any":{"@type":"x/three.All","fInt32":1}}`},
		{"any with the type behind", all, `{"any":{"fInt32":1,"any":{"fBool":true,"@type":"three.All"},"@type":"three.All"}}`, wire.DecodeOptions{}, `{"any":{"@type":"three.All","fInt32":1,"any":{"@type":"three.All","fBool":true}}}`},
		{"any of a well-known type", all, `{"any":{"value":"1s","@type":"/google.protobuf.Duration"}}`, wire.DecodeOptions{}, `{"any":{"@type":"/google.protobuf.Duration","value":"1s"}}`},
		{"any of any of a value", all, `{"any":{"@type":"google.protobuf.Any","value":{"@type":"google.protobuf.Value","value":null}}}`, wire.DecodeOptions{}, `{"any":{"@type":"google.protobuf.Any","value":{"@type":"google.protobuf.Value","value":null}}}`},
		{"any of empty without value", all, `{"any":{"@type":"google.protobuf.Empty"}}`, wire.DecodeOptions{}, `{"any":{"@type":"google.protobuf.Empty"}}`},
		{"any of empty with value", all, `{"any":{"@type":"google.protobuf.Empty","value":{}}}`, wire.DecodeOptions{}, `{"any":{"@type":"google.protobuf.Empty"}}`},
		{"any of nothing", all, `{"any":{}}`, wire.DecodeOptions{}, `{"any":{}}`},
		{"any without type", all, `{"any":{"fInt32":1}}`, wire.DecodeOptions{}, `error: any: "@type" is missing @7`},
		{"any without type discarded", all, `{"any":{"fInt32":[{}]}}`, discard, `{"any":{}}`},
		{"any of an unknown type", all, `{"any":{"@type":"x/no.Type"}}`, wire.DecodeOptions{}, `error: any.@type: unknown type "x/no.Type" @16`},
		{"any of an enum", all, `{"any":{"@type":"x/three.Color"}}`, wire.DecodeOptions{}, `error: any.@type: unknown type "x/three.Color" @16`},
		{"any with two types", all, `{"any":{"@type":"three.All","@type":"three.All"}}`, wire.DecodeOptions{}, `error: any.@type: duplicate field @28`},
		{"any with two types behind", all, `{"any":{"fInt32":1,"@type":"three.All","@type":"two.Base"}}`, wire.DecodeOptions{}, `error: any.@type: duplicate field @39`},
		{"any with an empty type", all, `{"any":{"@type":""}}`, wire.DecodeOptions{}, `error: any.@type: empty @16`},
		{"any with a number as type", all, `{"any":{"@type":1}}`, wire.DecodeOptions{}, `error: any.@type: expected string, got number @16`},
		{"any without value", all, `{"any":{"@type":"google.protobuf.Duration"}}`, wire.DecodeOptions{}, `error: any: "value" is missing @7`},
		{"any with two values", all, `{"any":{"@type":"google.protobuf.Duration","value":"1s","value":"1s"}}`, wire.DecodeOptions{}, `error: any.value: duplicate field @56`},
		{"any with more than a value", all, `{"any":{"@type":"google.protobuf.Duration","value":"1s","x":1}}`, wire.DecodeOptions{}, `error: any.x: unknown field @56`},
		{"any with more than a value discarded", all, `{"any":{"@type":"google.protobuf.Duration","x":1,"value":"1s"}}`, discard, `{"any":{"@type":"google.protobuf.Duration","value":"1s"}}`},
		{"error in an any", all, `{"anys":[{"@type":"three.All","rInt32":[true]}]}`, wire.DecodeOptions{}, `error: anys[0].rInt32[0]: expected number, got true @40`},
		{"@type elsewhere", all, `{"@type":"three.All"}`, wire.DecodeOptions{}, `error: @type: unknown field @1`},
		{"nothing is required in an any", base, `{"id":"","any":{"@type":"two.Base"}}`, wire.DecodeOptions{}, `{"id":"","any":{"@type":"two.Base"}}`},

		// proto2: presence, required fields, groups, extensions.
		{"presence", base, `{"id":"","count":0,"raw":""}`, wire.DecodeOptions{}, `{"id":"","count":0,"raw":""}`},
		{"required", base, `{"count":1}`, wire.DecodeOptions{}, `error: required field id is missing @0`},
		{"required but null", base, `{"id":null}`, wire.DecodeOptions{}, `error: required field id is missing @0`},
		{"required, nested", base, `{"id":"a","bases":{"k":{"id":"b","next":{}}}}`, wire.DecodeOptions{}, `error: bases["k"].next: required field id is missing @40`},
		{"required in an extension", base, `{"id":"a","[two.more]":[{}]}`, wire.DecodeOptions{}, `error: [two.more][0]: required field id is missing @24`},
		{"partial", base, `{"next":{}}`, partial, `{"next":{}}`},
		{"groups", base, `{"id":"","item":[{"name":"a","inner":{"n":1}},{}]}`, wire.DecodeOptions{}, `{"id":"","item":[{"name":"a","inner":{"n":1}},{}]}`},
		{"group by its type", base, `{"id":"","Item":[{"Inner":{}}]}`, wire.DecodeOptions{}, `{"id":"","item":[{"inner":{}}]}`},
		{"extensions", base, `{"[two.number]":"5","id":"","[two.Base.nested_text]":"","[two.numbers]":[1,2],"[two.extra]":{"note":"n"}}`, wire.DecodeOptions{}, `{"id":"","[two.Base.nested_text]":"","[two.extra]":{"note":"n"},"[two.number]":"5","[two.numbers]":[1,2]}`},
		{"extension twice", base, `{"id":"","[two.number]":1,"[two.number]":1}`, wire.DecodeOptions{}, `error: [two.number]: duplicate field @26`},
		{"unknown extension", base, `{"id":"","[two.nope]":1}`, wire.DecodeOptions{}, `error: [two.nope]: unknown field @9`},
		{"unknown extension discarded", base, `{"id":"","[two.nope]":1,"[]":2}`, discard, `{"id":""}`},
		{"extension of another message", base, `{"id":"","[two.of_other]":"x"}`, discard, `error: [two.of_other]: not an extension of the message @9`},
		{"a message is no extension", base, `{"id":"","[two.Other]":"x"}`, discard, `error: [two.Other]: not an extension of the message @9`},
		{"a value is no extension", base, `{"id":"","[two.LOW]":"x"}`, discard, `error: [two.LOW]: not an extension of the message @9`},
		{"extension without brackets", base, `{"id":"","two.number":1}`, wire.DecodeOptions{}, `error: two.number: unknown field @9`},

		// Editions.
		{"editions", mix, `{"implicit":"","explicit":"","needed":0,"expanded":[1,2],"delimited":{"needed":1},"list":[{"needed":2}]}`, wire.DecodeOptions{}, `{"explicit":"","needed":0,"expanded":[1,2],"delimited":{"needed":1},"list":[{"needed":2}]}`},
		{"editions, required", mix, `{"list":[{}]}`, wire.DecodeOptions{}, `error: list[0]: required field needed is missing @9`},

		// Depth.
		{"deep enough", all, `{"fMessage":{"fMessage":{}}}`, wire.DecodeOptions{MaxDepth: 3}, `{"fMessage":{"fMessage":{}}}`},
		{"too deep", all, `{"fMessage":{"fMessage":{}}}`, wire.DecodeOptions{MaxDepth: 2}, `error: fMessage.fMessage: nested too deeply @24`},
		{"values too deep", all, `{"value":[[[]]]}`, wire.DecodeOptions{MaxDepth: 3}, `error: value[0][0]: nested too deeply @11`},
		{"unknown fields too deep", all, `{"x":[[[]]]}`, wire.DecodeOptions{MaxDepth: 3, DiscardUnknown: true}, `error: nested too deeply @7`},
		{"unknown fields deep enough", all, `{"x":[[]]}`, wire.DecodeOptions{MaxDepth: 3, DiscardUnknown: true}, `{}`},
		{"arrays count in an any", all, `{"any":{"@type":"three.All","rMessage":[{"rMessage":[{}]}]}}`, wire.DecodeOptions{MaxDepth: 5}, `error: any.rMessage[0].rMessage[0]: nested too deeply @53`},
		{"arrays in an any that are not too deep", all, `{"any":{"@type":"three.All","rMessage":[{"rMessage":[{}]}]}}`, wire.DecodeOptions{MaxDepth: 6}, `{"any":{"@type":"three.All","rMessage":[{"rMessage":[{}]}]}}`},
		{"without type, discarded and too deep", all, `{"any":{"x":[[]]}}`, wire.DecodeOptions{MaxDepth: 4, DiscardUnknown: true}, `error: any: nested too deeply @13`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := schemas.of(t, test.message)
			d, m := a.message(t, test.message)
			if _, err := a.compareDecode(d, m, []byte(test.in), test.opts); err != nil {
				t.Errorf("not as the oracle: %v", err)
			}
			var got string
			data, err := m.AppendWire(nil, []byte(test.in), test.opts)
			if err != nil {
				got = "error: " + err.Error() + at(err)
			} else {
				json, err := m.AppendJSON(nil, data, wire.EncodeOptions{AllowPartial: true})
				if err != nil {
					t.Fatal(err)
				}
				got = string(json)
			}
			if got != test.want {
				t.Errorf("%s\ngot  %s\nwant %s", test.in, got, test.want)
			}
		})
	}
}
