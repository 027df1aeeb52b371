package front

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/envs"
)

func newTestHistory(t *testing.T) (h History, path string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	h, ok := NewHistory(envs.Dirs{State: dir}, func(string) string { return "" })
	if !ok {
		t.Fatal("no history")
	}
	return h, filepath.Join(dir, "history.ndjson")
}

func aPast(args ...string) Past {
	return Past{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Env: "local", Namespace: "micro",
		Service: "helloworld", Words: []string{"call"}, Endpoint: "Helloworld.Call", Args: args, Millis: 12,
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	h, path := newTestHistory(t)
	if all, err := h.Read(); err != nil || len(all) != 0 {
		t.Fatalf("an empty history: %v, %v", all, err)
	}
	if err := h.Clear(); err != nil {
		t.Fatal(err)
	}
	first, second := aPast("--name=a"), aPast("a\"\\\n\x00\u2028é😀\xff")
	second.Hidden, second.Exit, second.Code = []string{"--token"}, 5, "NotFound"
	for _, p := range []Past{first, second} {
		if err := h.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	first.Number, second.Number = 1, 2
	second.Args[0] = "a\"\\\n\x00\u2028é😀\ufffd"
	got, err := h.Read()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Past{first, second}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := h.Clear(); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Read(); err != nil || len(got) != 0 {
		t.Errorf("after Clear: %v, %v", got, err)
	}
}

func TestHistoryLineIsThatOfEncodingJSON(t *testing.T) {
	t.Parallel()
	full := aPast("--name=a", "<&>")
	full.Number, full.Hidden, full.Cut, full.Exit, full.Code = 7, []string{"--key"}, true, 2, "InvalidArgument"
	for _, p := range []Past{full, {}, aPast()} {
		var got Past
		if err := json.Unmarshal(p.appendJSON(nil), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		want, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(want))
		if got := string(p.appendJSON(nil)); got != plain {
			t.Errorf("got %s, want %s", got, plain)
		}
	}
}

func TestDamagedHistory(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"a line":             "nonsense\n",
		"a line without end": `{"n":3,"time":"20`,
		"zeros":              strings.Repeat("\x00", 5000),
		"a long line":        strings.Repeat("x", 200_000) + "\n",
		"another number":     "{\"n\":99999999999}\n",
		"no service":         "{\"n\":7}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, path := newTestHistory(t)
			if err := h.Add(aPast("before")); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(b, damage...), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := h.Add(aPast("after")); err != nil {
				t.Fatal(err)
			}
			all, err := h.Read()
			if err != nil || len(all) != 2 || all[0].Args[0] != "before" || all[1].Args[0] != "after" || all[1].Number <= all[0].Number {
				t.Errorf("got %+v, %v", all, err)
			}
		})
	}
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	for name, arg := range map[string]string{"many": "x", "long": strings.Repeat("x", maxPastLine/2)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, path := newTestHistory(t)
			const n = 2500
			for range n {
				if err := h.Add(aPast(arg)); err != nil {
					t.Fatal(err)
				}
			}
			info, err := os.Stat(path)
			if err != nil || info.Size() > maxPastBytes {
				t.Errorf("the file has %d bytes, %v", info.Size(), err)
			}
			all, err := h.Read()
			if err != nil || len(all) > maxPast || len(all) < 90 {
				t.Errorf("%d calls, %v", len(all), err)
			}
			for i, p := range all {
				if want := n - len(all) + i + 1; p.Number != want {
					t.Fatalf("call %d has the number %d", want, p.Number)
				}
			}
		})
	}
}

func TestHistoryOfLongCall(t *testing.T) {
	t.Parallel()
	h, _ := newTestHistory(t)
	if err := h.Add(aPast(strings.Repeat("x", maxPastLine))); err != nil {
		t.Fatal(err)
	}
	all, err := h.Read()
	if err != nil || len(all) != 1 || !all[0].Cut || all[0].Args != nil {
		t.Errorf("got %+v, %v", all, err)
	}
	long := aPast()
	long.Words = []string{strings.Repeat("x", maxPastLine)}
	if err := h.Add(long); err == nil {
		t.Error("a call whose name is too long was kept")
	}
}

