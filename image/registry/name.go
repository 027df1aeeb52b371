package registry

import (
	"fmt"
	"strings"

	"github.com/micro/micro/v3/image/layout"
)

// validRepository reports whether s is NAMESPACE/SERVICE, both DNS labels.
func validRepository(s string) bool {
	namespace, service, ok := strings.Cut(s, "/")
	return ok && validLabel(namespace) && validLabel(service)
}

// validLabel reports whether s is a DNS label: at most 63 lower-case letters,
// digits and hyphens, and no hyphen at its ends.
func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !isLower(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return true
}

// validTag reports whether s is a tag as the specification has it.
func validTag(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !isLower(c) && !isDigit(c) && (c < 'A' || c > 'Z') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parseReference takes NAMESPACE/SERVICE@sha256:HEX, or with :TAG in place of
// the digest, apart. The error is [ErrName].
func parseReference(s string) (repository, reference string, err error) {
	if repository, reference, ok := strings.Cut(s, "@"); ok {
		if _, err := layout.ParseDigest(reference); err == nil && validRepository(repository) {
			return repository, reference, nil
		}
	} else if repository, reference, ok := strings.Cut(s, ":"); ok && validRepository(repository) && validTag(reference) {
		return repository, reference, nil
	}
	return "", "", fmt.Errorf("%w %q: want NAMESPACE/SERVICE@sha256:HEX or NAMESPACE/SERVICE:TAG", ErrName, s)
}
