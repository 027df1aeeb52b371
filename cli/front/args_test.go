package front

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/dynamic/wire"
)

func TestSplitGlobals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args, rest string // with spaces between them
		want       Globals
		ok         bool
	}{
		{"", "", Globals{}, true},
		{"helloworld --env=x", "helloworld --env=x", Globals{}, true},
		{"-e dev helloworld", "helloworld", Globals{Env: "dev"}, true},
		{"-e=dev helloworld", "helloworld", Globals{Env: "dev"}, true},
		{"--env dev --namespace alice x y", "x y", Globals{Env: "dev", Namespace: "alice"}, true},
		{"--namespace=a=b x", "x", Globals{Namespace: "a=b"}, true},
		{"--env= x", "x", Globals{}, true},
		{"--env --namespace x", "x", Globals{Env: "--namespace"}, true},
		{"-e a -e b x", "x", Globals{Env: "b"}, true},
		{"-y --yes --no-color x -y", "x -y", Globals{}, true},
		{"-e dev", "", Globals{Env: "dev"}, true},
		{"-e", "-e", Globals{}, false},
		{"-e dev --namespace", "--namespace", Globals{Env: "dev"}, false},
		{"--yes=false x", "--yes=false x", Globals{}, false},
		{"-edev x", "-edev x", Globals{}, false},
		{"--nope x", "--nope x", Globals{}, false},
		{"-- x", "-- x", Globals{}, false},
		{"- x", "- x", Globals{}, false},
	} {
		got, rest, ok := SplitGlobals(strings.Fields(tt.args))
		if got != tt.want || strings.Join(rest, " ") != tt.rest || ok != tt.ok {
			t.Errorf("SplitGlobals(%s) = %+v, %q, %t", tt.args, got, rest, ok)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		want Invocation
		help bool
	}{
		{"s", Invocation{Service: "s"}, false},
		{"s a", Invocation{Service: "s", Words: []string{"a"}}, false},
		{"s a b c", Invocation{Service: "s", Words: []string{"a", "b", "c"}}, false},
		{"s A.B --x y", Invocation{Service: "s", Words: []string{"A.B"}, args: []string{"--x", "y"}}, false},
		{"s --x y z", Invocation{Service: "s", args: []string{"--x", "y", "z"}}, false},
		{"s a {} b", Invocation{Service: "s", Words: []string{"a"}, args: []string{"{}", "b"}}, false},
		{"s - a", Invocation{Service: "s", args: []string{"-", "a"}}, false},
		{"s @file", Invocation{Service: "s", args: []string{"@file"}}, false},
		{"s a --help", Invocation{Service: "s", Words: []string{"a"}, args: []string{"--help"}}, true},
		{"s -h", Invocation{Service: "s", args: []string{"-h"}}, true},
		{"s --.help x", Invocation{Service: "s", args: []string{"--.help", "x"}}, false},
		{"s --name=--help", Invocation{Service: "s", args: []string{"--name=--help"}}, false},
		{"-h", Invocation{Service: "-h"}, false},
	} {
		got := Parse(strings.Fields(tt.args))
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Invocation{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("Parse(%s) (-want +got):\n%s", tt.args, diff)
		}
		if got.WantsHelp() != tt.help {
			t.Errorf("Parse(%s).WantsHelp() = %t", tt.args, !tt.help)
		}
	}
}

