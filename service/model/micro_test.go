package model_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/service/model"
	"github.com/micro/micro/v3/service/servicetest"
)

// post is a value as services written for Micro 3 have it.
type post struct {
	ID     string `json:"id,omitempty"`
	Slug   string `json:"slug,omitempty"`
	Author string `json:"author_name,omitempty"`
	Age    int64  `json:"age,omitempty"`
}

type comment struct {
	ID string `json:"id"`
}

func TestMicro3(t *testing.T) {
	servicetest.Start(t)
	slug, author := model.ByEquality("slug"), model.ByEquality("authorName")
	slug.Unique = true
	author.Order = model.Order{FieldName: "age", Type: model.OrderTypeDesc}
	age := model.ByEquality("age")
	age.Order.Type = model.OrderTypeUnordered
	db := model.New(post{}, &model.Options{Indexes: []model.Index{slug, author, age}})
	for _, p := range []post{{"1", "one", "alice", 3}, {"2", "two", "alice", 20}, {"3", "three", "bob", 0}, {"4", "", "alice", 7}, {"5", "", "", 7}} {
		must(t, db.Create(p))
	}
	wantErr(t, "the same key", db.Create(post{ID: "1"}), model.ErrExists)
	wantErr(t, "the same slug", db.Create(&post{ID: "9", Slug: "one"}), model.ErrTaken)
	wantErr(t, "nothing", db.Create(nil), model.ErrorNilInterface)
	wantErr(t, "nothing", db.Update(nil), model.ErrorNilInterface)
	if err := db.Create(post{}); err == nil {
		t.Error("a value without a key is kept")
	}
	if err := db.Create("text"); err == nil {
		t.Error("a value of no fields is kept")
	}
	// Another type has its own keys.
	comments := model.NewModel(model.WithContext(t.Context()), model.WithDebug(true))
	must(t, comments.Register(new(comment)))
	must(t, comments.Create(&comment{"1"}))

	find := func(q model.Query) string {
		t.Helper()
		var posts []*post
		must(t, db.Read(q, &posts))
		var all []string
		for _, p := range posts {
			all = append(all, p.ID)
		}
		return strings.Join(all, " ")
	}
	desc := age.ToQuery(nil)
	desc.Order.Type = model.OrderTypeDesc
	some := author.ToQuery("alice")
	some.Limit, some.Offset = 1, 1
	for name, tt := range map[string]struct{ got, want string }{
		"all":                           {find(model.QueryAll()), "1 2 3 4 5"},
		"one":                           {find(model.QueryByID("2")), "2"},
		"one by its key":                {find(model.QueryEquals("id", "2")), "2"},
		"none":                          {find(model.QueryByID("9")), ""},
		"by a unique field":             {find(slug.ToQuery("two")), "2"},
		"by a field, ordered":           {find(author.ToQuery("alice")), "2 4 1"},
		"some of them":                  {find(some), "4"},
		"by a number":                   {find(model.QueryEquals("age", 7)), "4 5"},
		"by another type of the number": {find(model.QueryEquals("Age", int32(20))), "2"},
		"by nothing":                    {find(model.QueryEquals("age", 0)), "3"},
		"in order":                      {find(age.ToQuery(nil)), "3 1 4 5 2"},
		"from the last":                 {find(desc), "2 5 4 1 3"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}

	var one post
	must(t, db.Read(slug.ToQuery("three"), &one))
	if diff := cmp.Diff(post{"3", "three", "bob", 0}, one); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var pointer *post
	must(t, db.Read(model.QueryByID("3"), &pointer))
	wantErr(t, "one of none", db.Read(slug.ToQuery("nothing"), &one), model.ErrorNotFound)
	wantErr(t, "one of many", db.Read(author.ToQuery("alice"), &one), model.ErrorMultipleRecordsFound)
	for name, err := range map[string]error{
		"no index":      db.Read(model.QueryEquals("title", "x"), &one),
		"no pointer":    db.Read(model.QueryAll(), one),
		"a nil pointer": db.Read(model.QueryAll(), (*post)(nil)),
		"no JSON":       db.Read(model.QueryEquals("age", make(chan int)), &one),
	} {
		if err == nil || errors.Is(err, model.ErrorNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}

	must(t, db.Update(&post{ID: "1", Slug: "first", Author: "bob", Age: 1}))
	must(t, db.Context(t.Context()).Update(post{ID: "6", Author: "bob", Age: 9}))
	if got := find(author.ToQuery("bob")) + "|" + find(slug.ToQuery("one")) + "|" + find(slug.ToQuery("first")); got != "6 1 3||1" {
		t.Errorf("after the update: %q", got)
	}
	must(t, db.Delete(model.QueryByID("1")))
	must(t, db.Delete(model.QueryEquals("age", 7)))
	wantErr(t, "what is gone", db.Delete(model.QueryByID("1")), model.ErrorNotFound)
	if got := find(model.QueryAll()); got != "2 3 6" {
		t.Errorf("left is %q", got)
	}
	var kept comment
	must(t, comments.Read(model.QueryByID("1"), &kept))
}

// A value may be a map, and everything about it said at run time.
func TestMicro3Maps(t *testing.T) {
	servicetest.Start(t)
	kind := model.ByEquality("kind")
	db := model.NewModel(model.WithNamespace("things"), model.WithKey("name"), model.WithIndexes(kind), model.WithTable("things"), model.WithDatabase("stuff"))
	for i, k := range []any{"a", true, 1.5, []string{"x"}, nil} {
		must(t, db.Create(map[string]any{"name": strconv.Itoa(i), "kind": k}))
	}
	for i, k := range []any{"a", true, 1.5, []string{"x"}} {
		var got []map[string]any
		must(t, db.Read(kind.ToQuery(k), &got))
		if len(got) != 1 || got[0]["name"] != strconv.Itoa(i) {
			t.Errorf("of %v: %v", k, got)
		}
	}
	var all []map[string]any
	must(t, db.Read(kind.ToQuery(nil), &all))
	if len(all) != 5 {
		t.Errorf("all are %v", all)
	}
	var none []map[string]any
	must(t, model.NewModel(model.WithNamespace("others")).Read(model.QueryAll(), &none))
	if none == nil || len(none) != 0 {
		t.Errorf("of nothing: %v", none)
	}
	wantErr(t, "nothing is a type", db.Register(nil), model.ErrorNilInterface)
}
