package dynamic

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/micro/micro/v3/dynamic/wire"
)

// These write wire forms for the tests.

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func num(field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), v)
}

func neg(field protowire.Number, v int64) []byte { return num(field, uint64(v)) }

func fix32(field protowire.Number, v uint32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, field, protowire.Fixed32Type), v)
}

func fix64(field protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, field, protowire.Fixed64Type), v)
}

func str(field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), s)
}

func msg(field protowire.Number, parts ...[]byte) []byte { return str(field, string(join(parts...))) }

func group(field protowire.Number, parts ...[]byte) []byte {
	b := append(protowire.AppendTag(nil, field, protowire.StartGroupType), join(parts...)...)
	return protowire.AppendTag(b, field, protowire.EndGroupType)
}

// TestWireToJSON says for wire forms of all kinds what JSON they have, or what is
// wrong with them and where. The oracle has to agree.
func TestWireToJSON(t *testing.T) {
	t.Parallel()
	var schemas fixtures
	const (
		all  = "three.All"
		base = "two.Base"
		mix  = "ed.Mixed"
	)
	id := str(1, "x")
	unset := wire.EncodeOptions{EmitUnpopulated: true}
	tests := []struct {
		name    string
		message string
		in      []byte
		opts    wire.EncodeOptions
		want    string // JSON, or the error behind "error: "
	}{
		{"nothing", all, nil, wire.EncodeOptions{}, `{}`},
		{"every scalar", all, join(
			fix64(1, math.Float64bits(1.5)), fix32(2, math.Float32bits(0.1)), neg(3, -1), num(4, math.MaxUint64), neg(5, -2),
			fix64(6, 7), fix32(7, 8), num(8, 1), str(9, "s"), str(12, "\xff\xfe"), num(13, math.MaxUint32), neg(14, -1),
			fix32(15, math.MaxUint32), fix64(16, math.MaxUint64), num(17, 3), num(18, 4),
		), wire.EncodeOptions{}, `{"fDouble":1.5,"fFloat":0.1,"fInt64":"-1","fUint64":"18446744073709551615","fInt32":-2,"fFixed64":"7","fFixed32":8,"fBool":true,"fString":"s","fBytes":"//4=","fUint32":4294967295,"fEnum":"BLUE","fSfixed32":-1,"fSfixed64":"-1","fSint32":-2,"fSint64":"2"}`},
		{"numbers that are too great are cut", all, join(num(5, 1<<32|5), num(13, 1<<40|6), num(14, 1<<32|1), num(8, 1<<40), num(17, 1<<33|3)), wire.EncodeOptions{}, `{"fInt32":5,"fBool":true,"fUint32":6,"fEnum":"RED","fSint32":-2}`},
		{"special floats", all, join(fix64(1, math.Float64bits(math.Inf(-1))), fix32(2, 0x7fc00001)), wire.EncodeOptions{}, `{"fDouble":"-Infinity","fFloat":"NaN"}`},
		{"zero values of fields without presence", all, join(fix64(1, 0), num(5, 0), str(9, ""), num(14, 0)), wire.EncodeOptions{}, `{}`},
		{"negative zero", all, fix64(1, 1<<63), wire.EncodeOptions{}, `{"fDouble":-0}`},
		{"zero values of fields with presence", all, join(str(40, ""), num(41, 0)), wire.EncodeOptions{}, `{"oString":"","oInt32":0}`},
		{"unknown enum number", all, num(14, 77), wire.EncodeOptions{}, `{"fEnum":77}`},
		{"enum numbers", all, join(num(14, 1), num(71, 0)), wire.EncodeOptions{UseEnumNumbers: true}, `{"fEnum":1}`},
		{"proto names", all, join(str(80, "a"), num(5, 1)), wire.EncodeOptions{UseProtoNames: true}, `{"f_int32":1,"renamed":"a"}`},

		// Order and repetition.
		{"any order", all, join(str(9, "s"), num(5, 1)), wire.EncodeOptions{}, `{"fInt32":1,"fString":"s"}`},
		{"the last one counts", all, join(num(5, 1), num(5, 2), str(9, "a"), num(5, 3)), wire.EncodeOptions{}, `{"fInt32":3,"fString":"a"}`},
		{"the last one is zero", all, join(num(5, 1), num(5, 0)), wire.EncodeOptions{}, `{}`},
		{"messages are merged", all, join(msg(19, num(5, 1), str(9, "a")), msg(19, num(5, 2), msg(19, num(8, 1)))), wire.EncodeOptions{}, `{"fMessage":{"fInt32":2,"fString":"a","fMessage":{"fBool":true}}}`},
		{"lists in parts", all, join(num(20, 1), str(9, "x"), num(20, 2), str(20, "\x03\x04"), num(20, 5)), wire.EncodeOptions{}, `{"fString":"x","rInt32":[1,2,3,4,5]}`},
		{"lists of messages in parts", all, join(msg(22), num(5, 1), msg(22, num(5, 2))), wire.EncodeOptions{}, `{"fInt32":1,"rMessage":[{},{"fInt32":2}]}`},
		{"packed though it is not", all, str(24, "\x01\x02"), wire.EncodeOptions{}, `{"unpacked":[1,2]}`},
		{"empty packed list", all, str(20, ""), wire.EncodeOptions{}, `{}`},
		{"cut off in a packed list", all, str(20, "\x01\x80"), wire.EncodeOptions{}, `error: rInt32[1]: cut off @5`},

		// Maps.
		{"map in order of its keys", all, join(msg(30, str(1, "b"), str(2, "1")), msg(30, str(1, "a"), str(2, "2")), msg(30, str(1, "aa"), str(2, "3"))), wire.EncodeOptions{}, `{"mString":{"a":"2","aa":"3","b":"1"}}`},
		{"number keys", all, join(msg(31, num(1, 10), msg(2)), msg(31, neg(1, -1), msg(2)), msg(31, num(1, 9), msg(2))), wire.EncodeOptions{}, `{"mMessage":{"-1":{},"9":{},"10":{}}}`},
		{"fixed number keys", all, join(msg(34, fix32(1, 1), fix64(2, 0)), msg(34, fix32(1, math.MaxUint32), fix64(2, 0))), wire.EncodeOptions{}, `{"mSfixed32":{"-1":0,"1":0}}`},
		{"bool keys", all, join(msg(32, num(1, 1), num(2, 1)), msg(32, num(1, 0), num(2, 99))), wire.EncodeOptions{}, `{"mBool":{"false":99,"true":"RED"}}`},
		{"a key twice", all, join(msg(30, str(1, "a"), str(2, "1")), num(5, 1), msg(30, str(1, "a"), str(2, "2"))), wire.EncodeOptions{}, `{"fInt32":1,"mString":{"a":"2"}}`},
		{"a key twice is not merged", all, join(msg(31, num(1, 1), msg(2, num(5, 1))), msg(31, num(1, 1), msg(2, str(9, "a")))), wire.EncodeOptions{}, `{"mMessage":{"1":{"fString":"a"}}}`},
		{"absent key and value", all, join(msg(30), msg(31), msg(32, num(2, 1))), wire.EncodeOptions{}, `{"mString":{"":""},"mMessage":{"0":{}},"mBool":{"false":"RED"}}`},
		{"absent value that has no JSON", all, msg(35), wire.EncodeOptions{}, `error: mValue[""]: a google.protobuf.Value without a value @0`},
		{"parts of an entry", all, msg(31, msg(2, num(5, 1)), num(1, 3), msg(2, str(9, "a")), num(1, 4), num(7, 7)), wire.EncodeOptions{}, `{"mMessage":{"4":{"fInt32":1,"fString":"a"}}}`},
		{"map as a number", all, num(30, 1), wire.EncodeOptions{}, `{}`},

		// Oneofs.
		{"the last one of a oneof", all, join(str(50, "a"), num(51, 0)), wire.EncodeOptions{}, `{"oneInt32":0}`},
		{"the first again", all, join(str(50, "a"), num(51, 1), str(50, "b")), wire.EncodeOptions{}, `{"oneString":"b"}`},
		{"merged in a oneof", all, join(msg(52, num(5, 1)), msg(52, str(9, "a"))), wire.EncodeOptions{}, `{"oneMessage":{"fInt32":1,"fString":"a"}}`},
		{"not merged over another", all, join(msg(52, num(5, 1)), num(51, 1), msg(52, str(9, "a"))), wire.EncodeOptions{}, `{"oneMessage":{"fString":"a"}}`},
		{"what is gone has to be well-formed", all, join(msg(52, str(9, "\xff")), num(51, 1)), wire.EncodeOptions{}, `error: oneMessage.fString: not UTF-8 @5`},

		// Unknown fields and wrong types.
		{"unknown fields", all, join(num(999, 1), str(998, "x"), fix32(997, 1), fix64(996, 1), group(995, num(1, 1), group(2)), num(5, 1)), wire.EncodeOptions{}, `{"fInt32":1}`},
		{"another wire type", all, join(str(5, "x"), num(9, 1), fix32(1, 1), num(19, 1)), wire.EncodeOptions{}, `{}`},
		{"group for a message", all, group(19, num(5, 1)), wire.EncodeOptions{}, `{}`},
		{"number zero", all, []byte{0x00, 0x01}, wire.EncodeOptions{}, `error: malformed wire form @0`},
		{"number too great", all, protowire.AppendVarint(nil, 1<<32), wire.EncodeOptions{}, `error: malformed wire form @0`},
		{"great number in an unknown group", all, group(999, num(1<<30, 1)), wire.EncodeOptions{}, `{}`},
		{"reserved wire type", all, []byte{0x2f}, wire.EncodeOptions{}, `error: malformed wire form @1`},
		{"end of a group", all, []byte{0x2c}, wire.EncodeOptions{}, `error: malformed wire form @1`},
		{"end of another group", all, []byte{0xbb, 0x3e, 0xb4, 0x3e}, wire.EncodeOptions{}, `error: a group does not end as it began @2`},
		{"group without end", all, []byte{0xbb, 0x3e, 0x08, 0x01}, wire.EncodeOptions{}, `error: cut off @4`},
		{"tag that is longer than needed", all, []byte{0xa8, 0x80, 0x00, 0x01}, wire.EncodeOptions{}, `{"fInt32":1}`},
		{"varint too long", all, append([]byte{0x28}, strings.Repeat("\x80", 10)+"\x01"...), wire.EncodeOptions{}, `error: fInt32: malformed wire form @1`},
		{"varint of more than 64 bits", all, append([]byte{0x28}, strings.Repeat("\xff", 9)+"\x02"...), wire.EncodeOptions{}, `error: fInt32: malformed wire form @1`},
		{"cut off in a tag", all, []byte{0xa8}, wire.EncodeOptions{}, `error: cut off @1`},
		{"cut off in a number", all, []byte{0x28, 0x80}, wire.EncodeOptions{}, `error: fInt32: cut off @2`},
		{"cut off in a fixed number", all, []byte{0x09, 1, 2, 3}, wire.EncodeOptions{}, `error: fDouble: cut off @4`},
		{"cut off in a string", all, []byte{0x4a, 0x05, 'a'}, wire.EncodeOptions{}, `error: fString: cut off @3`},
		{"length beyond everything", all, append([]byte{0x4a}, protowire.AppendVarint(nil, math.MaxUint64)...), wire.EncodeOptions{}, `error: fString: cut off @11`},
		{"cut off, nested", all, join(msg(22), msg(22, msg(31, num(1, 5), msg(2, []byte{0x4a, 0x05, 'a'})))), wire.EncodeOptions{}, `error: rMessage[1].mMessage["5"].fString: cut off @16`},

		// Strings.
		{"not UTF-8", all, str(9, "a\xff"), wire.EncodeOptions{}, `error: fString: not UTF-8 @2`},
		{"not UTF-8 in proto2", base, join(id, str(10, "\xff")), wire.EncodeOptions{}, `error: text: not UTF-8 @5`},
		{"not UTF-8 and gone", all, join(str(9, "\xff"), str(9, "a")), wire.EncodeOptions{}, `error: fString: not UTF-8 @2`},
		{"not UTF-8 in proto2 and gone", base, join(id, str(10, "\xff"), str(10, "a")), wire.EncodeOptions{}, `{"id":"x","text":"a"}`},
		{"not UTF-8 where editions allow it and gone", mix, join(num(3, 0), str(6, "\xff"), str(6, "a")), wire.EncodeOptions{}, `{"needed":0,"lax":"a"}`},
		{"not UTF-8 in a key", all, msg(30, str(1, "\xff")), wire.EncodeOptions{}, `error: mString: not UTF-8 @5`},
		{"escapes", all, str(9, "\"\\/\b\f\n\r\t\x00\x1f\x7f\u2028😀"), wire.EncodeOptions{}, `{"fString":"\"\\/\b\f\n\r\t\u0000\u001f` + "\x7f\u2028😀" + `"}`},

		// Well-known types.
		{"timestamp", all, msg(61, num(1, 1700000000), num(2, 120000)), wire.EncodeOptions{}, `{"timestamp":"2023-11-14T22:13:20.000120Z"}`},
		{"timestamp in another order", all, msg(61, num(2, 1), num(9, 9), num(1, 1), neg(1, -1)), wire.EncodeOptions{}, `{"timestamp":"1969-12-31T23:59:59.000000001Z"}`},
		{"timestamp out of range", all, msg(61, num(1, 253402300800)), wire.EncodeOptions{}, `error: timestamp: timestamp out of range @3`},
		{"timestamp with negative nanos", all, msg(61, neg(2, -1)), wire.EncodeOptions{}, `error: timestamp: timestamp out of range @3`},
		{"duration", all, msg(62, neg(1, -1), neg(2, -500000000)), wire.EncodeOptions{}, `{"duration":"-1.500s"}`},
		{"duration of two signs", all, msg(62, neg(1, 1), neg(2, -1)), wire.EncodeOptions{}, `error: duration: seconds and nanos of a duration have different signs @3`},
		{"field mask", all, msg(63, str(1, "foo_bar"), str(1, "a.b_c")), wire.EncodeOptions{}, `{"mask":"fooBar,a.bC"}`},
		{"field mask without a way back", all, msg(63, str(1, "fooBar")), wire.EncodeOptions{}, `error: mask: a path of a field mask that JSON cannot express: "fooBar" @5`},
		{"field mask of nonsense", all, msg(63, str(1, "a..b")), wire.EncodeOptions{}, `error: mask: a path of a field mask that JSON cannot express: "a..b" @5`},
		{"wrappers", all, join(msg(68), msg(69, num(1, 5), num(1, 6)), msg(70, str(1, "a"))), wire.EncodeOptions{}, `{"wString":"","wInt64":"6","wBytes":"YQ=="}`},
		{"struct", all, msg(64, msg(1, str(1, "b"), msg(2, num(1, 0))), msg(1, str(1, "a"), msg(2, msg(6, msg(1, num(4, 1)))))), wire.EncodeOptions{}, `{"struct":{"a":[true],"b":null}}`},
		{"value", all, msg(65, fix64(2, math.Float64bits(2))), wire.EncodeOptions{}, `{"value":2}`},
		{"value without one", all, msg(65), wire.EncodeOptions{}, `error: value: a google.protobuf.Value without a value @3`},
		{"value of two", all, msg(65, str(3, "a"), num(4, 0)), wire.EncodeOptions{}, `{"value":false}`},
		{"value of merged lists", all, msg(65, msg(6, msg(1, num(4, 1))), msg(6, msg(1, num(4, 0)))), wire.EncodeOptions{}, `{"value":[true,false]}`},
		{"value of NaN", all, msg(65, fix64(2, math.Float64bits(math.NaN()))), wire.EncodeOptions{}, `error: value: a google.protobuf.Value that is no JSON number @3`},
		{"null", all, join(num(54, 5), num(71, 0)), wire.EncodeOptions{}, `{"oneNull":null}`},
		{"any", all, msg(60, str(1, "x/three.All"), msg(2, num(5, 1))), wire.EncodeOptions{}, `{"any":{"@type":"x/three.All","fInt32":1}}`},
		{"any, the value first", all, msg(60, msg(2, num(5, 1)), str(1, "three.All")), wire.EncodeOptions{}, `{"any":{"@type":"three.All","fInt32":1}}`},
		{"any of a well-known type", all, msg(60, str(1, "/google.protobuf.Duration"), msg(2, num(1, 1))), wire.EncodeOptions{}, `{"any":{"@type":"/google.protobuf.Duration","value":"1s"}}`},
		{"any of any", all, msg(60, str(1, "google.protobuf.Any"), msg(2, str(1, "google.protobuf.Empty"))), wire.EncodeOptions{}, `{"any":{"@type":"google.protobuf.Any","value":{"@type":"google.protobuf.Empty"}}}`},
		{"any of nothing", all, msg(60), wire.EncodeOptions{}, `{"any":{}}`},
		{"any without type", all, msg(60, str(2, "x")), wire.EncodeOptions{}, `error: any: an Any without a type @5`},
		{"any of an unknown type", all, msg(60, str(1, "x/no.Type")), wire.EncodeOptions{}, `error: any: unknown type "x/no.Type" @5`},
		{"any of something else", all, msg(60, str(1, "three.All"), str(2, "\x4a\x05a")), wire.EncodeOptions{}, `error: any.fString: cut off @19`},
		{"nothing is required in an any", base, join(id, msg(11, str(1, "two.Base"))), wire.EncodeOptions{}, `{"id":"x","any":{"@type":"two.Base"}}`},
		{"unset fields in an any", all, msg(73, str(1, "two.Base"), msg(2, num(2, 1))), wire.EncodeOptions{EmitDefaultValues: true}, `{"fDouble":0,"fFloat":0,"fInt64":"0","fUint64":"0","fInt32":0,"fFixed64":"0","fFixed32":0,"fBool":false,"fString":"","fBytes":"","fUint32":0,"fEnum":"COLOR_UNSPECIFIED","fSfixed32":0,"fSfixed64":"0","fSint32":0,"fSint64":"0","rInt32":[],"rString":[],"rMessage":[],"rEnum":[],"unpacked":[],"mString":{},"mMessage":{},"mBool":{},"mUint64":{},"mSfixed32":{},"mValue":{},"null":null,"values":[],"anys":[{"@type":"two.Base","count":1,"item":[],"packed":[],"levels":[],"bases":{}}],"other-name":"","a \"quoted\" \\ name":""}`},

		// proto2 and editions.
		{"presence", base, join(id, num(2, 0), str(3, "")), wire.EncodeOptions{}, `{"id":"x","count":0,"raw":""}`},
		{"closed enum", base, join(id, num(4, 5), num(8, 3), num(8, 4)), wire.EncodeOptions{}, `{"id":"x","level":5,"levels":["LOW",4]}`},
		{"required", base, num(2, 1), wire.EncodeOptions{}, `error: required field id is missing @0`},
		{"required in a map", base, join(id, msg(9, str(1, "k"))), wire.EncodeOptions{}, `error: bases["k"]: required field id is missing @0`},
		{"required in what is gone", base, join(id, msg(9, str(1, "k"), msg(2)), msg(9, str(1, "k"), msg(2, id))), wire.EncodeOptions{}, `{"id":"x","bases":{"k":{"id":"x"}}}`},
		{"partial", base, num(2, 1), wire.EncodeOptions{AllowPartial: true}, `{"count":1}`},
		{"groups", base, join(id, group(6, str(1, "a"), group(2, num(1, 1))), group(6)), wire.EncodeOptions{}, `{"id":"x","item":[{"name":"a","inner":{"n":1}},{}]}`},
		{"groups by their proto names", base, join(id, group(6, group(2))), wire.EncodeOptions{UseProtoNames: true}, `{"id":"x","Item":[{"Inner":{}}]}`},
		{"merged groups", base, join(id, group(6, group(2, num(1, 1)), str(1, "a"), group(2, num(1, 2)))), wire.EncodeOptions{}, `{"id":"x","item":[{"name":"a","inner":{"n":2}}]}`},
		{"extensions", base, join(str(103, "\x01\x02"), str(101, ""), num(100, 5), id, group(104, str(1, "n")), msg(102, id)), wire.EncodeOptions{}, `{"id":"x","[two.Base.nested_text]":"","[two.extra]":{"note":"n"},"[two.more]":[{"id":"x"}],"[two.number]":"5","[two.numbers]":[1,2]}`},
		{"editions", mix, join(str(1, ""), str(2, ""), num(3, 0), num(4, 1), group(5, num(3, 1)), num(7, 9), group(8, num(3, 2))), wire.EncodeOptions{}, `{"explicit":"","needed":0,"expanded":[1],"delimited":{"needed":1},"closed":9,"list":[{"needed":2}]}`},

		// Unset fields.
		{"unset in proto2", base, id, unset, `{"id":"x","count":null,"raw":null,"level":null,"next":null,"item":[],"packed":[],"levels":[],"bases":{},"text":null,"any":null}`},
		{"default values in proto2", base, id, wire.EncodeOptions{EmitDefaultValues: true}, `{"id":"x","item":[],"packed":[],"levels":[],"bases":{}}`},
		{"unset in editions", mix, join(num(3, 1), str(1, ""), str(4, "")), unset, `{"implicit":"","explicit":null,"needed":1,"expanded":[],"delimited":null,"lax":"","closed":null,"list":[]}`},

		// Depth.
		{"deep enough", all, msg(19, msg(19)), wire.EncodeOptions{MaxDepth: 3}, `{"fMessage":{"fMessage":{}}}`},
		{"too deep", all, msg(19, msg(19)), wire.EncodeOptions{MaxDepth: 2}, `error: fMessage.fMessage: nested too deeply @6`},
		{"maps count twice", all, msg(31, msg(2)), wire.EncodeOptions{MaxDepth: 2}, `error: mMessage["0"]: nested too deeply @5`},
		{"maps without value", all, msg(31), wire.EncodeOptions{MaxDepth: 2}, `{"mMessage":{"0":{}}}`},
		{"maps count even if they are none", all, num(30, 1), wire.EncodeOptions{MaxDepth: 1}, `error: mString: nested too deeply @0`},
		{"anys begin anew", all, msg(60, str(1, "three.All"), msg(2, msg(19, msg(19)))), wire.EncodeOptions{MaxDepth: 2}, `{"any":{"@type":"three.All","fMessage":{"fMessage":{}}}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := schemas.of(t, test.message)
			if strings.Contains(test.name, "any") {
				a = schemas.load(t, "both.proto")
			}
			d, m := a.message(t, test.message)
			if _, err := a.compareEncode(d, m, test.in, test.opts); err != nil {
				t.Errorf("not as the oracle: %v", err)
			}
			var got string
			if json, err := m.AppendJSON(nil, test.in, test.opts); err != nil {
				got = "error: " + err.Error() + at(err)
			} else {
				got = string(json)
			}
			if got != test.want {
				t.Errorf("%x\ngot  %s\nwant %s", test.in, got, test.want)
			}
		})
	}
}
