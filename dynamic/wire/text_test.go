package wire

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestOrdinary compares looking at eight bytes at once with looking at each.
func TestOrdinary(t *testing.T) {
	t.Parallel()
	naive := func(b []byte) int {
		i := bytes.IndexFunc(b, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r >= 0x80 })
		if i < 0 {
			return len(b)
		}
		return i
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	interesting := []byte("\x00\x1f \x21\"#[\\]~\x7f\x80\xa2\xdc\xff")
	for range 20_000 {
		b := bytes.Repeat([]byte("a"), rnd.IntN(40))
		for range rnd.IntN(3) {
			if len(b) > 0 {
				b[rnd.IntN(len(b))] = interesting[rnd.IntN(len(interesting))]
			}
		}
		if got, want := ordinary(b), naive(b); got != want {
			t.Fatalf("%q: got %d, want %d", b, got, want)
		}
	}
}

// TestStrings sends all kinds of strings to JSON and back.
func TestStrings(t *testing.T) {
	t.Parallel()
	var control strings.Builder
	for c := range 0x20 {
		control.WriteByte(byte(c))
	}
	for _, s := range []string{"", "a", "\x7f", control.String(), `"\/`, "naïve", "\u2028\ufffd😀", strings.Repeat("ü", 100), strings.Repeat("x", 1000)} {
		for _, capacity := range []int{0, 2000} {
			quoted, ok := appendString(make([]byte, 0, capacity), []byte(s))
			if !ok {
				t.Errorf("%q: no JSON", s)
				continue
			}
			var got string
			if err := json.Unmarshal(quoted, &got); err != nil || got != s {
				t.Errorf("%q: got %s (%v)", s, quoted, err)
			}
			if n, _, reason := lexString(quoted); reason != "" || n != len(quoted) {
				t.Errorf("%s: %s", quoted, reason)
			}
		}
	}
	for _, s := range []string{"\xff", "a\x80", "\xed\xa0\x80", "\xc0\x80", strings.Repeat("x", 50) + "\xfe"} {
		if quoted, ok := appendString(nil, []byte(s)); ok {
			t.Errorf("%q: got %s, want none", s, quoted)
		}
	}
}

func TestUnescape(t *testing.T) {
	t.Parallel()
	const bad = "bad"
	tests := []struct{ in, want string }{
		{`a`, "a"},
		{`\"\\\/\b\f\n\r\t`, "\"\\/\b\f\n\r\t"},
		{`\u0041\u00e9\uFFFD`, "Aé\ufffd"},
		{`\ud83d\ude00!`, "😀!"},
		{`\uD83D\uDE00`, "😀"},
		{`\u0000`, "\x00"},
		{`\`, bad},
		{`\x`, bad},
		{`\u12`, bad},
		{`\u12G4`, bad},
		{`\u+123`, bad},
		{`\ud83d`, bad},
		{`\ud83dxxxxxx`, bad},
		{`\ud83d\u0041`, bad},
		{`\ud83d\n`, bad},
		{`\ude00\ud83d`, bad},
		{`\ud83d\ud83d\ude00`, bad},
	}
	for _, test := range tests {
		got, ok := unescape(nil, []byte(test.in))
		if !ok {
			got = []byte(bad)
		}
		if string(got) != test.want {
			t.Errorf("%s: got %q, want %q", test.in, got, test.want)
		}
	}
}

func TestAppendIndent(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`{}`, `[]`, `"a"`, `1`, `null`,
		`{"a":1,"b":[1,2,{"c":{}}],"d":[],"e":"{\"[,:]}"}`,
		`[[[]],{"a":[{}]}]`,
	} {
		var want bytes.Buffer
		if err := json.Indent(&want, []byte(in), "", "  "); err != nil {
			t.Fatal(err)
		}
		if got := AppendIndent([]byte("x"), []byte(in), "  "); string(got) != "x"+want.String() {
			t.Errorf("%s: got %s, want %s", in, got, want.String())
		}
	}
	// What is not JSON must neither panic nor grow beyond measure.
	for _, in := range []string{`"`, `}`, `]]]]`, `{"a`, strings.Repeat("[", 10_000)} {
		if got := AppendIndent(nil, []byte(in), "  "); len(got) > 3_000_000 {
			t.Errorf("%.20q: %d bytes", in, len(got))
		}
	}
}
