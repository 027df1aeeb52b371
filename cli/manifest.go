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

	"go.yaml.in/yaml/v3"
)

// manifestName is the file that says how a service should run.
const manifestName = "micro.yaml"

// maxManifest bounds the file.
const maxManifest = 1 << 20

// manifest is a micro.yaml. It is the one definition of that: the JSON Schema for
// editors is made from it, with what doc and example say.
type manifest struct {
	Name        string              `yaml:"name,omitempty" doc:"What the service is called by: a DNS label of a-z, 0-9 and -. The folder's name when left out." example:"shop"`
	Environment string              `yaml:"environment,omitempty" doc:"The environment that micro run acts on in this folder, unless --env names another." example:"dev"`
	Source      string              `yaml:"source,omitempty" doc:"In a file for micro apply: the folder, relative to the file, or the git address that the service is built from." example:"./shop"`
	Image       string              `yaml:"image,omitempty" doc:"In a file for micro apply, in place of a source: an image of the environment's registry, or HOST/REPOSITORY:TAG of any other." example:"micro/shop@sha256:0a1b…"`
	Version     string              `yaml:"version,omitempty" doc:"The version to show. The git ref, else latest, when left out." example:"v1.2.0"`
	Instances   int32               `yaml:"instances,omitempty" doc:"How many instances run. When left out, as many as micro scale said last, which is 1 at first." example:"3"`
	Env         map[string]envValue `yaml:"env,omitempty" doc:"Environment variables of each instance: a text, or {config: PATH} for what the configuration has there when the instance starts. Names that begin with MICRO_ are micro's own."`
	Args        []string            `yaml:"args,omitempty" doc:"Arguments of the program."`
	Resources   resources           `yaml:"resources,omitempty" doc:"What one instance may use of the machine."`
	Probes      probes              `yaml:"probes,omitempty" doc:"How micro finds out whether an instance is well. Without any, by gRPC's health check, which the SDK answers."`
	Rollout     rollout             `yaml:"rollout,omitempty" doc:"When a new release that does not come up is given up, and the one that serves made current again."`
	StopGrace   duration            `yaml:"stop_grace,omitempty" doc:"How long an instance may take to end by itself before it is killed: 10s when left out." example:"30s"`
}

type resources struct {
	CPU       cpu    `yaml:"cpu,omitempty" doc:"Cores, as a number or in thousandths." example:"500m"`
	Memory    memory `yaml:"memory,omitempty" doc:"Bytes, with a unit." example:"256Mi"`
	Processes int64  `yaml:"processes,omitempty" doc:"Processes and threads." example:"100"`
}

type probes struct {
	Startup   *probe `yaml:"startup,omitempty" doc:"Whether the instance has come up; the other two begin then. When left out, that is what readiness, else liveness, says. It is asked more often than each period, and given up after failures times period."`
	Readiness *probe `yaml:"readiness,omitempty" doc:"Whether the instance can be called. While it cannot, calls go to others."`
	Liveness  *probe `yaml:"liveness,omitempty" doc:"Whether the instance lives. One that does not is started again."`
}

type probe struct {
	GRPC      *string  `yaml:"grpc,omitempty" doc:"The service to ask for by gRPC's health check; \"\" asks for the whole server." example:"shop.v1.Shop"`
	HTTP      string   `yaml:"http,omitempty" doc:"The path of an HTTP GET that is answered with a status from 200 to 399." example:"/healthz"`
	TCP       bool     `yaml:"tcp,omitempty" doc:"The instance accepts connections."`
	Command   []string `yaml:"command,omitempty" doc:"A command in the instance that exits with 0."`
	Period    duration `yaml:"period,omitempty" doc:"Time between two questions: 5s when left out, and 1s for startup." example:"5s"`
	Timeout   duration `yaml:"timeout,omitempty" doc:"How long an answer may take: 1s when left out." example:"1s"`
	Failures  int32    `yaml:"failures,omitempty" doc:"So many bad answers in a row count: 3 when left out, and 30 for startup." example:"3"`
	Successes int32    `yaml:"successes,omitempty" doc:"So many good answers in a row make it well again: 1 when left out." example:"1"`
}

type rollout struct {
	KeepTrying bool     `yaml:"keep_trying,omitempty" doc:"Keep on trying the new release, and never give it up."`
	Failures   int32    `yaml:"failures,omitempty" doc:"So many instances that did not come up, since the last that did, are too many: 3 when left out." example:"3"`
	Deadline   duration `yaml:"deadline,omitempty" doc:"How long none may come up: 5m when left out." example:"5m"`
}

// readManifest reads the manifest of a directory; there need not be one.
func readManifest(dir string) (manifest, error) {
	path := filepath.Join(dir, manifestName)
	b, err := readManifestFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return manifest{}, nil
	}
	if err != nil {
		return manifest{}, err
	}
	docs, err := parseManifests(path, b)
	if err != nil || len(docs) == 0 {
		return manifest{}, err
	}
	m := docs[0]
	switch {
	case len(docs) > 1:
		return manifest{}, &Error{Message: path + ": there is a second document in it", Hint: "micro apply -f " + path, Exit: ExitUsage}
	case m.Image != "":
		return manifest{}, &Error{Message: path + ": it names an image, and is read to build a source", Hint: "micro apply -f " + path, Exit: ExitUsage}
	case m.Source != "" && filepath.Clean(m.Source) != ".":
		return manifest{}, &Error{Message: fmt.Sprintf("%s: it names the source %q, and is in that of another", path, m.Source), Hint: "micro apply -f " + path, Exit: ExitUsage}
	}
	return m, nil
}

func readManifestFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readManifestFrom(path, f)
}

func readManifestFrom(path string, r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxManifest {
		return nil, &Error{Message: fmt.Sprintf("%s is larger than %d bytes", path, maxManifest), Exit: ExitUsage}
	}
	return b, nil
}

// parseManifests reads the documents of a file. Those that say nothing are left out.
func parseManifests(path string, b []byte) ([]manifest, error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var all []manifest
	for {
		var m *manifest // nil: an empty document
		err := dec.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, &Error{Message: fmt.Sprintf("%s: %s", path, yamlCause(err)), Exit: ExitUsage}
		case m != nil:
			all = append(all, *m)
		}
	}
}

// yamlCause says in a person's words what is wrong with a file.
func yamlCause(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	words := []string{
		"\n  ", "; ",
		" not found in type cli.manifest", " is not known",
		"cannot unmarshal !!str", "the text",
		"cannot unmarshal !!seq", "a list",
		"cannot unmarshal !!map", "a mapping",
		"cannot unmarshal !!int", "the number",
		"cannot unmarshal !!float", "the number",
		"cannot unmarshal !!", "a ",
		" into cli.manifest", " is where the fields of a service belong",
		" into int32", " is where a whole number belongs, of 32 bits",
		" into int64", " is where a whole number belongs",
		" into bool", " is where true or false belongs",
		" into []string", " is where a list of text belongs",
		" into map[string]cli.envValue", " is where NAME: VALUE belongs",
		" into string", " is where text belongs",
	}
	for _, part := range []string{"probes", "probe", "resources", "rollout"} {
		words = append(words,
			" not found in type cli."+part, " of "+part+" is not known",
			" into cli."+part, " is where the fields of "+part+" belong")
	}
	return strings.NewReplacer(words...).Replace(text)
}
