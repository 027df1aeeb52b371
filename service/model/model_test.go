package model_test

import (
	gocmp "cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/service/model"
	"github.com/micro/micro/v3/service/servicetest"
	"github.com/micro/micro/v3/service/store"
)

// User is kept in these tests.
type User struct {
	ID      string    `json:"id"`
	Email   string    `json:"email,omitempty" model:"unique"`
	Team    string    `json:"team" model:"index,by=Joined"`
	Age     int       `json:"age" model:"index"`
	Score   float64   `json:"score" model:"index"`
	Active  bool      `json:"active" model:"index"`
	Joined  time.Time `json:"joined" model:"index"`
	Comment string    `json:"comment"`
}

func open[T any](t *testing.T, c *store.Client) *model.Table[T] {
	t.Helper()
	table, err := model.NewTable[T](c)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// users returns an empty table in a server of its own, and the store that it is in.
func users(t *testing.T) (*model.Table[User], *store.Client) {
	t.Helper()
	c := store.New(servicetest.New(t).Conn("shop")).Table("users")
	return open[User](t, c), c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// ids returns the keys of what options select.
func ids(t *testing.T, table *model.Table[User], opts ...model.Option) string {
	t.Helper()
	var all []string
	for u, err := range table.All(t.Context(), opts...) {
		must(t, err)
		all = append(all, u.ID)
	}
	return strings.Join(all, " ")
}

func TestTable(t *testing.T) {
	t.Parallel()
	table, c := users(t)
	ctx := t.Context()
	alice := User{ID: "1", Email: "alice@example.com", Team: "sales", Age: 30, Joined: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Comment: "x"}
	must(t, table.Create(ctx, &alice))
	wantErr(t, "the same again", table.Create(ctx, &alice), model.ErrExists)
	bob := User{ID: "2", Email: "alice@example.com"}
	wantErr(t, "the same mail", table.Create(ctx, &bob), model.ErrTaken)
	wantErr(t, "the same mail, saved", table.Save(ctx, &bob), model.ErrTaken)
	if _, err := table.Get(ctx, "2"); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("half a value is there: %v", err)
	}
	bob.Email = "bob@example.com"
	must(t, table.Save(ctx, &bob))

	got, err := table.Get(ctx, "1")
	if diff := cmp.Diff(alice, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if u, err := table.By(ctx, "Email", "bob@example.com"); err != nil || u.ID != "2" {
		t.Errorf("by mail: %+v, %v", u, err)
	}
	_, err = table.By(ctx, "Email", "nobody@example.com")
	wantErr(t, "by a mail of nobody", err, model.ErrNotFound)

	// A change moves the value in its indexes.
	u, err := table.Update(ctx, "1", func(u *User) error {
		u.Email, u.Team = "a@example.com", "support"
		return nil
	})
	if err != nil || u.Team != "support" {
		t.Fatalf("%+v, %v", u, err)
	}
	_, err = table.By(ctx, "Email", "alice@example.com")
	wantErr(t, "by the mail before", err, model.ErrNotFound)
	if got := ids(t, table, model.Where("Team", "sales")) + "|" + ids(t, table, model.Where("Team", "support")); got != "|1" {
		t.Errorf("the teams are %q", got)
	}
	carol := User{ID: "3", Email: "alice@example.com"}
	must(t, table.Create(ctx, &carol)) // the mail is free again

	stop := errors.New("stop")
	_, err = table.Update(ctx, "1", func(*User) error { return stop })
	wantErr(t, "an update that is given up", err, stop)
	_, err = table.Update(ctx, "9", func(*User) error { return nil })
	wantErr(t, "an update of nothing", err, model.ErrNotFound)
	if _, err = table.Update(ctx, "1", func(u *User) error { u.ID = "x"; return nil }); err == nil {
		t.Error("an update changes the key")
	}

	must(t, table.Delete(ctx, "1"))
	must(t, table.Delete(ctx, "1"))
	must(t, table.Delete(ctx, "2"))
	must(t, table.Delete(ctx, "3"))
	if keys, err := c.List(ctx); err != nil || len(keys) != 0 {
		t.Errorf("of nothing is left %q, %v", keys, err)
	}
}

// Values come in the order of what they are ordered by, and page by page.
func TestOrder(t *testing.T) {
	t.Parallel()
	table, _ := users(t)
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	for _, u := range []User{
		{ID: "a", Team: "x", Age: 30, Score: -1.5, Joined: day(3), Active: true},
		{ID: "b", Team: "x", Age: -5, Score: 0, Joined: day(1)},
		{ID: "c", Team: "y", Age: 1000, Score: math.Inf(-1), Joined: day(2)},
		{ID: "d", Team: "x", Age: 30, Score: 1e300, Joined: day(2), Active: true},
		{ID: "e", Team: "xx", Age: 0, Score: 0.001, Joined: day(5)},
	} {
		if math.IsInf(u.Score, 0) {
			u.Score = -1e300 // JSON knows no infinity
		}
		must(t, table.Create(t.Context(), &u))
	}
	for _, tt := range []struct {
		name string
		opts []model.Option
		want string
	}{
		{"by key", nil, "a b c d e"},
		{"by key, from the last", []model.Option{model.Desc()}, "e d c b a"},
		{"some by key", []model.Option{model.From("b"), model.Until("d")}, "b c"},
		{"by a number", []model.Option{model.OrderBy("Age")}, "b e a d c"},
		{"by a number, from the last", []model.Option{model.OrderBy("Age"), model.Desc()}, "c d a e b"},
		{"some by a number", []model.Option{model.OrderBy("Age"), model.From(0), model.Until(1000)}, "e a d"},
		{"by a fraction", []model.Option{model.OrderBy("Score")}, "c a b e d"},
		{"by a time", []model.Option{model.OrderBy("Joined")}, "b c d a e"},
		{"by truth", []model.Option{model.Where("Active", true)}, "a d"},
		{"of a team, by time", []model.Option{model.Where("Team", "x")}, "b d a"},
		{"of a team, from the last", []model.Option{model.Where("Team", "x"), model.Desc(), model.Limit(2)}, "a d"},
		{"of a team, from a time", []model.Option{model.Where("Team", "x"), model.From(day(2)), model.Until(day(3))}, "d"},
		{"of no team", []model.Option{model.Where("Team", "")}, ""},
		{"by team", []model.Option{model.OrderBy("Team")}, "b d a e c"},
	} {
		if got := ids(t, table, tt.opts...); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		for size := 1; size <= 3; size++ {
			var all []string
			for token, pages := "", 0; ; pages++ {
				opts := tt.opts
				if token != "" {
					opts = append(slices.Clip(opts), model.After(token))
				}
				page, next, err := table.Page(t.Context(), size, opts...)
				must(t, err)
				for _, u := range page {
					all = append(all, u.ID)
				}
				if token = next; token == "" || pages > 9 {
					break
				}
			}
			if got := strings.Join(all, " "); got != tt.want && !strings.Contains(tt.name, "from the last") || strings.HasPrefix(tt.name, "of a team, from the last") && !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s in pages of %d: %q, want %q", tt.name, size, got, tt.want)
			}
		}
	}
	for name, opts := range map[string][]model.Option{
		"a field of no index":     {model.Where("Comment", "x")},
		"a field that is not":     {model.OrderBy("Nothing")},
		"a value of another type": {model.Where("Age", "30")},
		"nothing":                 {model.Where("Age", nil)},
		"a bound of another type": {model.OrderBy("Age"), model.From("a")},
		"a page that is none":     {model.After("%")},
		"a range of one":          {model.Where("Email", "x"), model.From("a")},
	} {
		if _, _, err := table.Page(t.Context(), 1, opts...); err == nil {
			t.Errorf("by %s: no error", name)
		}
		for _, err := range table.All(t.Context(), opts...) {
			if err == nil {
				t.Errorf("all by %s: no error", name)
			}
		}
	}
	for _, err := range []error{
		second(table.By(t.Context(), "Team", "x")), second(table.By(t.Context(), "Nothing", "x")), second(table.By(t.Context(), "Email", 1)),
		second(table.Get(t.Context(), 1)), table.Delete(t.Context(), 1.5), second(table.Update(t.Context(), nil, func(*User) error { return nil })),
	} {
		if err == nil || errors.Is(err, model.ErrNotFound) {
			t.Errorf("a mistake is %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Whoever writes at the same time loses nothing.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	table, _ := users(t)
	must(t, table.Create(t.Context(), &User{ID: "1"}))
	var wg sync.WaitGroup
	const writers, times = 4, 10
	created := make(chan error, writers)
	for i := range writers {
		wg.Go(func() {
			for range times {
				if _, err := table.Update(t.Context(), "1", func(u *User) error { u.Age++; return nil }); err != nil {
					t.Error(err)
				}
			}
			created <- table.Create(t.Context(), &User{ID: fmt.Sprint("new", i), Email: "one@example.com"})
		})
	}
	wg.Wait()
	close(created)
	won := 0
	for err := range created {
		if err == nil {
			won++
		} else if !errors.Is(err, model.ErrTaken) {
			t.Error(err)
		}
	}
	if u, err := table.Get(t.Context(), "1"); err != nil || u.Age != writers*times || won != 1 {
		t.Errorf("%+v, %v; %d have the mail, want 1", u, err, won)
	}
	if got := ids(t, table, model.Where("Age", writers*times)); got != "1" {
		t.Errorf("the index has %q", got)
	}
}

// An index that is new has what was there before.
func TestReindex(t *testing.T) {
	t.Parallel()
	_, c := users(t)
	type before struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Old  int    `json:"old" model:"index"`
	}
	type after struct {
		ID   string `json:"id"`
		Name string `json:"name" model:"index"`
	}
	for i := range 5 {
		must(t, open[before](t, c).Create(t.Context(), &before{ID: strconv.Itoa(i), Name: string(rune('e' - i)), Old: i}))
	}
	table := open[after](t, c)
	names := func() string {
		var all strings.Builder
		for v, err := range table.All(t.Context(), model.OrderBy("Name")) {
			must(t, err)
			all.WriteString(v.Name)
		}
		return all.String()
	}
	if got := names(); got != "" {
		t.Errorf("an index that is not made has %q", got)
	}
	must(t, table.Reindex(t.Context()))
	if got := names(); got != "abcde" {
		t.Errorf("the index has %q", got)
	}
	keys, err := c.List(t.Context())
	if err != nil || len(keys) != 10 {
		t.Errorf("there are %d keys, want 10: %q, %v", len(keys), keys, err)
	}
}

func TestBadTypes(t *testing.T) {
	t.Parallel()
	c := store.New(nil)
	for want, err := range map[string]error{
		"model: int is no struct": second(model.NewTable[int](c)),
		"has no key":              second(model.NewTable[struct{ Name string }](c)),
		"has the keys A and B": second(model.NewTable[struct {
			A, B string `model:"key"`
		}](c)),
		"nothing can be found by it": second(model.NewTable[struct {
			ID   string
			Tags []string `model:"index"`
		}](c)),
		"none of key, index and unique": second(model.NewTable[struct {
			ID   string
			Name string `model:"indx"`
		}](c)),
		"cannot be ordered by Nothing": second(model.NewTable[struct {
			ID   string
			Name string `model:"index,by=Nothing"`
		}](c)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := model.NewTable[struct {
		Id uint8
	}](c); err != nil {
		t.Error(err)
	}
}

// item is kept in TestAgainstAMap.
type item struct {
	Key  string `json:"key" model:"key"`
	Name string `json:"name" model:"index"`
	N    int64  `json:"n" model:"index,by=Name"`
	Code string `json:"code,omitempty" model:"unique"`
}

// Whatever is kept is found, in order, and as it is: the table is a map with indexes.
func TestAgainstAMap(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any will do
	if s, err := strconv.ParseUint(os.Getenv("MICRO_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("MICRO_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := store.New(servicetest.New(t).Conn("shop"))
	texts := []string{"", "a", "a\x00", "a\x00b", "b", "/", "a/", "ä", "\x01", "aa"}
	text := func() string { return texts[r.IntN(len(texts))] }
	numbers := []int64{math.MinInt64, -1, 0, 1, math.MaxInt64}
	for round := range 20 {
		table := open[item](t, c.Table(fmt.Sprint("t", round)))
		want := map[string]item{}
		for range r.IntN(15) {
			v := item{text(), text(), numbers[r.IntN(len(numbers))], text()}
			step(t, table, want, v, r.IntN(3))
		}
		compare(t, table, want, text())
	}
}

// step does one thing with both.
func step(t *testing.T, table *model.Table[item], want map[string]item, v item, op int) {
	t.Helper()
	taken := false
	for _, o := range want {
		taken = taken || o.Code != "" && o.Code == v.Code && o.Key != v.Key
	}
	_, there := want[v.Key]
	var got, expected error
	switch op {
	case 0:
		got = table.Create(t.Context(), &v)
	case 1:
		got = table.Save(t.Context(), &v)
	default:
		must(t, table.Delete(t.Context(), v.Key))
		delete(want, v.Key)
		return
	}
	switch {
	case op == 0 && there:
		expected = model.ErrExists
	case taken:
		expected = model.ErrTaken
	}
	if !errors.Is(got, expected) {
		t.Fatalf("%+v: %v, want %v", v, got, expected)
	}
	if got == nil {
		want[v.Key] = v
	}
}

func compare(t *testing.T, table *model.Table[item], want map[string]item, name string) {
	t.Helper()
	byKey := func(a, b item) int { return strings.Compare(a.Key, b.Key) }
	all := slices.SortedFunc(maps.Values(want), byKey)
	read := func(opts ...model.Option) (all []item) {
		for v, err := range table.All(t.Context(), opts...) {
			must(t, err)
			all = append(all, v)
		}
		return all
	}
	if diff := cmp.Diff(all, read()); diff != "" {
		t.Fatalf("by key (-want +got):\n%s", diff)
	}
	byN := slices.SortedFunc(maps.Values(want), func(a, b item) int {
		return gocmp.Or(gocmp.Compare(a.N, b.N), strings.Compare(a.Name, b.Name), byKey(a, b))
	})
	if diff := cmp.Diff(byN, read(model.OrderBy("N"))); diff != "" {
		t.Fatalf("by number (-want +got):\n%s", diff)
	}
	named := slices.DeleteFunc(all, func(v item) bool { return v.Name != name })
	if got := read(model.Where("Name", name)); !slices.Equal(got, named) {
		t.Fatalf("named %q: %+v, want %+v", name, got, named)
	}
	for _, v := range want {
		if v.Code == "" {
			continue
		}
		if got, err := table.By(t.Context(), "Code", v.Code); err != nil || got != v {
			t.Fatalf("by code %q: %+v, %v", v.Code, got, err)
		}
	}
}
