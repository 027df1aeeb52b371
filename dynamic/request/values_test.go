package request

import (
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/dynamic/wire"
)

func TestScalars(t *testing.T) {
	t.Parallel()
	testSet(t, []setTest{
		{"text", ``, []string{"text=a,b \"c\" é\n"}, `{"text":"a,b \"c\" é\n"}`},
		{"text like a file, JSON, null", ``, []string{"tags=@a.json", `text=null`}, `{"tags":["@a.json"],"text":"null"}`},
		{"no text", ``, []string{"text="}, `{"text":""}`},
		{"text of markup", ``, []string{"text=<a&b>"}, `{"text":"<a&b>"}`},
		{"bytes as text", ``, []string{"data=é"}, `{"data":"w6k="}`},
		{"bytes that are no text", ``, []string{"data=\xff"}, `{"data":"/w=="}`},
		{"bytes of a file", ``, []string{"data=@b.bin"}, `{"data":"AP8="}`},
		{"bytes in base64", ``, []string{"data=base64:AP8="}, `{"data":"AP8="}`},
		{"bytes in base64 for addresses, without its end", ``, []string{"data=base64:-_8"}, `{"data":"+/8="}`},
		{"bytes in hexadecimal", ``, []string{"data=hex:00fF"}, `{"data":"AP8="}`},
		{"bytes that say null", ``, []string{"data=null"}, `{"data":"bnVsbA=="}`},
		{"booleans", ``, []string{"flag=TRUE", "w_flag=0"}, `{"flag":true,"wFlag":false}`},
		{"the least", ``, []string{"i32=-2147483648", "i64=-9223372036854775808", "s32=-2147483648", "sf64=-9223372036854775808", "u32=0"}, `{"i32":"-2147483648","i64":"-9223372036854775808","s32":"-2147483648","sf64":"-9223372036854775808","u32":"0"}`},
		{"the greatest", ``, []string{"i32=2147483647", "i64=9223372036854775807", "u32=4294967295", "u64=18446744073709551615", "f32=4294967295"}, `{"i32":"2147483647","i64":"9223372036854775807","u32":"4294967295","u64":"18446744073709551615","f32":"4294967295"}`},
		{"other bases", ``, []string{"i32=-0xfF", "i64=0b101", "u32=0o17", "u64=1_000"}, `{"i32":"-255","i64":"5","u32":"15","u64":"1000"}`},
		{"zeros in front", ``, []string{"i32=010", "i64=-08", "u32=000", "s32=+007"}, `{"i32":"10","i64":"-8","u32":"0","s32":"7"}`},
		{"floating point", ``, []string{"small=0.1", "big=-1e-7"}, `{"small":0.1,"big":-1e-07}`},
		{"what is no number", ``, []string{"small=NaN", "big=-inf"}, `{"small":"NaN","big":"-Infinity"}`},
		{"infinity", ``, []string{"big=+Infinity"}, `{"big":"Infinity"}`},
		{"the greatest floating point", ``, []string{"small=3.4028235e38", "big=1.7976931348623157e308"}, `{"small":3.4028235e+38,"big":1.7976931348623157e+308}`},
		{"an enum by name", ``, []string{"color=COLOR_RED"}, `{"color":"COLOR_RED"}`},
		{"an enum in any case", ``, []string{"color=color-dark-blue"}, `{"color":"COLOR_DARK_BLUE"}`},
		{"an enum without its prefix", ``, []string{"color=darkBlue"}, `{"color":"COLOR_DARK_BLUE"}`},
		{"an enum by number", ``, []string{"color=-3"}, `{"color":-3}`},
		{"an enum by a number that it has not", ``, []string{"color=077"}, `{"color":77}`},
	})
	testSetErrors(t, []setTest{
		{"text that is none", ``, []string{"text=\xff"}, "the value is no UTF-8 text"},
		{"a file that is not there", ``, []string{"data=@c"}, "file does not exist"},
		{"base64 that is none", ``, []string{"data=base64:***"}, "what follows base64: is no base64"},
		{"hexadecimal that is none", ``, []string{"data=hex:0g"}, "what follows hex: is no hexadecimal"},
		{"half a byte", ``, []string{"data=hex:0"}, "what follows hex: is no hexadecimal"},
		{"no boolean", ``, []string{"flag=yes"}, `"yes" is no boolean: use true or false`},
		{"no number", ``, []string{"i32=x"}, `"x" is no whole number (int32)`},
		{"no number at all", ``, []string{"i32="}, `"" is no whole number (int32)`},
		{"signs", ``, []string{"i32=+-1"}, `"+-1" is no whole number (int32)`},
		{"a fraction", ``, []string{"i64=1.0"}, `"1.0" is no whole number (int64)`},
		{"below the least", ``, []string{"i32=-2147483649"}, "-2147483649 is out of the range of a whole number (int32)"},
		{"beyond the greatest", ``, []string{"u64=18446744073709551616"}, "18446744073709551616 is out of the range of a whole number from 0 (uint64)"},
		{"below 0", ``, []string{"u32=-1"}, `"-1" is no whole number from 0 (uint32)`},
		{"beyond a float", ``, []string{"small=3.5e38"}, "3.5e38 is out of the range of a number (float)"},
		{"beyond a double", ``, []string{"big=1e309"}, "1e309 is out of the range of a number (double)"},
		{"no such value", ``, []string{"color=redd"}, `"redd" is none of the values of Color`},
		{"a number that no enum has", ``, []string{"color=2147483648"}, `"2147483648" is none of the values of Color`},
	})
}

