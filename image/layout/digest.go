package layout

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ParseDigest reads a digest in the form "sha256:HEX" or "sha512:HEX".
func ParseDigest(s string) (v1.Hash, error) {
	d, err := v1.NewHash(s)
	if err != nil || !supported(d) {
		return v1.Hash{}, fmt.Errorf("%q is no sha256 or sha512 digest", s)
	}
	return d, nil
}

func supported(d v1.Hash) bool { return d.Algorithm == "sha256" || d.Algorithm == "sha512" }

// Digest returns the digest that data has unless somebody wants another: sha256.
func Digest(data []byte) v1.Hash {
	sum := sha256.Sum256(data)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// Is reports whether data has the digest d.
func Is(d v1.Hash, data []byte) bool {
	sum := newHash(d)
	sum.Write(data)
	return sumIs(d, sum)
}

// newHash returns what computes digests of the kind of d, which is supported.
func newHash(d v1.Hash) hash.Hash {
	if d.Algorithm == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

func sumIs(d v1.Hash, sum hash.Hash) bool { return hex.EncodeToString(sum.Sum(nil)) == d.Hex }
