package front

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
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
	if err := ServiceHelp(&b, table, "features"); err != nil {
		t.Fatal(err)
	}
	golden(t, "service.golden", b.Bytes())
}

func TestEndpointHelp(t *testing.T) {
	t.Parallel()
	table, _ := callMethod(t)
	for _, endpoint := range []string{"call", "get-user", "down", "nothing", "other list"} {
		m, err := request.Resolve(table, "features", strings.Fields(endpoint))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := EndpointHelp(&b, table, "features", m); err != nil {
			t.Fatal(err)
		}
		golden(t, strings.ReplaceAll(endpoint, " ", "-")+".golden", b.Bytes())
	}
}

// What help shows can be typed: the words of each endpoint, and its example.
func TestHelpIsTrue(t *testing.T) {
	t.Parallel()
	table, _ := callMethod(t)
	for s := range table.Services() {
		for m := range s.Methods() {
			words := commandWords(table, "features", m)
			got, err := request.Resolve(table, "features", strings.Fields(words))
			if err != nil || got.Path() != m.Path() {
				t.Errorf("%q means %s, %v; want %s", words, got.Path(), err, m.Path())
			}
			args := append([]string{"features"}, strings.Fields(words+exampleFlags(m.Input()))...)
			in := inputs()
			in.ReadFile = func(string) ([]byte, error) { return []byte("content"), nil }
			r, err := Parse(args).Build(m, in)
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

// fullDisk takes nothing.
type fullDisk struct{}

var errFull = errors.New("no space left on device")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestHelpNowhere(t *testing.T) {
	t.Parallel()
	table, m := callMethod(t)
	if err := ServiceHelp(fullDisk{}, table, "features"); !errors.Is(err, errFull) {
		t.Errorf("ServiceHelp: %v", err)
	}
	if err := EndpointHelp(fullDisk{}, table, "features", m); !errors.Is(err, errFull) {
		t.Errorf("EndpointHelp: %v", err)
	}
	if err := PrintJSON(fullDisk{}, []byte("{}"), FormatAuto); !errors.Is(err, errFull) {
		t.Errorf("PrintJSON: %v", err)
	}
}

func TestKebab(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "Call": "call", "PingPong": "ping-pong", "GetHTTPStatus": "get-http-status", "GetURL": "get-url", "ID": "id", "V2Get": "v2-get",
		"get_user": "get_user", "A": "a", "ABc": "a-bc",
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
