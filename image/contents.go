package image

import (
	"debug/buildinfo"
	"encoding/json"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/micro/micro/v3/image/layout"
)

// contents is what is known of the inside of a program.
type contents struct {
	goVersion string   // empty: it was not built by Go
	main      goModule // of the program itself
	modules   []goModule
	settings  map[string]string // of the build, as the program has them
	record    *statement        // how it was built; nil: nobody knows
}

// goModule is a module of Go that a program is made of.
type goModule struct {
	path, version string
	sum           string // as in go.sum, empty: unknown
}

// readContents reads what Go has put into a program. Of one that was not built by Go
// there is nothing to know, and that is no error.
func readContents(program io.ReaderAt) contents {
	info, err := buildinfo.Read(program)
	if err != nil {
		return contents{}
	}
	c := contents{goVersion: info.GoVersion, main: moduleOf(&info.Main), settings: map[string]string{}}
	for _, m := range info.Deps {
		c.modules = append(c.modules, moduleOf(m))
	}
	for _, s := range info.Settings {
		c.settings[s.Key] = s.Value
	}
	return c
}

// moduleOf returns a module, or what has replaced it.
func moduleOf(m *debug.Module) goModule {
	if m.Replace != nil {
		m = m.Replace
	}
	return goModule{m.Path, m.Version, m.Sum}
}

// describe returns the program that was built, with what is known of it.
func (b *builder) describe() *program {
	p := &program{File: b.program, name: b.name, platform: b.platform, created: b.created, labels: b.labels()}
	p.contents = readContents(b.program)
	p.contents.record = b.record(p.contents)
	return p
}

// The statement of a build, as the specifications of in-toto and SLSA have it. It has
// nothing that would be another when the same source is built again, neither times nor
// the commit of a directory: then one image has one record.
type (
	statement struct {
		Type          string     `json:"_type"`
		Subject       []resource `json:"subject,omitempty"`
		PredicateType string     `json:"predicateType"`
		Predicate     provenance `json:"predicate"`
	}
	provenance struct {
		BuildDefinition buildDefinition `json:"buildDefinition"`
		RunDetails      runDetails      `json:"runDetails"`
	}
	buildDefinition struct {
		BuildType            string            `json:"buildType"`
		ExternalParameters   map[string]string `json:"externalParameters"`
		InternalParameters   map[string]string `json:"internalParameters"`
		ResolvedDependencies []resource        `json:"resolvedDependencies"`
	}
	runDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		Byproducts []resource `json:"byproducts,omitempty"`
	}
	resource struct {
		Name      string            `json:"name,omitempty"`
		URI       string            `json:"uri,omitempty"`
		Digest    map[string]string `json:"digest,omitempty"`
		MediaType string            `json:"mediaType,omitempty"`
		Content   []byte            `json:"content,omitempty"` // base64
	}
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	buildType     = "https://github.com/micro/micro/go@v1"
	builderID     = "https://github.com/micro/micro"
)

// about returns the statement about an image.
func (s *statement) about(name string, image *manifest) ([]byte, error) {
	if s == nil {
		return nil, nil
	}
	d := image.descriptor.Digest
	about := *s
	about.Subject = []resource{{Name: name, Digest: map[string]string{d.Algorithm: d.Hex}}}
	return json.Marshal(about)
}

// record returns how the program was built.
func (b *builder) record(c contents) *statement {
	d := buildDefinition{
		BuildType: buildType,
		ExternalParameters: map[string]string{
			"name": b.name, "platform": b.platform.String(), "package": b.options.Package,
		},
		InternalParameters:   map[string]string{"go": c.goVersion},
		ResolvedDependencies: []resource{},
	}
	for label, parameter := range map[string]string{sourceLabel: "source", versionLabel: "ref", revisionLabel: "revision"} {
		if value := b.labels()[label]; value != "" {
			d.ExternalParameters[parameter] = value
		}
	}
	maps.DeleteFunc(d.ExternalParameters, func(_, value string) bool { return value == "" })
	maps.Copy(d.InternalParameters, c.settings)
	for _, m := range c.modules {
		r := resource{URI: m.purl()}
		if sum := m.sha256(); sum != "" {
			r.Digest = map[string]string{"dirHash1": sum}
		}
		d.ResolvedDependencies = append(d.ResolvedDependencies, r)
	}
	command := append([]string{"go", "build"}, buildFlags()...)
	command[len(command)-1] = "'" + command[len(command)-1] + "'"
	lines := slices.Concat(
		[]string{c.goVersion, strings.Join(slices.Concat(platformSettings(b.platform), command, []string{"."}), " ")}, b.log)
	s := &statement{Type: statementType, PredicateType: predicateType, Predicate: provenance{BuildDefinition: d}}
	s.Predicate.RunDetails.Builder.ID = builderID
	s.Predicate.RunDetails.Byproducts = []resource{{
		Name: layout.BuildLogName, MediaType: "text/plain", Content: []byte(strings.Join(lines, "\n") + "\n"),
	}}
	return s
}
