package request

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/dynamic/wire"
)

// names is a server that makes every kind of trouble with names.
const names = `
syntax = "proto3";
package shop.v1;
message M {}
service Shop {
  rpc Call(M) returns (M);
  rpc PingPong(M) returns (M);
  rpc Check(M) returns (M);
  rpc GetURL(M) returns (M);
  rpc Get_Url(M) returns (M);
}
service Stock {
  rpc Count(M) returns (M);
  rpc PingPong(M) returns (M);
}
service Audit {
  rpc Count(M) returns (M);
}
`

func TestResolve(t *testing.T) {
	t.Parallel()
	table := compile(t, names)
	for _, test := range []struct{ name, words, want string }{
		{"nothing", "", "Shop.Call"},
		{"a method", "PingPong", "Shop.PingPong"},
		{"with hyphens", "ping-pong", "Shop.PingPong"},
		{"with underscores, in capitals", "PING_PONG", "Shop.PingPong"},
		{"exactly one of two that differ in case alone", "GetURL", "Shop.GetURL"},
		{"exactly the other", "Get_Url", "Shop.Get_Url"},
		{"service and method", "stock count", "Stock.Count"},
		{"the own service before others", "ping-pong", "Shop.PingPong"},
		{"with a dot", "Stock.PingPong", "Stock.PingPong"},
		{"with a dot, in any case", "stock.pingpong", "Stock.PingPong"},
		{"the end of the name", "v1.Stock.Count", "Stock.Count"},
		{"in full", "shop.v1.Stock.Count", "Stock.Count"},
		{"the path", "shop.v1.Stock/Count", "Stock.Count"},
		{"the path with its slash", "/shop.v1.Stock/Count", "Stock.Count"},
		{"the package in a word of its own", "shop.v1.Stock Count", "Stock.Count"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := Resolve(table, "shop", strings.Fields(test.words))
			if err != nil {
				t.Fatal(err)
			}
			if got := Endpoint(m); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestResolveErrors(t *testing.T) {
	t.Parallel()
	table := compile(t, names)
	for _, test := range []struct {
		name, service, words string
		want                 string
		ambiguous            bool
	}{
		{
			"in two other services", "other", "count",
			`"count" could be shop.v1.Audit/Count, shop.v1.Stock/Count`, true,
		},
		{
			"two that differ in case alone", "shop", "get-url",
			`"get-url" could be shop.v1.Shop/GetURL, shop.v1.Shop/Get_Url`, true,
		},
		{
			"a slip", "shop", "chekc",
			`service shop has no endpoint "chekc"; it has Shop.Check, `, false,
		},
		{
			"no such service", "shop", "stick count",
			`there is no endpoint "stick count"; it has Audit.Count, `, false,
		},
		{
			"half a name", "shop", "tock.Count",
			`there is no endpoint "tock.Count"; it has `, false,
		},
		{"nothing before the dot", "shop", ".Count", `there is no endpoint ".Count"; it has `, false},
		{"nothing behind the dot", "shop", "Stock.", `there is no endpoint "Stock."; it has `, false},
		{"three words", "shop", "a b c", `"a b c" is no endpoint: it takes at most two words, SERVICE METHOD`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Resolve(table, test.service, strings.Fields(test.words))
			var e *NameError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *NameError", err)
			}
			if !strings.HasPrefix(e.Error(), test.want) || e.Ambiguous != test.ambiguous {
				t.Errorf("got  %s (ambiguous: %t)\nwant %s (ambiguous: %t)", e, e.Ambiguous, test.want, test.ambiguous)
			}
		})
	}
}

// TestResolveFullName calls a service whose full name is the end of another's.
func TestResolveFullName(t *testing.T) {
	t.Parallel()
	table := tableOf(t, service("Bar", "Baz"), service("deep.Bar", "Baz"), service("deep.BAR", "Baz"))
	for typed, want := range map[string]string{
		"Bar.Baz":      "/Bar/Baz",
		"Bar/Baz":      "/Bar/Baz",
		"bar.baz":      "/Bar/Baz",
		"deep.Bar.Baz": "/deep.Bar/Baz",
		"BAR.Baz":      "/Bar/Baz", // in full, if not letter by letter
		"deep.BAR/baz": "/deep.BAR/Baz",
	} {
		m, err := Resolve(table, "x", []string{typed})
		if err != nil {
			t.Errorf("%s: %v", typed, err)
		} else if m.Path() != want {
			t.Errorf("%s: got %s, want %s", typed, m.Path(), want)
		}
	}
	if _, err := Resolve(table, "x", []string{"deep.bar", "baz"}); err == nil {
		t.Error("deep.bar baz: got no error, want one that names both")
	}
}

// TestResolvePlumbing never takes health and reflection for what a service is for.
func TestResolvePlumbing(t *testing.T) {
	t.Parallel()
	health := service("grpc.health.v1.Health", "Check", "Watch")
	table := tableOf(t, health, service("shop.Shop", "Call"))
	if m, err := Resolve(table, "shop", []string{"watch"}); err == nil {
		t.Errorf("watch: got %s, want an error", m.Path())
	} else if strings.Contains(err.Error(), "Health") {
		t.Errorf("watch: %v: it names plumbing", err)
	}
	if m, err := Resolve(table, "shop", []string{"health", "check"}); err != nil || m.Path() != "/grpc.health.v1.Health/Check" {
		t.Errorf("health check: got %v, %v", m, err)
	}

	_, err := Resolve(tableOf(t, health), "shop", nil)
	if got, want := err.Error(), "service shop has no endpoint Call, so say which to call"; got != want {
		t.Errorf("nothing but plumbing: got %q, want %q", got, want)
	}
}

func service(name string, methods ...string) wire.ServiceSchema {
	s := wire.ServiceSchema{Name: name}
	for _, m := range methods {
		s.Methods = append(s.Methods, wire.MethodSchema{Name: m})
	}
	return s
}

// tableOf returns a table of services whose methods take and return nothing.
func tableOf(t *testing.T, services ...wire.ServiceSchema) *wire.Table {
	t.Helper()
	schema := wire.Schema{Services: services, Messages: []wire.MessageSchema{{Name: "M"}}}
	b, err := schema.Compile(false)
	if err != nil {
		t.Fatal(err)
	}
	table, err := wire.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestNearest(t *testing.T) {
	t.Parallel()
	fields := []string{"name", "customer_id", "created_at", "id"}
	for typed, want := range map[string]string{
		"nam":           "name",
		"naem":          "name",
		"customerid":    "customer_id",
		"custoemr-id":   "customer_id",
		"createdat":     "created_at",
		"x":             "",
		"":              "",
		"somethingelse": "",
		"stauts":        "status",
	} {
		if got := Nearest(typed, append(fields, "stats", "status")); got != want {
			t.Errorf("Nearest(%q): got %q, want %q", typed, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	type pair struct{ a, b string }
	got := map[pair]int{}
	want := map[pair]int{
		{"", ""}:              0,
		{"", "abc"}:           3,
		{"abc", "abc"}:        0,
		{"abc", "acb"}:        1,
		{"abc", "ab"}:         1,
		{"kitten", "sitting"}: 3,
		{"ca", "abc"}:         3, // no part is edited twice
		{long, long + "y"}:    0, // the beginning is enough
		{long, ""}:            64,
	}
	for p := range want {
		got[p] = Distance(p.a, p.b)
		if back := Distance(p.b, p.a); back != got[p] {
			t.Errorf("Distance(%.10q, %.10q) is %d one way and %d the other", p.a, p.b, got[p], back)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// FuzzResolve finds a method or says why not, whatever is typed; what it found by
// its full name it finds again.
func FuzzResolve(f *testing.F) {
	for _, s := range []string{"", "call", "stock count", "shop.v1.Stock/Count", "a b c", "..", "/", "_ -", "\xff"} {
		f.Add("shop", s)
	}
	table := compile(f, names)
	f.Fuzz(func(t *testing.T, service, words string) {
		m, err := Resolve(table, service, strings.Fields(words))
		if err != nil {
			var e *NameError
			if !errors.As(err, &e) || e.Message == "" || e.Ambiguous && len(e.Candidates) < 2 {
				t.Errorf("%q %q: an error that says nothing: %v", service, words, err)
			}
			return
		}
		again, err := Resolve(table, service, []string{m.Path()})
		if err != nil || again.Path() != m.Path() {
			t.Errorf("%q %q: %s leads to %v, %v", service, words, m.Path(), again, err)
		}
	})
}
