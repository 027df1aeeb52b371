package cli

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
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
  PASSWORD: {config: database.password}
  OLD: 0777
args: [-v, "--file=a b", 7]
environment: dev
version: v2
resources: {cpu: 1.5, memory: 256Mi, processes: 100}
probes:
  startup: {grpc: shop.v1.Shop, period: 5s, timeout: 250ms, failures: 4, successes: 2}
  readiness: {http: /ready}
  liveness: {command: [test, -e, /tmp/x]}
rollout: {keep_trying: true, failures: 5, deadline: 1m30s}
stop_grace: 0s
`, manifest{
			Name: "shop", Instances: 3, Environment: "dev", Version: "v2",
			Env: map[string]envValue{
				"LEVEL": {text: "debug"}, "PORT": {text: "8080"}, "ON": {text: "true"}, "NONE": {}, "OLD": {text: "0777"},
				"PASSWORD": {config: "database.password"},
			},
			Args:      []string{"-v", "--file=a b", "7"},
			Resources: resources{1500, 256 << 20, 100},
			Probes: probes{
				Startup:   &probe{GRPC: new("shop.v1.Shop"), Period: duration(5 * time.Second), Timeout: duration(250 * time.Millisecond), Failures: 4, Successes: 2},
				Readiness: &probe{HTTP: "/ready"},
				Liveness:  &probe{Command: []string{"test", "-e", "/tmp/x"}},
			},
			Rollout: rollout{true, 5, duration(90 * time.Second)},
		}},
		{"it says where it is", "source: .\n", manifest{Source: "."}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := readManifest(manifestDir(t, test.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got, cmp.AllowUnexported(envValue{})); d != "" {
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
		{"a key of a probe that is not known", "probes:\n  startup: {periode: 1s}\n", "line 2: field periode of probe is not known"},
		{"a probe that is not known", "probes:\n  start: {tcp: true}\n", "line 2: field start of probes is not known"},
		{"a probe that is none", "probes:\n  startup: soon\n", "line 2: the text `soon` is where the fields of probe belong"},
		{"a resource that is not known", "resources: {gpu: 1}\n", "line 1: field gpu of resources is not known"},
		{"half a thousandth of a core", "resources: {cpu: 0.0005}\n", `line 1: "0.0005" is no number of cores`},
		{"fewer cores than none", "resources: {cpu: -1}\n", `line 1: "-1" is no number of cores`},
		{"no number of cores", "resources: {cpu: .nan}\n", `line 1: ".nan" is no number of cores`},
		{"a size that is none", "resources: {memory: lots}\n", `line 1: "lots" is no number of bytes`},
		{"a size below 0", "resources: {memory: -1Mi}\n", `line 1: "-1Mi" is no number of bytes`},
		{"a size that is too large", "resources: {memory: 9999999Ti}\n", `line 1: "9999999Ti" is no number of bytes`},
		{"no path in a reference", "env:\n  A: {config: }\n", "line 2: the value of an environment variable is text, or {config: PATH}"},
		{"another kind of reference", "env:\n  A: {secret: x}\n", "line 2: the value of an environment variable is text, or {config: PATH}"},
		{"two references", "env:\n  A: {config: x, secret: y}\n", "line 2: the value of an environment variable is text, or {config: PATH}"},
		{"an image where a source is", "image: micro/a@sha256:0\n", "it names an image, and is read to build a source"},
		{"another source", "source: ../b\n", `it names the source "../b", and is in that of another`},
		{"two of them", "a: 1\nb: 2\n", "line 1: field a is not known; line 2: field b is not known"},
		{"a key twice", "name: a\nname: b\n", `line 2: mapping key "name" already defined at line 1`},
		{"a list", "- a\n", "line 1: a list is where the fields of a service belong"},
		{"text", "shop\n", "line 1: the text `shop` is where the fields of a service belong"},
		{"no YAML", "name: [a\n", "line 1: did not find expected"},
		{"a tab", "env:\n\tA: b\n", "line 2:"},
		{"no number", "\ninstances: many\n", "line 2: the text `many` is where a whole number belongs"},
		{"a number that is too large", "instances: 5000000000\n", "line 1: the number `5000000000` is where a whole number belongs, of 32 bits"},
		{"no list", "args: -v\n", "line 1: the text `-v` is where a list of text belongs"},
		{"a list for a value", "env:\n  A: [1]\n", "line 2: the value of an environment variable is text, or {config: PATH}"},
		{"a duration without its unit", "probes:\n  startup: {period: 5}\n", `line 2: "5" is no duration, such as 5s or 1m30s`},
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
	m := manifest{
		Env:    map[string]envValue{"A": {text: "1"}, "B": {config: "b"}},
		Probes: probes{Liveness: &probe{TCP: true, Period: duration(time.Second)}},
	}
	base, err := m.spec()
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) *runtimev1.Value { return &runtimev1.Value{Value: &runtimev1.Value_Text{Text: s}} }
	want := &runtimev1.Spec{
		Env: map[string]*runtimev1.Value{"A": text("1"), "B": {Value: &runtimev1.Value_Config{Config: "b"}}},
		Probes: &runtimev1.Probes{Liveness: &runtimev1.Probe{
			Check: &runtimev1.Probe_Tcp{Tcp: true}, Period: durationpb.New(time.Second),
		}},
	}
	if d := cmp.Diff(want, base, protocmp.Transform()); d != "" {
		t.Errorf("the manifest alone (-want +got)\n%s", d)
	}
	o := runOptions{version: "v2", env: []string{"B=3=4", "C="}}
	got, err := o.spec(m, source)
	if err != nil {
		t.Fatal(err)
	}
	want.Version = "v2"
	want.Env = map[string]*runtimev1.Value{"A": text("1"), "B": text("3=4"), "C": text("")}
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

// TestManifestRoundTrip writes what runs as a manifest, and reads it again.
func TestManifestRoundTrip(t *testing.T) {
	t.Parallel()
	m := manifest{
		Name: "shop", Image: "micro/shop@sha256:0", Version: "1.0", Instances: 3,
		Env:  map[string]envValue{"A": {text: "yes"}, "B": {config: `hosts.example\.com`}, "C": {text: "a\n\tb: 'c'"}, "D": {}, "E": {text: "0x10"}, "F": {text: " ~"}},
		Args: []string{"-v", "", "no", "#x", "1e3"},
		Resources: resources{
			CPU: 250, Memory: 1 << 30, Processes: 7,
		},
		Probes: probes{
			Startup:   &probe{GRPC: new(""), Period: duration(90 * time.Second), Failures: 2},
			Readiness: &probe{HTTP: "/a?b=c#d"},
			Liveness:  &probe{Command: []string{"sh", "-c", "true # x"}, Timeout: duration(1500 * time.Millisecond)},
		},
		Rollout:   rollout{Failures: 1, Deadline: duration(time.Hour)},
		StopGrace: duration(30 * time.Second),
	}
	spec, err := m.spec()
	if err != nil {
		t.Fatal(err)
	}
	again := manifestOf(&runtimev1.Service{Name: m.Name, Spec: spec, Instances: m.Instances, Rollout: m.rollout()})
	if d := cmp.Diff(m, again, cmp.AllowUnexported(envValue{})); d != "" {
		t.Errorf("by messages (-want +got)\n%s", d)
	}
	b, err := yaml.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := parseManifests("x.yaml", b)
	if err != nil || len(docs) != 1 {
		t.Fatalf("%v\n%s", err, b)
	}
	if d := cmp.Diff(m, docs[0], cmp.AllowUnexported(envValue{})); d != "" {
		t.Errorf("by YAML (-want +got)\n%s\n%s", d, b)
	}
}

func TestProbesHaveOneCheck(t *testing.T) {
	t.Parallel()
	for _, p := range []probe{{}, {TCP: true, HTTP: "/"}, {GRPC: new(""), Command: []string{"x"}}} {
		m := manifest{Probes: probes{Readiness: &p}}
		if _, err := m.spec(); err == nil || !strings.Contains(err.Error(), "the readiness probe has") {
			t.Errorf("%+v: got %v", p, err)
		}
	}
}

func TestQuantities(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]memory{
		"0": 0, "1": 1, "1k": 1000, "1K": 1000, "1Ki": 1024, "5M": 5e6, "256Mi": 256 << 20, "1G": 1e9, "2Gi": 2 << 30,
		"1Ti": 1 << 40, "64MB": 64e6, "64 MiB": 64 << 20, "": -1, "Mi": -1, "1.5Gi": -1, "1X": -1, "0x10": -1,
	} {
		got, err := parseMemory(s)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
		if again, err := parseMemory(got.String()); err != nil || again != got {
			t.Errorf("%q is written %q", s, got)
		}
	}
	for s, want := range map[string]cpu{"2": 2000, "0.5": 500, "500m": 500, "0.001": 1, "0": 0, "": -1, "m": -1, "1e9": -1, "inf": -1, "-1m": -1} {
		got, err := parseCPU(s)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
}

// TestManifestSchema holds the schema to what is read.
func TestManifestSchema(t *testing.T) {
	t.Parallel()
	var s struct {
		Properties map[string]struct {
			Description string
			Properties  map[string]struct {
				Description string
				Properties  map[string]any
			}
		}
	}
	if err := json.Unmarshal(manifestSchema(), &s); err != nil {
		t.Fatal(err)
	}
	for name, p := range s.Properties {
		if p.Description == "" {
			t.Errorf("%s is not described", name)
		}
		for inner, q := range p.Properties {
			if q.Description == "" {
				t.Errorf("%s.%s is not described", name, inner)
			}
		}
		// What the schema has is read, and what is read has the schema.
		if _, err := parseManifests("x", []byte(name+":\n")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := reflect.TypeFor[manifest]().NumField(); n != len(s.Properties) {
		t.Errorf("the schema has %d fields, and a manifest %d", len(s.Properties), n)
	}
	if got := len(s.Properties["probes"].Properties["startup"].Properties); got != reflect.TypeFor[probe]().NumField() {
		t.Errorf("the schema has %d fields of a probe", got)
	}
}
