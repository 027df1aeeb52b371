package image

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Where the base has the certificates, and who runs the program.
const (
	certificatesFile = "etc/ssl/certs/ca-certificates.crt"
	nobody           = "65532"
)

// baseLayer returns the layer that all images share: what a Go program expects
// of a system, and nothing that could be run. It changes with the version of
// micro only.
func baseLayer(at time.Time) (*blob, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := archive(w, []tarEntry{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, content: "root:x:0:\nnobody:x:" + nobody + ":\n"},
		{name: "etc/passwd", mode: 0o644, content: "root:x:0:0:root:/:/sbin/nologin\n" +
			"nobody:x:" + nobody + ":" + nobody + ":nobody:/tmp:/sbin/nologin\n"},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: certificatesFile, mode: 0o644, content: certificates()},
		{name: "tmp/", mode: 0o1777},
	}, at)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, err
	}
	return newBlob(blob{mediaType: types.OCIUncompressedLayer, head: b.Bytes()})
}

// certificates returns the certificate authorities that Mozilla trusts without
// reservation. A reservation, such as a date after which an authority's new
// certificates are not trusted, cannot be written into this format.
func certificates() string {
	var b strings.Builder
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			// Nothing is written that can fail.
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return b.String()
}
