package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/cli/front"
)

func TestReadYAML(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, yaml, want string }{
		{"mapping", "name: Alice\nage: 3\n", `{"name":"Alice","age":3}`},
		{"flow", `{name: Alice, tags: [a, 1, true, null]}`, `{"name":"Alice","tags":["a",1,true,null]}`},
		{"json", `{"a": "\u00e9 \"x\""}`, `{"a":"é \"x\""}`},
		{"documents", "a: 1\n---\nb: 2\n", `{"a":1}{"b":2}`},
		{
			"numbers", "[0x10, 0o17, +5, 1_000, 12345678901234567890123, -9223372036854775808, 1.50, .5, 1e3]",
			`[16,15,5,1000,12345678901234567890123,-9223372036854775808,1.50,0.5,1e3]`,
		},
		{"not finite", "[.nan, .inf, -.Inf]", `["NaN","Infinity","-Infinity"]`},
		{"words that are no booleans", "[yes, no, on, off, y]", `["yes","no","on","off","y"]`},
		{"booleans", "[true, False]", `[true,false]`},
		{"nothing", "a:\nb: ~\n", `{"a":null,"b":null}`},
		{"time", "t: 2026-01-02T03:04:05Z", `{"t":"2026-01-02T03:04:05Z"}`},
		{"binary", "b: !!binary |\n  aGVs\n  bG8=\n", `{"b":"aGVsbG8="}`},
		{"keys", "1: a\ntrue: b\n0x10: c\n", `{"1":"a","true":"b","16":"c"}`},
		{"alias", "a: &x {n: 1}\nb: *x\n", `{"a":{"n":1},"b":{"n":1}}`},
		{"merge", "a: &x {n: 1, m: 2}\nb:\n  m: 3\n  <<: *x\n", `{"a":{"n":1,"m":2},"b":{"m":3,"n":1}}`},
		{"text", "t: |\n  one\n  two\n", `{"t":"one\ntwo\n"}`},
		{"comments", "# about\na: 1 # more\n", `{"a":1}`},
		{"empty", "", ``},
		{"html", "a: <b>&", `{"a":"<b>&"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			for msg, err := range readYAML(strings.NewReader(tt.yaml)) {
				if err != nil {
					t.Fatal(err)
				}
				got.Write(msg.JSON)
			}
			if got.String() != tt.want {
				t.Errorf("got %s, want %s", got.String(), tt.want)
			}
		})
	}
}

func TestReadHostileYAML(t *testing.T) {
	t.Parallel()
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 12 {
		laughs.WriteString(strings.ReplaceAll(strings.ReplaceAll("aM: &aM [*aN, *aN, *aN, *aN, *aN, *aN, *aN, *aN, *aN, *aN]\n",
			"M", string(rune('b'+i))), "N", map[bool]string{true: "0", false: string(rune('a' + i))}[i == 0]))
	}
	tests := []struct{ name, yaml, want string }{
		{"cut", "a: [1, 2", "line"},
		{"twice", "a: 1\na: 2\n", `line 2: the key "a" is there twice`},
		{"list as key", "[1]: x\n", "a key is text"},
		{"itself", "a: &x [*x]\n", ""},
		{"laughs", laughs.String(), ""},
		{"deep", strings.Repeat("[", 20000), ""},
		{"merge of text", "<<: x\n", "<< takes a mapping"},
		{"control", "a: \x01\n", "control"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var err error
			for _, err = range readYAML(strings.NewReader(tt.yaml)) {
				if err != nil {
					break
				}
			}
			if err == nil || !strings.HasPrefix(err.Error(), "is not YAML: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// JSON printed as YAML and read again is the same JSON.
func TestYAMLRoundTrip(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	r := randomJSON{rand.New(rand.NewPCG(seed, 1))}
	for i := range 3000 {
		var value any = r.object(3)
		if i == 0 {
			value = map[string]any{"\ta\n": "\ta\n", "a\nb": []any{"\n", "\t\n "}}
		}
		want, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := jsonToYAML(&b, want); err != nil {
			t.Fatalf("seed %d: %s: %v", seed, want, err)
		}
		text := b.String()
		for msg, err := range readYAML(&b) {
			if err != nil {
				t.Fatalf("seed %d: %s: %v\n%s", seed, want, err, text)
			}
			if !sameJSON(t, msg.JSON, want) {
				t.Fatalf("seed %d: got %s, want %s\n%s", seed, msg.JSON, want, text)
			}
		}
	}
}

// randomJSON makes values of which YAML has other ideas than JSON.
type randomJSON struct{ *rand.Rand }

func (r randomJSON) text() string {
	special := []string{
		"", "yes", "no", "null", "~", "true", "1", "0x10", "1_000", "1e3", ".nan", ".inf", "<<", "=", "2026-01-02", "-", "- a", "# x", "a: b",
		" a", "a ", "\n", "a\nb", "\ta", "\n a", "\x7f", "\u0085", "\u2028", "\ufeff", "😀", "'", `"`, "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "{", "[", "\x00", "\x1b",
		"---", "...", "a\r\nb", "12:30:45", "0o7", "07", "+1", "?", ":", ",", "nul", "\ue000", "\ufffd", "\uffff",
	}
	switch r.IntN(3) {
	case 0:
		return special[r.IntN(len(special))]
	case 1:
		const letters = "0123456789_.:+-eExobn \n"
		b := make([]byte, r.IntN(8))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	default:
		runes := make([]rune, r.IntN(6))
		for i := range runes {
			runes[i] = rune(r.IntN(1 << (1 + r.IntN(20))))
		}
		return strings.ToValidUTF8(string(runes), "?")
	}
}

func (r randomJSON) object(depth int) map[string]any {
	m := map[string]any{}
	for range r.IntN(4) {
		m[r.text()] = r.value(depth - 1)
	}
	return m
}

func (r randomJSON) value(depth int) any {
	kinds := 7
	if depth <= 0 {
		kinds = 5
	}
	switch r.IntN(kinds) {
	case 0:
		return r.text()
	case 1:
		return r.Int64() - r.Int64()
	case 2:
		return r.NormFloat64() * math.Pow(10, float64(r.IntN(40)-20))
	case 3:
		return r.IntN(2) == 0
	case 4:
		return nil
	case 5:
		list := make([]any, r.IntN(4))
		for i := range list {
			list[i] = r.value(depth - 1)
		}
		return list
	default:
		return r.object(depth)
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var values [2]any
	for i, text := range [][]byte{a, b} {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&values[i]); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

func TestGuess(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       string // JSON, or the error
	}{
		{"json", " \n{\"a\": 1}", `{"a": 1}`},
		{"yaml", "a: 1\n", `{"a":1}`},
		{"nothing", "", ""},
		{"binary", "\x0a\x00\x01", "is no text"},
		{"binary without zeros", "\x0a\xff\xfe\x01\x01\x01", "is no text"},
		{"text cut in the buffer", "a: " + strings.Repeat("é", 5000), `{"a":"` + strings.Repeat("é", 5000) + `"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tab := table(t, fixture(t))
			m, _ := tab.Message("fixture.v1.Message")
			var got strings.Builder
			for msg, err := range (bodies{}).decode(m, front.BodyAuto, io.NopCloser(strings.NewReader(tt.body))) {
				if err != nil {
					got.WriteString(err.Error())
				}
				got.Write(msg.JSON)
			}
			if got.String() != tt.want && (tt.want == "" || tt.want[0] == '{' || !strings.HasPrefix(got.String(), tt.want)) {
				t.Errorf("got %q, want %q", got.String(), tt.want)
			}
		})
	}
}
