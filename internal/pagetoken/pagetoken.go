// Package pagetoken makes the tokens by which callers ask for the next page of a
// list: a fingerprint of what is paged through, and the last item of the page before.
// A token gives nobody anything but another place to begin at.
package pagetoken

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// fingerprintSize is how much of a hash stands in a token.
const fingerprintSize = 8

// List is what is paged through.
type List string

// Of returns the list that is told from others by these parts, and their number.
func Of(parts ...string) List {
	h := sha256.New()
	for _, p := range parts {
		_ = binary.Write(h, binary.BigEndian, uint32(len(p))) // a hash takes everything
		h.Write([]byte(p))
	}
	return List(h.Sum(nil)[:fingerprintSize])
}

// After returns the token of the page behind an item.
func (l List) After(last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(l) + last))
}

// Parse returns the item that a token stands behind, false when it is a token of no
// page, or of another list. An empty token is not for it.
func (l List) Parse(token string) (last string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	last, ok = strings.CutPrefix(string(b), string(l))
	return last, ok && err == nil
}
