package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// manifestName is the file that says how a service should run.
const manifestName = "micro.yaml"

// maxManifest bounds the file.
const maxManifest = 1 << 20

// manifest is a micro.yaml.
type manifest struct {
	Name      string            `yaml:"name"`
	Instances int32             `yaml:"instances"`
	Env       map[string]string `yaml:"env"`
	Args      []string          `yaml:"args"`
	Probe     probe             `yaml:"probe"`
	StopGrace duration          `yaml:"stop_grace"`
}

type probe struct {
	Service  string   `yaml:"service"`
	Period   duration `yaml:"period"`
	Timeout  duration `yaml:"timeout"`
	Startup  duration `yaml:"startup"`
	Failures int32    `yaml:"failures"`
}

// duration is a time.Duration that is always written with its unit: 5 would be five
// nanoseconds.
type duration time.Duration

// UnmarshalYAML reads what [time.ParseDuration] takes, and nothing below 0.
func (d *duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 || n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: %q is no duration, such as 5s or 1m30s", n.Line, n.Value)
	}
	*d = duration(v)
	return nil
}

// readManifest reads the manifest of a directory; there need not be one.
func readManifest(dir string) (manifest, error) {
	path := filepath.Join(dir, manifestName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return manifest{}, nil
	}
	if err != nil {
		return manifest{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return manifest{}, err
	}
	if len(b) > maxManifest {
		return manifest{}, &Error{Message: fmt.Sprintf("%s is larger than %d bytes", path, maxManifest), Exit: ExitUsage}
	}
	var m manifest
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&m); err != nil && !errors.Is(err, io.EOF) {
		return manifest{}, &Error{Message: fmt.Sprintf("%s: %s", path, yamlCause(err)), Exit: ExitUsage}
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return manifest{}, &Error{Message: path + ": there is a second document in it, or rubbish", Exit: ExitUsage}
	}
	return m, nil
}

// yamlCause says in a person's words what is wrong with a file.
func yamlCause(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	return strings.NewReplacer(
		"\n  ", "; ",
		" not found in type cli.manifest", " is not known",
		" not found in type cli.probe", " of probe is not known",
		"cannot unmarshal !!str", "the text",
		"cannot unmarshal !!seq", "a list",
		"cannot unmarshal !!map", "a mapping",
		"cannot unmarshal !!int", "the number",
		"cannot unmarshal !!float", "the number",
		"cannot unmarshal !!", "a ",
		" into cli.manifest", " is where the fields of a service belong",
		" into cli.probe", " is where the fields of probe belong",
		" into int32", " is where a whole number belongs, of 32 bits",
		" into []string", " is where a list of text belongs",
		" into map[string]string", " is where NAME: VALUE belongs",
		" into string", " is where text belongs",
	).Replace(text)
}

// spec returns what the manifest says of how the service should run.
func (m manifest) spec() *runtimev1.Spec {
	return &runtimev1.Spec{
		Instances: m.Instances,
		Env:       m.Env,
		Args:      m.Args,
		Probe: &runtimev1.Probe{
			Service:  m.Probe.Service,
			Period:   optionalDuration(m.Probe.Period),
			Timeout:  optionalDuration(m.Probe.Timeout),
			Startup:  optionalDuration(m.Probe.Startup),
			Failures: m.Probe.Failures,
		},
		StopGrace: optionalDuration(m.StopGrace),
	}
}

func optionalDuration(d duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(time.Duration(d))
}
