package cli

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // what the fixture imports

	"github.com/micro/micro/v3/cli/snippet"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
)

// fixture returns the schema of testdata/fixture.
func fixture(t *testing.T) *dynamic.Schema {
	t.Helper()
	const dir = "../testdata/fixture/proto"
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".proto") {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := dynamic.CompileProto(t.Context(), names, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := dynamic.ParseSchema(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// table returns its compiled form.
func table(t *testing.T, s *dynamic.Schema) *wire.Table {
	t.Helper()
	tab, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// What --template prints is accepted as it is, as JSON and as YAML, and both mean the
// same message.
func TestTemplateIsAccepted(t *testing.T) {
	t.Parallel()
	tab := table(t, fixture(t))
	for m := range tab.Messages() {
		t.Run(m.Name(), func(t *testing.T) {
			t.Parallel()
			example := snippet.NewTemplate(tab, m)
			asJSON := example.AppendJSON(nil)
			want, err := m.AppendWire(nil, asJSON, wire.DecodeOptions{})
			if err != nil {
				t.Fatalf("%v\n%s", err, asJSON)
			}
			asYAML := example.YAML()
			n := 0
			for msg, err := range readYAML(strings.NewReader(asYAML)) {
				if err != nil {
					t.Fatalf("%v\n%s", err, asYAML)
				}
				n++
				got, err := m.AppendWire(nil, msg.JSON, wire.DecodeOptions{})
				if err != nil {
					t.Fatalf("%v\n%s", err, asYAML)
				}
				if string(got) != string(want) {
					t.Errorf("YAML means %q, JSON %q\n%s", got, want, asYAML)
				}
			}
			if n != 1 {
				t.Errorf("%d documents\n%s", n, asYAML)
			}
		})
	}
}
