package config

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A path that can be read has one way to be written, and is within what it is below of.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"", "a", "a.b.c", `a\.b`, `a\\.b`, `\\\.`, "a..b", `a\`, "ä.ö", "\xff", "a.\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePath(s)
		if err != nil {
			return
		}
		if got := p.String(); got != s {
			t.Fatalf("%q is written %q", s, got)
		}
		var above []string
		for i := 1; i < len(p); i++ {
			above = append(above, p[:i].String())
		}
		if got := slices.Collect(ancestors(s)); !slices.Equal(got, above) {
			t.Fatalf("the ancestors of %q are %q, want %q", s, got, above)
		}
		for _, a := range append(above, s, "") {
			if !within(s, a) {
				t.Errorf("%q is not within %q", s, a)
			}
		}
		if s != "" && (within(s, s+"x") || within(s+"x", s)) {
			t.Errorf("%q and %qx are within each other", s, s)
		}
	})
}

// What a value is taken apart into is put together again.
func FuzzFlatten(f *testing.F) {
	for _, s := range []string{`1`, `{}`, `{"a":{"b":[1,{"c":2}]},"d":{}}`, `{"a.b":{"\\":1}}`, `{"$secret":{"a":1}}`, `{"a":1,"a":2}`, `{`, "\"\xff\"", `{"\ud800":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		in, err := flatten(path{"root"}, value, false)
		if err != nil || bytes.Contains(value, []byte("$")) || bytes.Contains(value, []byte(`\u`)) {
			return // a mark is no member any more
		}
		all := leaves{}
		for at, i := range in {
			if above := all.above(at); above != "" {
				t.Fatalf("%q is below %q", at, above)
			}
			all[at] = leaf{Value: i.value}
		}
		v, err := new(Config).value("ns", all, path{"root"}, Hide)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parsed(t, value), parsed(t, v.JSON)); diff != "" {
			t.Errorf("%s is %s (-want +got):\n%s", value, v.JSON, diff)
		}
	})
}

func parsed(t *testing.T, b []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}
