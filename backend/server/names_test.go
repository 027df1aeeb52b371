package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServiceNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"helloworld", "a", "0", "a-b", strings.Repeat("a", 63), "runner", "microservice"} {
		if err := checkServiceName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	bad := []string{"", "-a", "a-", "A", "a.b", "a/b", "a_b", "a b", "ä", "a\x00", "..", "*", strings.Repeat("a", 64)}
	for _, name := range slices.Concat(bad, Commands(), Planned()) {
		if err := checkServiceName(name); err == nil {
			t.Errorf("%q can name a service", name)
		}
	}
}

func TestReservedNamesAreInOrderAndOnce(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{Commands(), Planned()} {
		if diff := cmp.Diff(slices.Compact(slices.Sorted(slices.Values(names))), names); diff != "" {
			t.Error(diff)
		}
	}
	for _, name := range Planned() {
		if slices.Contains(Commands(), name) {
			t.Errorf("%q is a command: it is planned no more", name)
		}
	}
}
