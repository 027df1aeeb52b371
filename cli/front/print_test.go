package front

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestPrintJSON(t *testing.T) {
	t.Parallel()
	fits := `{"a":"` + strings.Repeat("x", lineWidth-len(`{"a": ""}`)) + `"}`
	wider := strings.Replace(fits, "x", "xx", 1)
	wide := `{"a":"` + strings.Repeat("é", lineWidth-len(`{"a": ""}`)) + `"}` // of as many columns, and twice the bytes
	for _, tt := range []struct {
		name, in string
		format   Format
		want     string
	}{
		{"empty", `{}`, FormatAuto, `{}`},
		{"short", `{"a":1,"b":[true,null],"c":{"d":"x"}}`, FormatAuto, `{"a": 1, "b": [true, null], "c": {"d": "x"}}`},
		{"colons in strings", `{"a:b,c":"d:e,f"}`, FormatAuto, `{"a:b,c": "d:e,f"}`},
		{"quotes in strings", `{"a\"b:":"\\","c":"\\\":,"}`, FormatAuto, `{"a\"b:": "\\", "c": "\\\":,"}`},
		{"just fits", fits, FormatAuto, strings.Replace(fits, ":", ": ", 1)},
		{"too wide", wider, FormatAuto, "{\n  " + strings.Replace(wider[1:len(wider)-1], ":", ": ", 1) + "\n}"},
		{"counted in characters", wide, FormatAuto, strings.Replace(wide, ":", ": ", 1)},
		{"an order for the terminal", "{\"a\":\"\u009b2J\x7f\"}", FormatAuto, `{"a": "\u009b2J\u007f"}`},
		{"for a program", wider, FormatJSON, wider},
		{"for a program, as it is", "{\"a\":\"\u009b2J\x7f\"}", FormatJSON, "{\"a\":\"\u009b2J\x7f\"}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := PrintJSON(&b, []byte(tt.in), tt.format); err != nil {
				t.Fatal(err)
			}
			if b.String() != tt.want+"\n" {
				t.Errorf("PrintJSON(%s) = %s, want %s", tt.in, &b, tt.want)
			}
		})
	}
}

// Whatever is printed is the same value.
func FuzzPrintJSON(f *testing.F) {
	f.Add([]byte(`{"a":"b\\\":,","c":[1,-2.5e3,"é"]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var compact bytes.Buffer
		if json.Compact(&compact, in) != nil {
			return
		}
		for _, format := range []Format{FormatAuto, FormatJSON} {
			var printed, again bytes.Buffer
			if err := PrintJSON(&printed, compact.Bytes(), format); err != nil {
				t.Fatal(err)
			}
			if err := json.Compact(&again, printed.Bytes()); err != nil {
				t.Fatalf("%s printed as %s: %v", in, &printed, err)
			}
			want := compact.Bytes()
			if format == FormatAuto {
				want = appendPrintableJSON(nil, want)
			}
			if !bytes.Equal(again.Bytes(), want) {
				t.Errorf("%s printed as %s", in, &printed)
			}
		}
	})
}