func TestLists(t *testing.T) {
	t.Parallel()
	testSet(t, []setTest{
		{"again", ``, []string{"tags=a", "tags=b"}, `{"tags":["a","b"]}`},
		{"commas", ``, []string{"tags=a,b,,c "}, `{"tags":["a","b","","c "]}`},
		{"none", ``, []string{"tags="}, `{"tags":[]}`},
		{"commas in quotes", ``, []string{`tags="a,b",c`}, `{"tags":["a,b","c"]}`},
		{"quotes in quotes", ``, []string{`tags="say ""hi""",""`}, `{"tags":["say \"hi\"",""]}`},
		{"quotes elsewhere", ``, []string{`tags=5" nails,a"b"`}, `{"tags":["5\" nails","a\"b\""]}`},
		{"lines in quotes", ``, []string{"tags=\"a\r\nb\",c\nd"}, `{"tags":["a\r\nb","c\nd"]}`},
		{"JSON", ``, []string{`tags=["a,b","c"]`, "tags=d"}, `{"tags":["a,b","c","d"]}`},
		{"numbers", ``, []string{"counts=1,-0x2", "counts=[3]"}, `{"counts":["1","-2",3]}`},
		{"bytes", ``, []string{"blobs=a,hex:ff,base64:AA=="}, `{"blobs":["YQ==","/w==","AA=="]}`},
		{"enums", ``, []string{"colors=red,2"}, `{"colors":["COLOR_RED",2]}`},
		{"messages", ``, []string{`stops={"city":"a,b"}`, `stops=@a.json`, `stops=[{},{"city":"c"}]`}, `{"stops":[{"city":"a,b"},{"city":"Oslo"},{},{"city":"c"}]}`},
		{"times", ``, []string{"times=now", "times=2026-01-02"}, `{"times":["2026-02-03T04:05:06.007Z","2026-01-02T00:00:00Z"]}`},
		{"values", ``, []string{"values=null", "values=text", `values=[1,[2]]`}, `{"values":[null,"text",1,[2]]}`},
		{"taken away", ``, []string{"counts=1", "counts=null", "stops={}", "stops=null"}, `{}`},
		{"text that says null", ``, []string{"tags=null"}, `{"tags":["null"]}`},
	})
	testSetErrors(t, []setTest{
		{"one is wrong", ``, []string{"counts=1,x"}, `"x" is no whole number (int32)`},
		{"a quote that stays open", ``, []string{`tags="a,b`}, `nothing closes a "`},
		{"a quote alone", ``, []string{`tags="`}, `nothing closes a "`},
		{"more behind a quote", ``, []string{`tags="a"b,c`}, `"b,c" comes behind a closing "`},
		{"JSON that is cut off", ``, []string{`counts=[1`}, `"[1" is no JSON array: it ends in the middle`},
		{"JSON with more behind it", ``, []string{`counts=[1],2`}, `is no JSON array: there is more after the JSON value`},
		{"a message that is none", ``, []string{`stops=Oslo`}, `"Oslo" is no JSON for a Address`},
		{"a message that is a number", ``, []string{`stops=5`}, `"5" is no JSON object, as a Address is`},
	})
}

