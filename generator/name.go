package generator

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// names are the forms in which the name of a service appears in its code.
type names struct {
	Service   string // my-service
	Type      string // MyService
	Stem      string // myservice: in the names of files, and the proto package
	GoPackage string // the stem, where Go can have it as the name of a package
}

// CheckName tells whether a service can have a name: it must be a DNS label that
// begins with a letter.
func CheckName(name string) error {
	const want = "a name is made of a-z, 0-9 and -, begins with a letter, does not end with - and has at most 63 characters"
	switch {
	case name == "":
		return fmt.Errorf("the name is empty: %s", want)
	case len(name) > 63:
		return fmt.Errorf("%.20q… has %d characters: %s", name, len(name), want)
	case name[0] < 'a' || name[0] > 'z':
		return fmt.Errorf("%q begins with %q: %s", name, []rune(name)[0], want)
	case name[len(name)-1] == '-':
		return fmt.Errorf("%q ends with -: %s", name, want)
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return fmt.Errorf("%q has %q in it: %s", name, r, want)
		}
	}
	return nil
}

// NearestName returns the name that is most like another and can be that of a service;
// empty when there is none.
func NearestName(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	near := b.String()
	return strings.TrimRight(near[:min(len(near), 63)], "-")
}

// parseName checks a name and returns its forms.
func parseName(name string) (names, error) {
	if err := CheckName(name); err != nil {
		return names{}, err
	}
	var typ strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		if word != "" {
			typ.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	stem := strings.ReplaceAll(name, "-", "")
	return names{Service: name, Type: typ.String(), Stem: stem, GoPackage: goIdentifier(stem)}, nil
}

// data returns the values that every template has.
func (n names) data(modulePath string) map[string]any {
	return map[string]any{
		"Service":   n.Service,
		"Type":      n.Type,
		"Stem":      n.Stem,
		"GoPackage": n.GoPackage,
		"Module":    modulePath,
		"Binary":    binaryName(modulePath),
	}
}

// defaultModule returns the path of the module of a project for which none is
// given: the name of the service, where Go allows that.
func defaultModule(name string) string {
	if checkModule(name) == nil {
		return name
	}
	return "example.com/" + name
}

// checkModule tells whether a module can have a path. Other than the Go command
// does, it takes one without a dot, which is fine for a module that is only built
// in its own directory, unless it begins like something of Go's.
func checkModule(p string) error {
	if err := module.CheckImportPath(p); err != nil {
		return err
	}
	if first, _, _ := strings.Cut(p, "/"); slices.Contains(ofGo, first) {
		return fmt.Errorf("%q cannot be the path of a module: Go has something of the name %s itself; put a domain in front, as in example.com/%s", p, first, p)
	}
	return nil
}

// ofGo are first elements of import paths that the Go command takes for something
// of its own: the folders of the standard library, and what it calls patterns.
var ofGo = strings.Fields(`
	all cmd go main std tool toolchain vendor work

	archive arena bufio builtin bytes cmp compress container context crypto
	database debug embed encoding errors expvar flag fmt hash html image index
	internal io iter log maps math mime net os path plugin reflect regexp runtime
	simd slices sort strconv strings structs sync syscall testdata testing text
	time unicode unique unsafe weak`)
