package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/micro/micro/v3/image"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// manifestDir returns a directory with such a micro.yaml.
func manifestDir(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, manifestName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestManifest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       manifest
	}{
		{"nothing", "", manifest{}},
		{"comments", "# nothing\n---\n", manifest{}},
		{"a name", "name: shop\n", manifest{Name: "shop"}},
		{"everything", `
name: shop
instances: 3
env:
  LEVEL: debug
  PORT: 8080
  ON: true
  NONE:
args: [-v, "--file=a b", 7]
probe:
  service: shop.v1.Shop
  period: 5s
  timeout: 250ms
  startup: 1m30s
  failures: 4
stop_grace: 0s
`, manifest{
			Name: "shop", Instances: 3,
			Env:   map[string]string{"LEVEL": "debug", "PORT": "8080", "ON": "true", "NONE": ""},
			Args:  []string{"-v", "--file=a b", "7"},
			Probe: probe{"shop.v1.Shop", duration(5 * time.Second), duration(250 * time.Millisecond), duration(90 * time.Second), 4},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := readManifest(manifestDir(t, test.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		got, err := readManifest(t.TempDir())
		if d := cmp.Diff(manifest{}, got); d != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, d)
		}
	})
}

func TestManifestErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"a key that is not known", "name: a\nprob: 1\n", "line 2: field prob is not known"},
		{"a key of the probe that is not known", "probe:\n  periode: 1s\n", "line 2: field periode of probe is not known"},
		{"two of them", "a: 1\nb: 2\n", "line 1: field a is not known; line 2: field b is not known"},
		{"a key twice", "name: a\nname: b\n", `line 2: mapping key "name" already defined at line 1`},
		{"a list", "- a\n", "line 1: a list is where the fields of a service belong"},
		{"text", "shop\n", "line 1: the text `shop` is where the fields of a service belong"},
		{"no YAML", "name: [a\n", "line 1: did not find expected"},
		{"a tab", "env:\n\tA: b\n", "line 2:"},
		{"no number", "\ninstances: many\n", "line 2: the text `many` is where a whole number belongs"},
		{"a number that is too large", "instances: 5000000000\n", "line 1: the number `5000000000` is where a whole number belongs, of 32 bits"},
		{"no list", "args: -v\n", "line 1: the text `-v` is where a list of text belongs"},
		{"a list for a value", "env:\n  A: [1]\n", "line 2: a list is where text belongs"},
		{"a duration without its unit", "probe:\n  period: 5\n", `line 2: "5" is no duration, such as 5s or 1m30s`},
		{"a duration below 0", "stop_grace: -1s\n", `line 1: "-1s" is no duration`},
		{"a duration that is none", "stop_grace: soon\n", `line 1: "soon" is no duration`},
		{"a duration that is a list", "stop_grace: [1s]\n", `line 1: "" is no duration`},
		{"two documents", "name: a\n---\nname: b\n", "there is a second document in it"},
		{"a bomb", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nargs: [*b,*b,*b]\n", "line 1: field a is not known"},
		{"too large", "# " + strings.Repeat("x", maxManifest), "is larger than 1048576 bytes"},
		{"control characters", "name: \x1b[2J\n", "control characters are not allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := manifestDir(t, test.text)
			m, err := readManifest(dir)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %+v, %v, want an *Error", m, err)
			}
			if !strings.HasPrefix(e.Message, filepath.Join(dir, manifestName)) || !strings.Contains(e.Message, test.want) || e.Exit != ExitUsage {
				t.Errorf("got %q, exit %d, want …%s…, exit %d", e.Message, e.Exit, test.want, ExitUsage)
			}
			if strings.Contains(e.Message, "cli.") {
				t.Errorf("got %q: it names types of ours", e.Message)
			}
		})
	}
	t.Run("a directory", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, manifestName), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := readManifest(dir); err == nil {
			t.Error("got no error")
		}
	})
}

// TestSpec merges the manifest with flags, which win.
func TestSpec(t *testing.T) {
	t.Parallel()
	source := &image.Source{Address: "github.com/a/b", Ref: "main"}
	m := manifest{Instances: 2, Env: map[string]string{"A": "1", "B": "2"}, Probe: probe{Period: duration(time.Second)}}
	base := m.spec()
	want := &runtimev1.Spec{
		Instances: 2, Env: map[string]string{"A": "1", "B": "2"},
		Probe: &runtimev1.Probe{Period: durationpb.New(time.Second)},
	}
	if d := cmp.Diff(want, base, protocmp.Transform()); d != "" {
		t.Errorf("the manifest alone (-want +got)\n%s", d)
	}
	o := runOptions{version: "v2", instances: 5, env: []string{"B=3=4", "C="}}
	got, err := o.spec(m, source)
	if err != nil {
		t.Fatal(err)
	}
	want.Instances, want.Version = 5, "v2"
	want.Env = map[string]string{"A": "1", "B": "3=4", "C": ""}
	want.Source = &runtimev1.Source{Address: "github.com/a/b", Ref: "main"}
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Errorf("with flags (-want +got)\n%s", d)
	}
	if got, err := (&runOptions{}).spec(m, source); err != nil || got.GetVersion() != "main" {
		t.Errorf("the version of a git reference: got %q, %v, want main", got.GetVersion(), err)
	}
	for _, bad := range []string{"", "A", "=1"} {
		if _, err := (&runOptions{env: []string{bad}}).spec(m, source); err == nil {
			t.Errorf("--env-var %q: got no error", bad)
		}
	}
}