func TestMaps(t *testing.T) {
	t.Parallel()
	testSet(t, []setTest{
		{"again", ``, []string{"labels=a=1", "labels=b=2=3", "labels=a=4"}, `{"labels":{"a":"4","b":"2=3"}}`},
		{"commas", ``, []string{`labels=a=1,"b=2,3",c=`}, `{"labels":{"a":"1","b":"2,3","c":""}}`},
		{"none", ``, []string{"labels="}, `{"labels":{}}`},
		{"JSON", ``, []string{`labels={"a b":"1"}`, "labels=c=2"}, `{"labels":{"a b":"1","c":"2"}}`},
		{"an empty key", ``, []string{"labels==x"}, `{"labels":{"":"x"}}`},
		{"numbers", ``, []string{"numbers=0x10=-5,-1=6"}, `{"numbers":{"16":"-5","-1":"6"}}`},
		{"booleans and enums", ``, []string{"switches=t=red,false=0"}, `{"switches":{"true":"COLOR_RED","false":0}}`},
		{"messages", ``, []string{`places=home={"city":"a,b=c"}`, "places=work=@a.json"}, `{"places":{"home":{"city":"a,b=c"},"work":{"city":"Oslo"}}}`},
		{"taken away", ``, []string{"labels=a=1", "labels=null"}, `{}`},
	})
	testSetErrors(t, []setTest{
		{"no =", ``, []string{"labels=a"}, `"a" has not the form key=value`},
		{"no = in the second", ``, []string{"labels=a=1,b"}, `"b" has not the form key=value`},
		{"a key that is wrong", ``, []string{"numbers=a=1"}, `the key "a": "a" is no whole number (int32)`},
		{"a value that is wrong", ``, []string{"numbers=1=a"}, `"a" is no whole number (int64)`},
		{"a key that is no text", ``, []string{"labels=\xff=1"}, "the value is no UTF-8 text"},
		{"JSON with a key twice", ``, []string{`labels={"a":"1","a":"2"}`}, `the key "a" is there twice`},
	})
}

