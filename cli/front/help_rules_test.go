package front

import (
	"slices"
	"testing"
)

func TestRulesText(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]string{
		``:                              "",
		`not JSON`:                      "",
		`{"required":true}`:             "",
		`{"string":{"email":true}}`:     "An email address",
		`{"string":{"email":false}}`:    "",
		`{"string":{"minLen":"1"}}`:     "At least 1 character",
		`{"int32":{"gt":17,"lte":150}}`: "More than 17. At most 150",
		`{"string":{"in":["a","b"]}}`:   "One of a, b",
		`{"repeated":{"minItems":"2","items":{"string":{"uuid":true}}}}`: "At least 2 of them. Each: a UUID",
		`{"map":{"keys":{"string":{"maxLen":"3"}}}}`:                     "Keys: at most 3 characters",
		`{"cel":[{"id":"x","message":"it has to be even"}]}`:             "it has to be even",
		`{"cel":[{"id":"x","expression":"this > 1"}]}`:                   "this > 1",
		`{"string":{"newRule":5}}`:                                       "new-rule 5",
		`{"int64":{"in":["1","2","3","4","5","6","7","8","9"]}}`:         "One of 1, 2, 3, 4, 5, 6, 7, 8, …",
		`{"repeated":{"items":{"repeated":{"items":{"repeated":{"items":{"repeated":{"items":{"repeated":{"unique":true}}}}}}}}}}`: "",
	} {
		if got := rulesText(rules); got != want {
			t.Errorf("rulesText(%s) = %q, want %q", rules, got, want)
		}
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules, of string
		want      []string
	}{
		{``, "", nil},
		{`{"required":true,"string":{"in":["a","b"]}}`, "", []string{"a", "b"}},
		{`{"string":{"const":"a"}}`, "", []string{"a"}},
		{`{"int64":{"in":["1"]}}`, "", []string{"1"}},
		{`{"map":{"keys":{"string":{"in":["cpu"]}}}}`, "keys", []string{"cpu"}},
		{`{"map":{"keys":{"string":{"in":["cpu"]}}}}`, "values", nil},
		{`{"string":{"minLen":"3"}}`, "", nil},
		{`[]`, "", nil},
	} {
		if got := allowed(tt.rules, tt.of); !slices.Equal(got, tt.want) {
			t.Errorf("allowed(%s, %q) = %q, want %q", tt.rules, tt.of, got, tt.want)
		}
	}
}
