package pagetoken_test

import (
	"testing"

	"github.com/micro/micro/v3/internal/pagetoken"
)

func TestToken(t *testing.T) {
	t.Parallel()
	list := pagetoken.Of("acme", "a", "b")
	for _, last := range []string{"", "key", "\x00\xff", "../etc"} {
		if got, ok := list.Parse(list.After(last)); !ok || got != last {
			t.Errorf("Parse of the token after %q = %q, %v", last, got, ok)
		}
	}
	token := list.After("key")
	for name, other := range map[string]pagetoken.List{
		"another list":      pagetoken.Of("globex", "a", "b"),
		"parts moved":       pagetoken.Of("acme", "ab", ""),
		"another order":     pagetoken.Of("acme", "b", "a"),
		"one part too few":  pagetoken.Of("acme", "a"),
		"one part too many": pagetoken.Of("acme", "a", "b", ""),
	} {
		if got, ok := other.Parse(token); ok {
			t.Errorf("%s: the token is taken, for %q", name, got)
		}
	}
	for _, token := range []string{"zz", "%", token[1:], token[:8], "a" + token, token + "="} {
		if got, ok := list.Parse(token); ok && list.After(got) != token {
			t.Errorf("Parse(%q) = %q, and that has the token %q", token, got, list.After(got))
		}
	}
}