func TestConcurrentHistory(t *testing.T) {
	t.Parallel()
	h, _ := newTestHistory(t)
	const writers, each = 8, 300 // more than is kept
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := h.Add(aPast("--name=x")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	all, err := h.Read()
	if err != nil {
		t.Fatal(err)
	}
	if last := all[len(all)-1].Number; last != writers*each {
		t.Errorf("the last call has the number %d", last)
	}
	for i := range all[1:] {
		if all[i+1].Number != all[i].Number+1 {
			t.Fatalf("%d follows %d", all[i+1].Number, all[i].Number)
		}
	}
}

func TestHistoryOff(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"off", "OFF", "0", "no", "false"} {
		if _, ok := NewHistory(envs.Dirs{}, func(string) string { return v }); ok {
			t.Errorf("MICRO_HISTORY=%s keeps a history", v)
		}
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		typed  typedArg
		want   string // empty for nothing at all
		hidden []string
	}{
		{"a field", typedArg{"--name", "Alice", true}, "--name=Alice", nil},
		{"a switch", typedArg{flag: "--no-password"}, "--no-password", nil},
		{"a password", typedArg{"--password", "x", true}, "", []string{"--password"}},
		{"of a variable", typedArg{"--password", "${PW}", true}, "--password=${PW}", nil},
		{"of a variable and more", typedArg{"--password", "x${PW}", true}, "", []string{"--password"}},
		{"what stands for a variable", typedArg{"--password", "$${PW}", true}, "", []string{"--password"}},
		{"nested", typedArg{"--user.apiKey", "x", true}, "", []string{"--user.apiKey"}},
		{"with dashes", typedArg{"--api-key", "x", true}, "", []string{"--api-key"}},
		{"a header", typedArg{"-H", "Authorization: Bearer x", true}, "", []string{"-H Authorization"}},
		{"a header of a variable", typedArg{"-H", "Authorization: Bearer ${T}", true}, "-H=Authorization: Bearer ${T}", nil},
		{"another header", typedArg{"--header", "a:b", true}, "--header=a:b", nil},
		{"a cookie", typedArg{"-H", "cookie: a=b", true}, "", []string{"-H cookie"}},
		{"a file", typedArg{value: "@f"}, "@f", nil},
		{"a file by flag", typedArg{"--json", "@token", true}, "--json=@token", nil},
		{"standard input", typedArg{value: "-"}, "-", nil},
		{"a body", typedArg{value: `{"a": 1.50}`}, `{"a": 1.50}`, nil},
		{
			"a body with secrets",
			typedArg{value: `{"a":1.50,"user":{"password":"x"},"list":[{"token":"y"},{"token":"${T}"}],"a.b":{"secret":1}}`},
			`{"a":1.50,"a.b":{"secret":"***"},"list":[{"token":"***"},{"token":"${T}"}],"user":{"password":"***"}}`,
			[]string{`--"a.b".secret`, "--list.0.token", "--user.password"},
		},
		{"a body by flag", typedArg{"--json", `{"pin":1}`, true}, `--json={"pin":"***"}`, []string{"--pin"}},
		{"a body that is no JSON", typedArg{value: `{"token": ${T}}`}, "***", []string{"the body"}},
		{"a body that is no JSON and no secret", typedArg{value: `{"n": ${N}}`}, `{"n": ${N}}`, nil},
		{"a map", typedArg{"--labels", "a=b,token=x", true}, "", []string{"--labels"}},
		{"a map without", typedArg{"--labels", "a=b,c=d", true}, "--labels=a=b,c=d", nil},
		{"JSON in a flag", typedArg{"--items", `[{"secret":"x"}]`, true}, "", []string{"--items"}},
		{"an address", typedArg{"--url", "postgres://me:pw@host/db", true}, "", []string{"--url"}},
		{"an address without", typedArg{"--url", "https://host:80/a@b", true}, "--url=https://host:80/a@b", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, hidden := tt.typed.kept()
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.hidden, hidden); diff != "" {
				t.Errorf("hidden (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	getenv := func(name string) string {
		return map[string]string{"A": "value", "_b1": `q"\` + "\n", "N": "7"}[name]
	}
	for _, tt := range []struct{ in, want, unset string }{
		{"", "", ""},
		{"plain", "plain", ""},
		{"${A}", "value", ""},
		{"a${A}b${A}c", "avaluebvaluec", ""},
		{"${_b1}", "q\"\\\n", ""},
		{"$${A}", "${A}", ""},
		{"$$${A}", "$${A}", ""},
		{"$A", "$A", ""},
		{"${", "${", ""},
		{"${}", "${}", ""},
		{"${1}", "${1}", ""},
		{"${a.b}", "${a.b}", ""},
		{"${A", "${A", ""},
		{"${NOPE}", "", "NOPE"},
	} {
		got, err := expand(tt.in, getenv)
		if unset, ok := err.(*UnsetError); got != tt.want || ok != (tt.unset != "") || ok && unset.Name != tt.unset { //nolint:errorlint // it is not wrapped
			t.Errorf("expand(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{`{"a": "${_b1}"}`, `{"a": "q\"\\\n"}`},
		{`{"a\"${A}": ${N}}`, `{"a\"value": 7}`},
		{`{"a": ["$${A}", ${N}]}`, `{"a": ["${A}", 7]}`},
		{`{"a": ${A}}`, ""},
		{`{"a": "${NOPE}"}`, ""},
	} {
		got, err := expandJSON([]byte(tt.in), getenv)
		if (err == nil) != (tt.want != "") || err == nil && string(got) != tt.want {
			t.Errorf("expandJSON(%s) = %s, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}