func TestWellKnown(t *testing.T) {
	t.Parallel()
	testSet(t, []setTest{
		{"now", ``, []string{"at=now"}, `{"at":"2026-02-03T04:05:06.007Z"}`},
		{"before now", ``, []string{"at=-2h"}, `{"at":"2026-02-03T02:05:06.007Z"}`},
		{"after now", ``, []string{"at=+1.5d"}, `{"at":"2026-02-04T16:05:06.007Z"}`},
		{"a date", ``, []string{"at=2026-01-02"}, `{"at":"2026-01-02T00:00:00Z"}`},
		{"RFC 3339", ``, []string{"at=2026-01-02T03:04:05.123456789+02:00"}, `{"at":"2026-01-02T01:04:05.123456789Z"}`},
		{"the first time", ``, []string{"at=0001-01-01T00:00:00Z"}, `{"at":"0001-01-01T00:00:00Z"}`},
		{"no time", ``, []string{"at=now", "at=null"}, `{}`},
		{"a duration", ``, []string{"every=1h30m"}, `{"every":"5400s"}`},
		{"less than a second", ``, []string{"every=-250ms"}, `{"every":"-0.25s"}`},
		{"days", ``, []string{"every=2d"}, `{"every":"172800s"}`},
		{"a nanosecond", ``, []string{"every=1ns"}, `{"every":"0.000000001s"}`},
		{"the longest", ``, []string{"every=315576000000s"}, `{"every":"315576000000s"}`},
		{"as JSON has it", ``, []string{"every=+1.123456789s"}, `{"every":"1.123456789s"}`},
		{"a fraction alone", ``, []string{"every=.5s"}, `{"every":"0.5s"}`},
		{"zeros in front of a duration", ``, []string{"every=-007s"}, `{"every":"-7s"}`},
		{"a mask of names in JSON", ``, []string{"mask=homeAddress.city,text"}, `{"mask":"homeAddress.city,text"}`},
		{"a mask of names in the schema", ``, []string{"mask=home_address.street_name,text"}, `{"mask":"homeAddress.streetName,text"}`},
		{"no mask", ``, []string{"mask="}, `{"mask":""}`},
		{"a Struct", ``, []string{`object={"a":[1,null]}`}, `{"object":{"a":[1,null]}}`},
		{"a Struct of a file", ``, []string{`object=@a.json`}, `{"object":{"city":"Oslo"}}`},
		{"a Value that is JSON", ``, []string{`value={"a":1.50}`}, `{"value":{"a":1.50}}`},
		{"a Value that is none", ``, []string{`value={a`}, `{"value":"{a"}`},
		{"a Value that is null", ``, []string{`value=null`}, `{"value":null}`},
		{"a Value that is no text", ``, []string{`value=`}, `{"value":""}`},
		{"a ListValue", ``, []string{`list=[1,"a",[]]`}, `{"list":[1,"a",[]]}`},
		{"an Empty", ``, []string{`empty=`}, `{"empty":{}}`},
		{"an Any", ``, []string{`any={"@type":"type.googleapis.com/test.v1.Address","city":"x"}`}, `{"any":{"@type":"type.googleapis.com/test.v1.Address","city":"x"}}`},
		{"wrappers", ``, []string{"w_text=", "w_int=-1", "w_data=hex:ff"}, `{"wText":"","wInt":"-1","wData":"/w=="}`},
		{"wrappers of null", ``, []string{"w_text=null", "w_int=5", "w_int=null", "w_data=null"}, `{"wText":"null","wData":"bnVsbA=="}`},
		{"null", ``, []string{"none=null"}, `{"none":null}`},
		{"a message of a file", ``, []string{"home_address=@a.json", "home_address.street_name=x"}, `{"homeAddress":{"city":"Oslo","streetName":"x"}}`},
	})
	testSetErrors(t, []setTest{
		{"no time", ``, []string{"at=yesterday"}, `"yesterday" is no time: use`},
		{"a day that there is not", ``, []string{"at=2026-02-30"}, `"2026-02-30" is no time: use`},
		{"before the first time", ``, []string{"at=0001-01-01T00:00:00+01:00"}, `is not within the years 1 to 9999`},
		{"after the last time", ``, []string{"at=9999-12-31T23:59:59-01:00"}, `is not within the years 1 to 9999`},
		{"no duration", ``, []string{"every=1"}, `"1" is no duration: use`},
		{"an infinite duration", ``, []string{"every=infs"}, `"infs" is no duration: use`},
		{"no number of days", ``, []string{"every=nand"}, `"nand" is no duration: use`},
		{"longer than the longest", ``, []string{"every=315576000001s"}, `is no duration: use`},
		{"signs", ``, []string{"every=+-5s"}, `is no duration: use`},
		{"a mask that is no text", ``, []string{"mask=\xff"}, "the value is no UTF-8 text"},
		{"a Value that is no text", ``, []string{"value=\xff"}, "the value is no UTF-8 text"},
		{"text in a Value that is none", ``, []string{"value=\"\xff\""}, "the value is no UTF-8 text"},
		{"a Value with a key twice", ``, []string{`value={"a":1,"a":2}`}, `the key "a" is there twice`},
		{"a Struct that is a list", ``, []string{`object=[]`}, `"[]" is no JSON object, as a Struct is`},
		{"a ListValue that is none", ``, []string{`list={}`}, `"{}" is no JSON array, as a ListValue is`},
		{"a message that is null", ``, []string{`stops.0=null`}, `"null" is no JSON object, as a Address is`},
		{"much that is no message", ``, []string{`home_address=` + strings.Repeat("é", 1000)}, strings.Repeat("é", 60) + `…" is no JSON for a Address`},
	})
}

