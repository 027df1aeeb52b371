package image

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// IsReference reports whether s names an image in a registry, with the registry:
// HOST[:PORT]/REPOSITORY[:TAG][@DIGEST], where HOST has a dot, a port or is localhost.
func IsReference(s string) bool {
	host, rest, ok := strings.Cut(s, "/")
	if !ok || rest == "" || !strings.ContainsAny(host, ".:") && host != "localhost" || strings.HasPrefix(host, ".") {
		return false
	}
	_, err := name.ParseReference(s, name.WeakValidation)
	return err == nil
}

// SplitReference takes the name of an image in a registry apart. Without a tag that is
// "latest".
func SplitReference(s string) (registry, repository, tag string, err error) {
	ref, err := name.NewTag(s, name.WeakValidation)
	if err != nil {
		return "", "", "", fmt.Errorf("reference %q: %w", s, err)
	}
	return ref.RegistryStr(), ref.RepositoryStr(), ref.TagStr(), nil
}
