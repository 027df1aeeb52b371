package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/timestamppb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

func TestJSONToYAML(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, json, want string }{
		{"the order stays", `{"b":1,"a":{"d":"x","c":[1,"y",{"e":null}]}}`, "b: 1\na:\n  d: x\n  c:\n    - 1\n    - y\n    - e: null\n"},
		{"nothing in it", `{"a":{},"b":[]}`, "a: {}\nb: []\n"},
		{"numbers", `{"a":9007199254740993,"b":-0,"c":1e+21,"d":1.50,"e":20000000000000000000}`, "a: 9007199254740993\nb: -0\nc: 1e+21\nd: 1.50\ne: 20000000000000000000\n"},
		{"text that looks like something else", `{"a":"true","b":"null","c":"1e3","d":"012","e":"~","f":"","g":"- x"}`, "a: \"true\"\nb: \"null\"\nc: \"1e3\"\nd: \"012\"\ne: \"~\"\nf: \"\"\ng: '- x'\n"},
		{"lines", `{"a":"x\ny\n"}`, "a: |\n  x\n  y\n"},
		{"orders to a terminal", `{"a":"\u001b]0;x\u0007","\u001b[2J":1}`, "a: \"\\e]0;x\\a\"\n\"\\e[2J\": 1\n"},
		{"orders of one character", "{\"a\":\"\u009b2J\u007f\u0085\"}", "a: \"\\x9B2J\\x7F\\N\"\n"},
		{"pairs", `{"a":"\ud83d\ude00"}`, "a: \"\\U0001F600\"\n"},
		{"a long key", `{"` + strings.Repeat("k", 3000) + `":1}`, "? " + strings.Repeat("k", 3000) + "\n: 1\n"},
		{"a value alone", `"x"`, "x\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := jsonToYAML(&b, []byte(test.json)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, b.String()); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// FuzzJSONToYAML writes any JSON as YAML that says the same, and tells a terminal
// nothing.
func FuzzJSONToYAML(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-2.5e3,null,true,{}]}`, `"\u0000\u001b\u0085\ufeff\uffff"`, `{"":"","\n":"\r\n","# x":"a: b"}`,
		`{"` + strings.Repeat("k", 900) + `":1}`, `["=","<<","y","0o7","1_0",".inf","2026-01-02","!!str","&a","*a","|","%"]`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			return
		}
		want, err := json.Marshal(value) // with each key once
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := jsonToYAML(&b, want); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var got any
		if err := yaml.Unmarshal(b.Bytes(), &got); err != nil {
			t.Errorf("%q: %q is no YAML: %v", text, b.String(), err)
		}
		if !strings.ContainsAny(string(want), "0123456789") { // numbers become others in Go
			if back, err := json.Marshal(got); err != nil || string(back) != string(want) {
				t.Errorf("%q: %q is %q, %v", text, b.String(), back, err)
			}
		}
		for _, r := range b.String() {
			if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 {
				t.Errorf("%q: %q has a control character", text, b.String())
			}
		}
	})
}

func TestTable(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := newTable(&b)
	w.row("NAME", "REASON", "")
	w.row("a", "exit\t1\nand \x1b[31mmore", "")
	w.row("longer \xff\f\v", "", "")
	w.row("é", "x", "y")
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	want := `NAME                 REASON
a                    exit 1 and \x1b[31mmore
longer \xff\x0c\x0b
é                    x                        y
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	m := &runtimev1.Service{Name: "a\x1b", Instances: 2}
	table := func(w *tableWriter) { w.row("NAME", m.GetName()) }
	for f, want := range map[format]string{
		asTable: "NAME  a\\x1b\n",
		asJSON:  "{\n  \"name\": \"a\\u001b\",\n  \"instances\": 2\n}\n",
		asYAML:  "name: \"a\\e\"\ninstances: 2\n",
	} {
		var b bytes.Buffer
		if err := f.print(&b, m, table); err != nil {
			t.Errorf("%s: %v", f, err)
		}
		if d := cmp.Diff(want, b.String()); d != "" {
			t.Errorf("%s (-want +got)\n%s", f, d)
		}
		if err := f.print(fullDisk{}, m, table); !errors.Is(err, errFull) {
			t.Errorf("%s to a full disk: got %v", f, err)
		}
		var set format
		if err := set.Set(string(f)); err != nil || set != f {
			t.Errorf("set %s: got %s, %v", f, set, err)
		}
	}
	for _, s := range []string{"", "xml", "JSON"} {
		if err := new(format).Set(s); err == nil {
			t.Errorf("set %q: got no error", s)
		}
	}
}

var errFull = errors.New("no space left on device")

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestLogLine(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 3, 4, 5, 6, 7_000_000, time.Local)
	for _, test := range []struct {
		name     string
		o        logsOptions
		line     *runtimev1.LogLine
		instance bool
		services []string
		color    bool
		want     string
	}{
		{"text", logsOptions{}, &runtimev1.LogLine{Text: "hello"}, false, nil, false, "hello\n"},
		{"all that can be before it", logsOptions{times: true}, &runtimev1.LogLine{Text: "hello", Instance: "i\x1b1", Time: timestamppb.New(at)}, true, nil, false, "2026-02-03 04:05:06.007 [i\\x1b1] hello\n"},
		{"colours and nothing else", logsOptions{}, &runtimev1.LogLine{Text: "\x1b[31mred\x1b[2J\a"}, false, nil, false, "\x1b[31mred\\x1b[2J\\x07\x1b[0m\n"},
		{"the server's word", logsOptions{}, &runtimev1.LogLine{Text: "\x1b[31mended\nwith 1", Stream: runtimev1.LogStream_LOG_STREAM_SYSTEM}, false, nil, false, "-- \\x1b[31mended with 1\n"},
		{
			"of several services",
			logsOptions{},
			&runtimev1.LogLine{Text: "hello", Service: "a", Instance: "a-1-x"},
			false,
			[]string{"a", "b"},
			false, "[a] hello\n",
		},
		{
			"a level on a terminal",
			logsOptions{},
			&runtimev1.LogLine{Text: "ERROR x", Level: runtimev1.LogLevel_LOG_LEVEL_ERROR},
			false, nil, true, "\x1b[31mERROR x\x1b[0m\n",
		},
		{"JSON", logsOptions{out: asJSON}, &runtimev1.LogLine{Text: "\x1b[31m", Instance: "i"}, true, nil, false, `{"instance":"i","text":"\u001b[31m"}` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			test.o.out = orTable(test.o.out)
			p := newLogPrinter(&App{Out: &b, Terminal: Terminal{Out: test.color}, Getenv: func(string) string { return "" }}, &test.o, len(test.services))
			if test.instance {
				p.label(&runtimev1.LogLine{Instance: "another"})
			}
			if err := errors.Join(p.print(test.line), p.flush()); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, b.String()); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func orTable(f format) format {
	if f == "" {
		return asTable
	}
	return f
}