// TestLocalTimes reads a date with a time but no zone as a person here means it.
func TestLocalTimes(t *testing.T) {
	t.Parallel()
	m, _ := compile(t, everything).Message("test.v1.All")
	want := `{"at":"` + time.Date(2026, 1, 2, 15, 4, 0, 0, time.Local).UTC().Format(time.RFC3339) + `"}`
	for _, in := range []string{"2026-01-02 15:04", "2026-01-02T15:04", "2026-01-02 15:04:00", "2026-01-02T15:04:00"} {
		if got, err := set(m, "", []string{"at=" + in}, given()); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
}

// TestStrangers reads no file for somebody who must not see it.
func TestStrangers(t *testing.T) {
	t.Parallel()
	m, _ := compile(t, everything).Message("test.v1.All")
	v := Values{Now: func() time.Time { return clock }}
	if got, err := set(m, "", []string{"data=@/etc/passwd"}, v); err != nil || got != `{"data":"QC9ldGMvcGFzc3dk"}` {
		t.Errorf("bytes: got %s, %v", got, err)
	}
	for _, flag := range []string{"home_address=@/etc/passwd", "stops=@/etc/passwd", "places=a=@/etc/passwd", "object=@/etc/passwd"} {
		if got, err := set(m, "", []string{flag}, v); err == nil || !strings.Contains(err.Error(), "is no JSON") {
			t.Errorf("%s: got %s, %v", flag, got, err)
		}
	}
}

// FuzzSet sets a field to anything: it is refused, or what comes out is JSON that
// is the same when it is read again.
func FuzzSet(f *testing.F) {
	for _, s := range []string{
		"text=x", "home-address-city=x", `labels."a.b"=c`, "stops.3.city=x", "tags=a,\"b\"", "counts=1,2", "value=[1,{}]",
		"object.a.b=1", "every=-1.5s", "at=-2h", "mask=a_b.c", "any={}", "labels=a=b", "numbers.0x1=2", "w_int=null", "nothing=null", "color=red",
	} {
		name, value, _ := strings.Cut(s, "=")
		f.Add(name, value, `{"tags":["a"],"object":{"a":[1]}}`)
	}
	table := compile(f, everything)
	m, _ := table.Message("test.v1.All")
	v := Values{Now: func() time.Time { return clock }}
	f.Fuzz(func(t *testing.T, name, value, body string) {
		b, err := ParseBody([]byte(body))
		if err != nil {
			return
		}
		_ = IsSwitch(m, name)
		if err := b.Set(m, name, value, v); err != nil {
			return
		}
		text := b.JSON()
		again, err := ParseBody(text)
		if err != nil {
			t.Fatalf("%q=%q over %q: %s: %v", name, value, body, text, err)
		}
		if got := again.JSON(); string(got) != string(text) {
			t.Errorf("%q=%q over %q: %s is %s when it is read again", name, value, body, text, got)
		}
		_, _ = m.AppendWire(nil, text, wire.DecodeOptions{})
	})
}

// FuzzParseBody takes what is a JSON object without a key twice, and gives it back
// with its scalars as they were.
func FuzzParseBody(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1.50,-0,"\u0061",null,true,{"b":""}]}`, `{"a":1,"a":2}`, `{"\ud800":1}`, `[`, `{"a":1e999}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := ParseBody(text)
		if err != nil {
			return
		}
		out := b.JSON()
		again, err := ParseBody(out)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
		if got := again.JSON(); string(got) != string(out) {
			t.Errorf("%q became %q became %q", text, out, got)
		}
	})
}
