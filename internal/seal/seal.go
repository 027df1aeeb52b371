// Package seal encrypts values that are stored, under keys that are derived from
// the master key of a server.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MasterKeySize is the length of a master key in bytes.
const MasterKeySize = 32

// ErrOpen is returned for what cannot be opened.
var ErrOpen = errors.New("it was encrypted with another master key or for another place, or was altered")

// Derive returns the key of 32 bytes that a master key has for a purpose.
func Derive(master []byte, purpose string) ([]byte, error) {
	if len(master) != MasterKeySize {
		return nil, fmt.Errorf("the master key has %d bytes, not %d", len(master), MasterKeySize)
	}
	return hkdf.Key(sha256.New, master, nil, purpose, 32)
}

// Box encrypts with AES-256-GCM. It is safe for concurrent use.
type Box struct{ aead cipher.AEAD }

// NewBox returns a box with the key that a master key has for a purpose.
func NewBox(master []byte, purpose string) (Box, error) {
	key, err := Derive(master, purpose)
	if err != nil {
		return Box{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return Box{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return Box{aead: aead}, err
}

// Seal encrypts a value for a place, such as the key of a record; it opens there
// only.
func (b Box) Seal(place string, plain []byte) []byte {
	return b.aead.Seal(nil, nil, plain, []byte(place))
}

// Open returns what was sealed for a place, or [ErrOpen].
func (b Box) Open(place string, sealed []byte) ([]byte, error) {
	plain, err := b.aead.Open(nil, nil, sealed, []byte(place))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}