// callMethod returns the method Features.Call of the test's schema.
func callMethod(tb testing.TB) (*wire.Table, wire.Method) {
	tb.Helper()
	table, err := wire.Open(compiled(tb, features(tb)))
	if err != nil {
		tb.Fatal(err)
	}
	m, err := request.Resolve(table, "features", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return table, m
}

// inputs are files f, bad and empty, and a standard input.
func inputs() Inputs {
	files := map[string]string{"f": `{"name": "file", "count": "9007199254740993"}`, "bad": "{", "empty": "", "raw": "\x00\xff"}
	return Inputs{
		Stdin: strings.NewReader(`{"name": "stdin"}`),
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		Now: noon,
	}
}

func body(text string) []Message { return []Message{{JSON: []byte(text)}} }

func TestBuild(t *testing.T) {
	t.Parallel()
	_, m := callMethod(t)
	for _, tt := range []struct {
		name string
		args []string
		want Request
	}{
		{"nothing", nil, Request{Messages: body(`{}`)}},
		{"a value after =", []string{"--name=a=b"}, Request{Messages: body(`{"name":"a=b"}`)}},
		{"a value behind", []string{"--name", "--count"}, Request{Messages: body(`{"name":"--count"}`)}},
		{"an empty value", []string{"--name="}, Request{Messages: body(`{"name":""}`)}},
		{"a switch", []string{"--.dry-run", "--name", "x"}, Request{Messages: body(`{"dryRun":true,"name":"x"}`)}},
		{"a switch with a value", []string{"--dry_run=false"}, Request{Messages: body(`{"dryRun":false}`)}},
		{"a switch off", []string{"--no-dry-run"}, Request{Messages: body(`{"dryRun":false}`)}},
		{"the last wins", []string{"--name=a", "--name=b"}, Request{Messages: body(`{"name":"b"}`)}},
		{"a list", []string{"--tags=a", "--tags=b"}, Request{Messages: body(`{"tags":["a","b"]}`)}},
		{"a body", []string{`{"name": "x"}`}, Request{Messages: body(`{"name":"x"}`)}},
		{"a body of a file", []string{"@f"}, Request{Messages: body(`{"name":"file","count":"9007199254740993"}`)}},
		{"a body of standard input", []string{"-"}, Request{Messages: body(`{"name":"stdin"}`)}},
		{"a body of standard input as a file", []string{"@-"}, Request{Messages: body(`{"name":"stdin"}`)}},
		{"a body behind its flags", []string{"--count=1", "@f"}, Request{Messages: body(`{"name":"file","count":"1"}`)}},
		{"fields with the names of options", []string{"--.output=a", "--.verbose=b", "--.help=c"}, Request{Messages: body(`{"output":"a","verbose":"b","help":"c"}`)}},
		{"bytes of a file", []string{"--data=@raw"}, Request{Messages: body(`{"data":"AP8="}`)}},
		{
			"options",
			[]string{"-o", "json", "--timeout=1m30s", "-v", "-H", "A: b:c ", "--header=B-bin:\xff"},
			Request{
				Messages: body(`{}`), Output: FormatJSON, Timeout: 90 * time.Second, Metadata: true, Whole: true,
				Headers: [][2]string{{"a", "b:c"}, {"b-bin", "\xff"}},
			},
		},
		{"yaml", []string{"--output=json", "--output=yaml"}, Request{Messages: body(`{}`), Output: FormatYAML, Whole: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(append([]string{"features"}, tt.args...)).Build(m, inputs())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreUnexported(Request{}), cmpopts.IgnoreFields(Request{}, "In")); diff != "" {
				t.Errorf("Build (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	_, m := callMethod(t)
	for _, tt := range []struct {
		args string // with spaces between them
		want string
		flag string // of a FlagError
		near string
	}{
		{"--zzzzzz=1", `--zzzzzz: CallRequest has no field "zzzzzz"`, "--zzzzzz", ""},
		{"--nam=x", "", "--nam", "name"},
		{"--count=x", "", "--count", ""},
		{"--name", "--name: it needs a value", "--name", ""},
		{"--output", "--output: it needs a value", "--output", ""},
		{"-o", "-o: it needs a value", "-o", ""},
		{"-o xml", `-o: "xml" is none of json, yaml, table, text, raw, template=…, jq=…`, "-o", ""},
		{"-x=1", "-x: there is no such option", "-x", ""},
		{"--verbose=false", "--verbose: it takes no value", "--verbose", ""},
		{"-v=1", "-v: it takes no value", "-v", ""},
		{"--timeout=0s", `--timeout: "0s" is no duration, such as 5s or 1m30s`, "--timeout", ""},
		{"--timeout=-1s", `--timeout: "-1s" is no duration, such as 5s or 1m30s`, "--timeout", ""},
		{"--timeout=5", `--timeout: "5" is no duration, such as 5s or 1m30s`, "--timeout", ""},
		{"-H a", `-H: "a" has not the form NAME:VALUE`, "-H", ""},
		{"-H :a", `-H: ":a" has not the form NAME:VALUE`, "-H", ""},
		{"-H ü:a", `-H: "ü:a" has not the form NAME:VALUE`, "-H", ""},
		{"-H Grpc-Timeout:1S", "-H: grpc-timeout is not for callers to set", "-H", ""},
		{"-H micro-namespace:evil", "-H: micro-namespace is not for callers to set", "-H", ""},
		{"-H Content-Type:x", "-H: content-type is not for callers to set", "-H", ""},
		{"-H te:x", "-H: te is not for callers to set", "-H", ""},
		{"-H connection:close", "-H: connection is not for callers to set", "-H", ""},
		{"-H a:ü", "-H: the value of a has characters that are not of ASCII; a name that ends with -bin may have any", "-H", ""},
		{"--name=x call", `what is "call" for? An endpoint stands before the flags, and the value of a flag behind it or after =`, "", ""},
		{"{} {}", "{} is a second body; a request has one", "", ""},
		{"@f -", "- is a second body; a request has one", "", ""},
		{"- --data=@-", "--data: standard input can be read only once", "--data", ""},
		{"@nope", "open nope: file does not exist", "", ""},
		{"@bad", "bad ", "", ""},
		{"@empty", "empty ", "", ""},
		{"{", "the body ", "", ""},
		{"--.=x", "", "--.", ""},
		{"--=x", "", "--", ""},
		{"--", "--: it needs a value", "--", ""},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(append([]string{"features"}, strings.Fields(tt.args)...)).Build(m, inputs())
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Build: %v, want %s", err, tt.want)
			}
			var f *FlagError
			if errors.As(err, &f) != (tt.flag != "") || f != nil && (f.Flag != tt.flag || f.Near != tt.near) {
				t.Errorf("Build: %+v, want flag %q, near %q", f, tt.flag, tt.near)
			}
		})
	}
}

func TestBuildHeaderLines(t *testing.T) {
	t.Parallel()
	_, m := callMethod(t)
	for _, h := range []string{"a:b\r\nc: d", "a:\x00", "a\nb:c", "a:\x7f"} {
		if _, err := Parse([]string{"features", "-H", h}).Build(m, inputs()); err == nil {
			t.Errorf("the header %q was taken", h)
		}
	}
}

func TestEnvBehindService(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]Invocation{
		"s m --a=b -e far":     {Service: "s", Words: []string{"m"}, Env: "far", args: []string{"--a=b"}},
		"s m -e far --a b":     {Service: "s", Words: []string{"m"}, Env: "far", args: []string{"--a", "b"}},
		"s -e one -e two":      {Service: "s", Env: "two"},
		"s --a -e":             {Service: "s", args: []string{"--a", "-e"}},
		"s --a -e --b -e far":  {Service: "s", Env: "far", args: []string{"--a", "-e", "--b"}},
		"s --a -e {} --b -e -": {Service: "s", args: []string{"--a", "-e", "{}", "--b", "-e", "-"}},
		"s --e far":            {Service: "s", args: []string{"--e", "far"}},
	} {
		if diff := cmp.Diff(want, Parse(strings.Fields(line)), cmp.AllowUnexported(Invocation{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func TestFileReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sizes := map[string]int64{"most": maxBody, "more": maxBody + 1}
	for name, size := range sizes {
		f, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			err = errors.Join(f.Truncate(size), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if b, err := FileReader(maxBody)(filepath.Join(dir, "most")); err != nil || len(b) != maxBody {
		t.Errorf("the largest file: %d bytes, %v", len(b), err)
	}
	if _, err := FileReader(maxBody)(filepath.Join(dir, "more")); err == nil || !strings.Contains(err.Error(), "more than 67108864 bytes") {
		t.Errorf("a file that is larger: %v", err)
	}
	if _, err := FileReader(maxBody)(filepath.Join(dir, "nope")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	broken := errors.New("broken")
	if _, err := readAll(iotest.ErrReader(broken), "standard input", maxBody); !errors.Is(err, broken) {
		t.Errorf("a broken input: %v", err)
	}
}

func FuzzBuild(f *testing.F) {
	_, m := callMethod(f)
	for _, seed := range []string{"call --name=x", "--tags=a,b {}", "-o json -v", "--address.city=x", "--limits.a=1", "-H a:b", "--by-number.1.zip=2", `{"name":"x"} --no-dry-run`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		in := Parse(append([]string{"features"}, strings.Fields(line)...))
		r, err := in.Build(m, inputs())
		if err != nil {
			return
		}
		for _, h := range r.Headers {
			if !isMetadataKey(h[0]) || isReserved(h[0]) || !isMetadataValue(h[0], h[1]) {
				t.Errorf("header %q", h)
			}
		}
		// What was built is JSON; whether it fits is found out next.
		for _, msg := range r.Messages {
			if _, err := request.ParseBody(msg.JSON); err != nil {
				t.Errorf("the request %s: %v", msg.JSON, err)
			}
		}
	})
}
