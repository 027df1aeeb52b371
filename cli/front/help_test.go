package front

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

var update = flag.Bool("update", false, "write what is compared with the files in testdata")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestServiceHelp(t *testing.T) {
	t.Parallel()
	table, _ := callMethod(t)
	var b bytes.Buffer
	if err := Help(&b, 0, table, Invocation{Service: "features"}, Globals{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "service.golden", b.Bytes())
}

func TestEndpointHelp(t *testing.T) {
	t.Parallel()
	table, _ := callMethod(t)
	for _, endpoint := range []string{"call", "get-user", "down", "nothing", "other list"} {
		var b bytes.Buffer
		if err := Help(&b, 0, table, Invocation{Service: "features", Words: strings.Fields(endpoint)}, Globals{}); err != nil {
			t.Fatal(err)
		}
		golden(t, strings.ReplaceAll(endpoint, " ", "-")+".golden", b.Bytes())
	}
}

// The pages of the schema that scripts use, and of one with rules, at the width of
// some terminals.
func TestHelpPages(t *testing.T) {
	t.Parallel()
	tables := schemas(t)
	for _, tt := range []struct {
		golden, service, words string
		width                  int
	}{
		{"fixture.golden", "everything", "", 0},
		{"fixture-wide.golden", "everything", "", 200},
		{"fixture-narrow.golden", "everything", "", 10},
		{"fixture-legacy.golden", "everything", "legacy", 0},
		{"fixture-echo.golden", "everything", "fixture.v1.Everything/Echo", 0},
		{"fixture-echo-narrow.golden", "everything", "fixture.v1.Everything/Echo", 44},
		{"fixture-legacy-echo.golden", "everything", "legacy echo", 0},
		{"fixture-modern-echo.golden", "everything", "modern echo", 0},
		{"fixture-chat.golden", "everything", "chat", 100},
		{"fixture-fail.golden", "everything", "fail", 0},
		{"accounts.golden", "accounts", "", 60},
		{"accounts-open.golden", "accounts", "open", 90},
		{"twins.golden", "twins", "", 0},
		{"twins-only.golden", "twins", "only", 0},
	} {
		var b bytes.Buffer
		if err := Help(&b, tt.width, tables[tt.service], Invocation{Service: tt.service, Words: strings.Fields(tt.words)}, Globals{}); err != nil {
			t.Errorf("%s: %v", tt.golden, err)
			continue
		}
		page, _, _ := bytes.Cut(b.Bytes(), []byte("\nOptions:\n")) // they are on every page
		golden(t, tt.golden, page)
	}
	if err := Help(io.Discard, 0, tables["everything"], Invocation{Service: "everything", Words: []string{"nosuch"}}, Globals{}); !errors.As(err, new(*request.NameError)) {
		t.Errorf("help for what is not there: %v", err)
	}
}

// schemas returns schemas of several kinds, by what a service with them is called.
func schemas(t *testing.T) map[string]*wire.Table {
	t.Helper()
	tables := map[string]*wire.Table{"features": nil}
	tables["features"], _ = callMethod(t)
	fixture := "../../testdata/fixture/proto"
	tables["everything"] = compileFiles(t, fixture, "fixture/v1/fixture.proto", "fixture/v1/legacy.proto", "fixture/v1/modern.proto", "other/v1/other.proto")
	tables["accounts"] = compileFiles(t, "testdata", "accounts.proto")
	tables["twins"] = compileFiles(t, "testdata", "twins.proto")
	return tables
}

// What help shows can be typed: the words of each endpoint, and its example, which a
// shell leaves as it is.
func TestHelpIsTrue(t *testing.T) {
	t.Parallel()
	for service, table := range schemas(t) {
		h := help{t: table, service: service}
		h.docs, _ = table.Docs()
		for _, e := range endpoints(table, service) {
			m := e.method
			got, err := request.Resolve(table, service, e.words)
			if err != nil || got.Path() != m.Path() {
				t.Errorf("%s %q means %s, %v; want %s", service, e.words, got.Path(), err, m.Path())
			}
			out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\n' `+h.example(m.Input())).Output()
			if err != nil {
				t.Fatal(err)
			}
			args := slices.Concat([]string{service}, e.words, strings.Fields(string(out)))
			r, err := Parse(args).Build(m, inputs())
			if err != nil {
				t.Errorf("the example of %s, %q: %v", m.Path(), args, err)
				continue
			}
			if _, err := m.Input().AppendWire(nil, r.Messages[0].JSON, wire.DecodeOptions{}); err != nil {
				t.Errorf("the example of %s, %q: %v", m.Path(), args, err)
			}
		}
	}
}

// The name of each field means it.
func TestNamedFields(t *testing.T) {
	t.Parallel()
	for _, table := range schemas(t) {
		for m := range table.Messages() {
			for _, f := range namedFields(m) {
				got, ok := request.Lookup(m, f.name)
				if want := (request.Target{Field: f.Field}); !ok || got != want {
					t.Errorf("--%s means %v, want %s of %s", f.name, got, f.Name(), m.Name())
				}
			}
		}
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

var errFull = errors.New("no space left on device")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestHelpNowhere(t *testing.T) {
	t.Parallel()
	table, _ := callMethod(t)
	for _, words := range [][]string{nil, {"call"}, {"other"}} {
		if err := Help(fullDisk{}, 0, table, Invocation{Service: "features", Words: words}, Globals{}); !errors.Is(err, errFull) {
			t.Errorf("Help(%q): %v", words, err)
		}
	}
	if err := PrintJSON(fullDisk{}, []byte("{}"), FormatAuto); !errors.Is(err, errFull) {
		t.Errorf("PrintJSON: %v", err)
	}
}

func TestKebab(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "Call": "call", "PingPong": "ping-pong", "GetHTTPStatus": "get-http-status", "GetURL": "get-url", "ID": "id", "V2Get": "v2-get",
		"get_user": "get-user", "Get_User": "get-user", "v1": "v1", "_": "-", "A": "a", "ABc": "a-bc",
	} {
		if got := kebab(in); got != want {
			t.Errorf("kebab(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFirstSentence(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "One": "One", "One.": "One", "One. Two.": "One", "1.5 s or so. Two": "1.5 s or so", " One\n  two.\n\nThree.": "One two", "a.b": "a.b", ".": "",
	} {
		if got := firstSentence(in); got != want {
			t.Errorf("firstSentence(%q) = %q, want %q", in, got, want)
		}
	}
}
