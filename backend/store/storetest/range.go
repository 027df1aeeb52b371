package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/micro/micro/v3/backend/store"
)

func rangeTests() map[string]func(*testing.T, store.Store) {
	return map[string]func(*testing.T, store.Store){
		"selection": testSelection,
		"empty store": func(t *testing.T, s store.Store) {
			equal(t, "keys", keys(t, s, store.Range{}), nil)
			equal(t, "keys backwards", keys(t, s, store.Range{Reverse: true}), nil)
		},
		"whole records": func(t *testing.T, s store.Store) {
			revs := put(t, s, "a", "1", "b", "2")
			want := []store.Record{
				{Key: "a", Value: []byte("1"), Revision: revs[0]},
				{Key: "b", Value: []byte("2"), Revision: revs[1]},
			}
			equal(t, "records", list(t, s, store.Range{}), want)
			for i := range want {
				want[i].Value = nil
			}
			equal(t, "records without values", list(t, s, store.Range{KeysOnly: true}), want)
		},
		"hostile keys in order": func(t *testing.T, s store.Store) {
			all := hostileKeys()
			for _, key := range all {
				do(t, s, store.Put(key, nil))
			}
			slices.Sort(all)
			equal(t, "keys", keys(t, s, store.Range{}), all)
			slices.Reverse(all)
			equal(t, "keys backwards", keys(t, s, store.Range{Reverse: true}), all)
		},
		"prefixes that end in 0xff": func(t *testing.T, s store.Store) {
			put(t, s, "a", "", "a\xff", "", "a\xffb", "", "a\xff\xff", "", "b", "", "\xff", "", "\xff\xff", "")
			for prefix, want := range map[string][]string{
				"a\xff":        {"a\xff", "a\xffb", "a\xff\xff"},
				"a\xff\xff":    {"a\xff\xff"},
				"\xff":         {"\xff", "\xff\xff"},
				"\xff\xff":     {"\xff\xff"},
				"\xff\xff\xff": nil,
				"":             {"a", "a\xff", "a\xffb", "a\xff\xff", "b", "\xff", "\xff\xff"},
			} {
				equal(t, fmt.Sprintf("below %q", prefix), keys(t, s, store.Prefix(prefix)), want)
			}
		},
		"paging": func(t *testing.T, s store.Store) {
			var want, got []string
			for i := range 25 {
				want = append(want, fmt.Sprintf("k%02d", i))
				put(t, s, want[i], "")
			}
			r := store.Range{Limit: 10}
			for {
				page := keys(t, s, r)
				got = append(got, page...)
				if len(page) < r.Limit {
					break
				}
				r.Start = page[len(page)-1] + "\x00"
			}
			equal(t, "keys", got, want)
		},
		"of one revision": testSnapshot,
		"stopped early": func(t *testing.T, s store.Store) {
			put(t, s, "a", "", "b", "", "c", "")
			for rec, err := range s.Range(within(t), store.Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				if rec.Key == "b" {
					break
				}
			}
			put(t, s, "d", "")
		},
		"writing while reading": func(t *testing.T, s store.Store) {
			put(t, s, "a", "", "b", "", "c", "")
			for rec, err := range s.Range(within(t), store.Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				do(t, s, store.Delete(rec.Key), store.Put("x"+rec.Key, nil))
			}
			equal(t, "keys", keys(t, s, store.Range{}), []string{"xa", "xb", "xc"})
		},
	}
}

