package snippet

import (
	"strings"
	"testing"

	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
)

// table returns the compiled form of a schema.
func table(t *testing.T, s *dynamic.Schema) *wire.Table {
	t.Helper()
	tab, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestTemplateAsYAML(t *testing.T) {
	t.Parallel()
	tab := table(t, fixture(t))
	m, _ := tab.Message("fixture.v1.SlowRequest")
	got := NewTemplate(tab, m).YAML()
	for _, want := range []string{
		"delay: \"90s\"\n",
		"message:\n  double: 1.5\n",
		"  # A switch: --bool and --no-bool.\n  bool: true\n",
		"  # values: COLOR_UNSPECIFIED, COLOR_RED, COLOR_GREEN, COLOR_BLUE\n  color: \"COLOR_RED\"\n",
		"  # one of contact: How to reach somebody.\n  mail: \"text\"\n",
		"  # one of contact: instead of mail\n  # phone: \"text\"\n",
		"  # a Message as above\n  # next: {}\n",
		"  # deprecated\n  # old: \"text\"\n",
		"  places:\n    \"1\":\n      # Where, as people call it.\n      city: \"text\"\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}
