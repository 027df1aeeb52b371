package runtime

import (
	"errors"
	"fmt"
	"strings"
)

// maxName is the longest id, namespace and service: that of a DNS label.
const maxName = 63

// Validate returns what is wrong with a specification, nil when nothing is.
// Every driver asks before it starts anything, since ids and names become names
// of files, containers and the like.
func (s Spec) Validate() error {
	if s.ID == "" || len(s.ID) > maxName || !only(s.ID, alphanumeric+"-") {
		return fmt.Errorf("instance id %q: want 1 to %d letters, digits and '-'", s.ID, maxName)
	}
	if err := label(s.Namespace); err != nil {
		return fmt.Errorf("namespace %q: %w", s.Namespace, err)
	}
	if err := label(s.Service); err != nil {
		return fmt.Errorf("service %q: %w", s.Service, err)
	}
	for i, arg := range s.Args {
		if strings.ContainsRune(arg, 0) {
			return fmt.Errorf("argument %d holds a zero byte", i+1)
		}
	}
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return fmt.Errorf("environment variable %q: neither it nor its value may hold a zero byte, nor its name '='", name)
		}
	}
	return s.Resources.Validate()
}

// Validate returns what is wrong with bounds, nil when nothing is.
func (r Resources) Validate() error {
	switch {
	case r.CPU != 0 && r.CPU < MinCPU:
		return fmt.Errorf("%d thousandths of a processor: want 0 or at least %d", r.CPU, MinCPU)
	case r.Memory != 0 && r.Memory < MinMemory:
		return fmt.Errorf("%d bytes of memory: want 0 or at least %d", r.Memory, MinMemory)
	case r.Processes < 0:
		return fmt.Errorf("%d processes: want 0 or more", r.Processes)
	default:
		return nil
	}
}

const (
	lower        = "abcdefghijklmnopqrstuvwxyz0123456789"
	alphanumeric = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// label returns nil when name is a DNS label in lower case.
func label(name string) error {
	if name == "" || len(name) > maxName || !only(name, lower+"-") || name[0] == '-' || name[len(name)-1] == '-' {
		return errors.New("want a DNS label: lower-case letters, digits and '-' inside")
	}
	return nil
}

// only reports whether every byte of s is one of set's.
func only(s, set string) bool {
	return strings.Trim(s, set) == "" // what is left begins and ends with a stranger
}
