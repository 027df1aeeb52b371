package image

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/micro/micro/v3/image/layout"
)

// The parts of an SPDX 2.3 document that are used here. What the specification wants
// and nobody here can know, such as licences, is "NOASSERTION".
type (
	spdxDocument struct {
		SPDXVersion       string             `json:"spdxVersion"`
		DataLicense       string             `json:"dataLicense"`
		ID                string             `json:"SPDXID"`
		Name              string             `json:"name"`
		DocumentNamespace string             `json:"documentNamespace"`
		CreationInfo      spdxCreation       `json:"creationInfo"`
		Packages          []spdxPackage      `json:"packages"`
		Relationships     []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID               string         `json:"SPDXID"`
		Name             string         `json:"name"`
		Version          string         `json:"versionInfo,omitempty"`
		Purpose          string         `json:"primaryPackagePurpose,omitempty"`
		DownloadLocation string         `json:"downloadLocation"`
		FilesAnalyzed    bool           `json:"filesAnalyzed"`
		LicenseConcluded string         `json:"licenseConcluded"`
		LicenseDeclared  string         `json:"licenseDeclared"`
		Copyright        string         `json:"copyrightText"`
		Supplier         string         `json:"supplier"`
		Checksums        []spdxChecksum `json:"checksums,omitempty"`
		References       []spdxExternal `json:"externalRefs,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxExternal struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

const (
	noAssertion = "NOASSERTION"
	documentID  = "SPDXRef-DOCUMENT"
)

// SBOM returns an SPDX document in JSON about all that is in the image: for each
// platform the modules that the program is made of, with their versions and the
// checksums of go.sum, and Go's standard library. Licences are not looked for.
func (i *Image) SBOM() ([]byte, error) { return i.spdx(i.root, i.parts) }

// spdx returns the document about a manifest that is made of some parts.
func (i *Image) spdx(root *manifest, parts []part) ([]byte, error) {
	at, err := created()
	if err != nil {
		return nil, err
	}
	d := &spdxDocument{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", ID: documentID, Name: i.name,
		DocumentNamespace: "https://github.com/micro/micro/spdx/" + url.PathEscape(i.name) + "-" + root.descriptor.Digest.Hex,
		CreationInfo:      spdxCreation{Created: at.Format(time.RFC3339), Creators: []string{"Tool: micro"}},
	}
	whole := d.image(i.name, root, "")
	d.relate(documentID, "DESCRIBES", whole)
	modules := map[goModule]string{} // their elements
	for _, p := range parts {
		element := whole
		if p.manifest != root {
			element = d.image(i.name, p.manifest, p.platform.Architecture)
			d.relate(element, "VARIANT_OF", whole)
		}
		d.contents(element, p.contents, modules)
	}
	return json.Marshal(d)
}

// image adds an image and returns its element.
func (d *spdxDocument) image(name string, m *manifest, arch string) string {
	digest := m.descriptor.Digest
	purl := "pkg:oci/" + url.PathEscape(name) + "@" + url.QueryEscape(digest.String())
	if arch != "" {
		purl += "?arch=" + arch
	}
	return d.add(spdxPackage{
		ID: "SPDXRef-Image-" + digest.Hex[:16], Name: name, Version: digest.String(), Purpose: "CONTAINER",
		Checksums: []spdxChecksum{{"SHA256", digest.Hex}},
	}, purl)
}

// contents adds what a program is made of to an image that contains it.
func (d *spdxDocument) contents(image string, c contents, modules map[goModule]string) {
	if c.goVersion == "" {
		return
	}
	element := func(m goModule) string {
		if modules[m] == "" {
			modules[m] = d.module(m)
		}
		return modules[m]
	}
	main := element(c.main)
	d.relate(image, "CONTAINS", main)
	standard := goModule{path: "stdlib", version: strings.TrimPrefix(c.goVersion, "go")}
	for _, m := range append(slices.Clone(c.modules), standard) {
		d.relate(main, "DEPENDS_ON", element(m))
	}
}

// module adds a module of Go and returns its element.
func (d *spdxDocument) module(m goModule) string {
	id := layout.Digest([]byte(m.path + "@" + m.version)).Hex[:16]
	p := spdxPackage{ID: "SPDXRef-Module-" + id, Name: m.path, Version: m.version, Purpose: "LIBRARY"}
	if sum := m.sha256(); sum != "" {
		p.Checksums = []spdxChecksum{{"SHA256", sum}}
	}
	return d.add(p, m.purl())
}

func (d *spdxDocument) add(p spdxPackage, purl string) string {
	p.DownloadLocation, p.Supplier, p.Copyright = noAssertion, noAssertion, noAssertion
	p.LicenseConcluded, p.LicenseDeclared = noAssertion, noAssertion
	p.References = []spdxExternal{{"PACKAGE-MANAGER", "purl", purl}}
	d.Packages = append(d.Packages, p)
	return p.ID
}

func (d *spdxDocument) relate(from, how, to string) {
	d.Relationships = append(d.Relationships, spdxRelationship{from, how, to})
}

// purl returns the URL that names a package of Go.
func (m goModule) purl() string {
	parts := strings.Split(m.path, "/")
	for n, p := range parts {
		parts[n] = url.PathEscape(p)
	}
	purl := "pkg:golang/" + strings.Join(parts, "/")
	if m.version != "" && m.version != "(devel)" {
		purl += "@" + url.QueryEscape(m.version)
	}
	return purl
}

// sha256 returns the module's checksum of go.sum in hexadecimal digits, empty when
// there is none: it is that of a list of its files with theirs.
func (m goModule) sha256() string {
	text, ok := strings.CutPrefix(m.sum, "h1:")
	sum, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return ""
	}
	return hex.EncodeToString(sum)
}
