package wire

import (
	"cmp"
	"slices"
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	t.Parallel()
	names := []string{"", "-", "a", "A", "b", "getUser", "get-user", "GET_USER", "get_use", "_get-user-", "getUsers", "é", "É", "z"}
	for _, a := range names {
		for _, b := range names {
			order, prefix := compareFolded([]byte(a), fold(b))
			if want := cmp.Compare(fold(a), fold(b)); order != want {
				t.Errorf("%q and %q: %d, want %d", a, b, order, want)
			}
			if want := fold(a) != fold(b) && strings.HasPrefix(fold(a), fold(b)); order != 0 && prefix != want {
				t.Errorf("%q begins with %q: %t, want %t", a, b, prefix, want)
			}
		}
	}
}

// Methods are found by what people type, in the order of that.
func TestAlike(t *testing.T) {
	t.Parallel()
	message := []MessageSchema{{Name: "M"}}
	methods := func(names ...string) (all []MethodSchema) {
		for _, n := range names {
			all = append(all, MethodSchema{Name: n})
		}
		return all
	}
	s := Schema{Messages: message, Services: []ServiceSchema{
		{Name: "a.A", Methods: methods("GetUser", "get_user", "Get", "getUsers", "Zoo", "add")},
		{Name: "b.B", Methods: methods("Get", "Only")},
		{Name: "c.C"},
		{Name: "d.D", Methods: methods("Alone")},
	}}
	raw, err := s.Compile(false)
	if err != nil {
		t.Fatal(err)
	}
	table, err := Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	names := func(of func(func(Method) bool)) string {
		var all []string
		for m := range of {
			all = append(all, m.Service().Name()+"."+m.Name())
		}
		return strings.Join(all, " ")
	}
	a, _ := table.Service("a.A")
	for typed, want := range map[string][2]string{
		"":         {"", "a.A.add a.A.Get a.A.GetUser a.A.get_user a.A.getUsers a.A.Zoo"},
		"get":      {"a.A.Get", "a.A.Get a.A.GetUser a.A.get_user a.A.getUsers"},
		"GET-USER": {"a.A.GetUser a.A.get_user", "a.A.GetUser a.A.get_user a.A.getUsers"},
		"getuserz": {"", ""},
		"zoo":      {"a.A.Zoo", "a.A.Zoo"},
		"zz":       {"", ""},
		"a":        {"", "a.A.add"},
	} {
		if got := names(a.Named(typed)); got != want[0] {
			t.Errorf("Named(%q) = %s, want %s", typed, got, want[0])
		}
		if got := names(a.Alike(typed)); got != want[1] {
			t.Errorf("Alike(%q) = %s, want %s", typed, got, want[1])
		}
	}
	namesakes := map[string]int{}
	var shared []string
	for s := range table.Services() {
		for m := range s.Methods() {
			namesakes[s.Name()+"."+m.Name()] = m.Namesakes()
		}
		if s.HasNamesakes() {
			shared = append(shared, s.Name())
		}
	}
	for name, want := range map[string]int{"a.A.GetUser": 2, "a.A.get_user": 2, "a.A.Get": 2, "b.B.Get": 2, "b.B.Only": 1, "a.A.Zoo": 1, "d.D.Alone": 1} {
		if namesakes[name] != want {
			t.Errorf("%s has %d namesakes, want %d", name, namesakes[name], want)
		}
	}
	if want := []string{"a.A", "b.B"}; !slices.Equal(shared, want) {
		t.Errorf("%v have namesakes, want %v", shared, want)
	}
}