func testSelection(t *testing.T, s store.Store) {
	put(t, s, "a", "", "b", "", "b/1", "", "b/2", "", "b/3", "", "b0", "", "c", "")
	for _, c := range []struct {
		name string
		r    store.Range
		want []string
	}{
		{"all", store.Range{}, []string{"a", "b", "b/1", "b/2", "b/3", "b0", "c"}},
		{"prefix", store.Prefix("b/"), []string{"b/1", "b/2", "b/3"}},
		{"prefix of nothing", store.Prefix("x"), nil},
		{"from a key", store.Range{Start: "b0"}, []string{"b0", "c"}},
		{"from between keys", store.Range{Start: "b/15"}, []string{"b/2", "b/3", "b0", "c"}},
		{"up to a key", store.Range{End: "b/1"}, []string{"a", "b"}},
		{"between", store.Range{Start: "b", End: "b/3"}, []string{"b", "b/1", "b/2"}},
		{"start is end", store.Range{Start: "b", End: "b"}, nil},
		{"start after end", store.Range{Start: "c", End: "a"}, nil},
		{"after the last", store.Range{Start: "d"}, nil},
		{"before the first", store.Range{End: "a"}, nil},
		{"limit", store.Range{Limit: 2}, []string{"a", "b"}},
		{"limit beyond", store.Range{Start: "b0", Limit: 5}, []string{"b0", "c"}},
		{"limit of exactly all", store.Range{Start: "b0", Limit: 2}, []string{"b0", "c"}},
		{"reverse", store.Range{Reverse: true}, []string{"c", "b0", "b/3", "b/2", "b/1", "b", "a"}},
		{"reverse with bounds", store.Range{Start: "b", End: "b/3", Reverse: true}, []string{"b/2", "b/1", "b"}},
		{"reverse with limit", store.Range{End: "c", Limit: 2, Reverse: true}, []string{"b0", "b/3"}},
		{"reverse of a prefix", store.Range{Start: "b/", End: store.PrefixEnd("b/"), Reverse: true, Limit: 1}, []string{"b/3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			equal(t, "keys", keys(t, s, c.r), c.want)
			c.r.KeysOnly = true
			equal(t, "keys only", keys(t, s, c.r), c.want)
		})
	}
}

// testSnapshot moves a token from key to key while it is being listed: a list that
// is not of one revision would show it twice or not at all.
func testSnapshot(t *testing.T, s store.Store) {
	const places = 50
	key := func(i int) string { return fmt.Sprintf("k%02d", i%places) }
	for i := range places {
		put(t, s, key(i), "")
	}
	do(t, s, store.Put(key(0), []byte("token")))

	stop, moved := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i += 7 {
			select {
			case <-stop:
				moved <- nil
				return
			default:
			}
			_, err := s.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put(key(i), nil), store.Put(key(i+7), []byte("token"))}})
			if err != nil {
				moved <- err
				return
			}
		}
	}()
	for round := range 50 {
		n, tokens := 0, 0
		for _, rec := range list(t, s, store.Range{Reverse: round%2 == 1}) {
			n++
			if string(rec.Value) == "token" {
				tokens++
			}
		}
		if n != places || tokens != 1 {
			t.Fatalf("round %d: %d records with %d tokens, want %d with 1", round, n, tokens, places)
		}
	}
	close(stop)
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
}

