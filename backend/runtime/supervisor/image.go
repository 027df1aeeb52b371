package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/micro/micro/v3/backend/runtime"
)

// DigestOf returns the digest of an image's reference in hex.
func DigestOf(ref string) (string, error) {
	_, digest, _ := strings.Cut(ref, "@")
	digits, ok := strings.CutPrefix(digest, "sha256:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != sha256.Size || digits != strings.ToLower(digits) {
		return "", Refuse("image reference %q: want REPOSITORY@sha256:HEX", ref)
	}
	return digits, nil
}

// Refuse returns an error that says why an image cannot run here.
func Refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", runtime.ErrImage, fmt.Errorf(format, args...))
}
