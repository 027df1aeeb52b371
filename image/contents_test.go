package image

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/micro/micro/v3/image/layout"
)

// What is attached to an image says what is in it and how it was built, the same each
// time.
func TestContents(t *testing.T) {
	t.Parallel()
	s := source(t, map[string]string{
		"go.mod":     goMod + "\nrequire example.com/dep v1.2.3\n\nreplace example.com/dep => ./dep\n",
		"main.go":    "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.X) }\n",
		"dep/go.mod": "module example.com/dep\n\ngo 1.26\n",
		"dep/dep.go": "package dep\n\nconst X = 1\n",
	})
	i := buildImage(t, s, BuildOptions{Platforms: []string{"linux/amd64"}})
	sbom, err := i.SBOM()
	if err != nil {
		t.Fatal(err)
	}
	var d spdxDocument
	if err := json.Unmarshal(sbom, &d); err != nil {
		t.Fatal(err)
	}
	var names []string
	ids := map[string]bool{d.ID: true}
	for _, p := range d.Packages {
		names = append(names, p.Name)
		if ids[p.ID] {
			t.Errorf("two elements are called %s", p.ID)
		}
		ids[p.ID] = true
		if p.LicenseDeclared != "NOASSERTION" || p.DownloadLocation == "" || len(p.References) != 1 {
			t.Errorf("%+v", p)
		}
	}
	if diff := cmp.Diff([]string{"app", "example.com/app", "./dep", "stdlib"}, names); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	for _, r := range d.Relationships {
		if !ids[r.Element] || !ids[r.Related] {
			t.Errorf("%+v is about what is not there", r)
		}
	}
	if d.Packages[0].Version != i.Digest() {
		t.Errorf("the document is about %s", d.Packages[0].Version)
	}

	record := attachment(t, i, RecordType)
	var got statement
	if err := json.Unmarshal(record, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Subject) != 1 || "sha256:"+got.Subject[0].Digest["sha256"] != i.Digest() {
		t.Errorf("the record is about %+v", got.Subject)
	}
	log, err := layout.BuildLog(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"go1.", "GOOS=linux GOARCH=amd64 CGO_ENABLED=0 go build -trimpath"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log is %q, without %q", log, want)
		}
	}
	if strings.Contains(string(record), s.Dir) {
		t.Errorf("the record says where the source lies: %s", record)
	}
	again := buildImage(t, s, BuildOptions{Platforms: []string{"linux/amd64"}})
	for _, kind := range []string{SBOMType, RecordType} {
		if string(attachment(t, i, kind)) != string(attachment(t, again, kind)) {
			t.Errorf("%s is another the second time", kind)
		}
	}
}

func attachment(t *testing.T, i *Image, kind string) []byte {
	t.Helper()
	n := slices.IndexFunc(i.attached, func(m *manifest) bool { return string(m.layers[0].mediaType) == kind })
	if n < 0 {
		t.Fatalf("no %s", kind)
	}
	return i.attached[n].layers[0].head
}

func TestPurl(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]goModule{
		"pkg:golang/github.com/o/r@v1.2.3":                {path: "github.com/o/r", version: "v1.2.3"},
		"pkg:golang/example.com/app":                      {path: "example.com/app", version: "(devel)"},
		"pkg:golang/github.com/o/r@v2.0.0%2Bincompatible": {path: "github.com/o/r", version: "v2.0.0+incompatible"},
		"pkg:golang/gopkg.in/yaml.v3@v3.0.1":              {path: "gopkg.in/yaml.v3", version: "v3.0.1"},
	} {
		if got := m.purl(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := (goModule{sum: "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}).sha256(); got != strings.Repeat("0", 64) {
		t.Errorf("got %s", got)
	}
	if got := (goModule{sum: "h1:?"}).sha256(); got != "" {
		t.Errorf("got %s", got)
	}
}
