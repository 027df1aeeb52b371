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
	StopGrace time.Duration     `yaml:"stop_grace"`
}

type probe struct {
	Service  string        `yaml:"service"`
	Period   time.Duration `yaml:"period"`
	Timeout  time.Duration `yaml:"timeout"`
	Startup  time.Duration `yaml:"startup"`
	Failures int32         `yaml:"failures"`
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
	return m, nil
}

// yamlCause says in a person's words what is wrong with a file.
func yamlCause(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	text = strings.ReplaceAll(text, "\n  ", "; ")
	text = strings.ReplaceAll(text, " not found in type cli.manifest", " is not known")
	return strings.ReplaceAll(text, " not found in type cli.probe", " of probe is not known")
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

func optionalDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