func limitTests() map[string]func(*testing.T, store.Store) {
	return map[string]func(*testing.T, store.Store){
		"largest key and value": func(t *testing.T, s store.Store) {
			key := string(fill(store.MaxKey))
			value := fill(store.MaxValue)
			do(t, s, store.Put(key, value))
			if got := get(t, s, key).Value; !slices.Equal(got, value) {
				t.Errorf("a value of %d bytes came back as another one of %d bytes", len(value), len(got))
			}
		},
		"most operations": func(t *testing.T, s store.Store) {
			var ops []store.Op
			var conds []store.Cond
			for i := range store.MaxOps {
				key := fmt.Sprintf("k%04d", i)
				ops = append(ops, store.Put(key, nil))
				conds = append(conds, store.Cond{Key: key})
			}
			if _, err := s.Txn(within(t), store.Txn{If: conds, Do: ops}); err != nil {
				t.Fatal(err)
			}
			if n := len(keys(t, s, store.Range{})); n != store.MaxOps {
				t.Errorf("%d keys, want %d", n, store.MaxOps)
			}
		},
		"largest transaction": func(t *testing.T, s store.Store) {
			var ops []store.Op
			for left := store.MaxTxn; left > 0; {
				key := fmt.Sprintf("k%04d", len(ops))
				n := min(left-len(key), store.MaxValue)
				ops = append(ops, store.Put(key, fill(n)))
				left -= len(key) + n
			}
			do(t, s, ops...)
			size := 0
			for _, rec := range list(t, s, store.Range{}) {
				size += len(rec.Key) + len(rec.Value)
			}
			if size != store.MaxTxn {
				t.Errorf("%d bytes came back, want %d", size, store.MaxTxn)
			}
		},
		"beyond": func(t *testing.T, s store.Store) {
			big := string(fill(store.MaxKey + 1))
			many := make([]store.Op, store.MaxOps+1)
			conds := make([]store.Cond, store.MaxOps+1)
			for i := range many {
				many[i] = store.Put(strconv.Itoa(i), nil)
				conds[i] = store.Cond{Key: strconv.Itoa(i)}
			}
			large := make([]store.Op, store.MaxTxn/store.MaxValue)
			for i := range large {
				large[i] = store.Put(strconv.Itoa(i), fill(store.MaxValue))
			}
			for name, txn := range map[string]store.Txn{
				"key of a put":       {Do: []store.Op{store.Put(big, nil)}},
				"key of a delete":    {Do: []store.Op{store.Delete(big)}},
				"key of a condition": {If: []store.Cond{{Key: big}}},
				"value":              {Do: []store.Op{store.Put("a", fill(store.MaxValue+1))}},
				"operations":         {Do: many},
				"conditions":         {If: conds},
				"bytes":              {Do: large},
			} {
				if _, err := s.Txn(within(t), txn); !errors.Is(err, store.ErrTooLarge) {
					t.Errorf("%s: %v, want %v", name, err, store.ErrTooLarge)
				}
			}
			if _, err := s.Get(within(t), big); !errors.Is(err, store.ErrTooLarge) {
				t.Errorf("Get: %v, want %v", err, store.ErrTooLarge)
			}
			equal(t, "keys", keys(t, s, store.Range{}), nil)
		},
		"bounds of any length": func(t *testing.T, s store.Store) {
			put(t, s, "a", "", "z", "")
			long := string(fill(64 << 10))
			equal(t, "keys", keys(t, s, store.Range{End: "z" + long}), []string{"a", "z"})
			equal(t, "keys", keys(t, s, store.Range{Start: "b" + long}), []string{"z"})
		},
		"not allowed": func(t *testing.T, s store.Store) {
			put(t, s, "a", "1")
			for name, txn := range map[string]store.Txn{
				"empty key of a put":       {Do: []store.Op{store.Put("", nil)}},
				"empty key of a delete":    {Do: []store.Op{store.Delete("")}},
				"empty key of a condition": {If: []store.Cond{{}}},
				"key put twice":            {Do: []store.Op{store.Put("a", nil), store.Put("b", nil), store.Put("a", nil)}},
				"key put and deleted":      {Do: []store.Op{store.Put("a", nil), store.Delete("a")}},
				"negative time to live":    {Do: []store.Op{{Kind: store.KindPut, Key: "a", TTL: -1}}},
				"deletion with a value":    {Do: []store.Op{{Kind: store.KindDelete, Key: "a", Value: []byte("x")}}},
				"no kind":                  {Do: []store.Op{{Key: "a"}}},
				"unknown kind":             {Do: []store.Op{{Kind: 99, Key: "a"}}},
				"kind of a watch":          {Do: []store.Op{{Kind: store.Synced, Key: "a"}}},
			} {
				_, err := s.Txn(within(t), txn)
				if err == nil {
					t.Errorf("%s: no error", name)
				}
				for _, sentinel := range []error{store.ErrNotFound, store.ErrConflict, store.ErrTooLarge} {
					if errors.Is(err, sentinel) {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
			if _, err := s.Get(within(t), ""); err == nil || errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get of the empty key: %v", err)
			}
			equal(t, "value", get(t, s, "a").Value, []byte("1"))
		},
	}
}

// fill returns n bytes that are not all the same.
func fill(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}
