package front

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/micro/micro/v3/dynamic/request"
	"github.com/micro/micro/v3/envs"
)

// serviceList is the file with the services that a namespace had when somebody last
// asked the server. No service is called like it.
const serviceList = ".services"

// PutServices keeps the names of all services of a namespace, for completion, and
// forgets those that are no longer among them. That they cannot be kept is no error,
// as in [Cache.Put].
func (c Cache) PutServices(e envs.Env, namespace string, names []string) {
	if !isFileName(namespace) {
		return
	}
	for _, known := range c.Services(e, namespace) {
		if !slices.ContainsFunc(names, func(name string) bool { return request.Means(known, name) }) {
			c.Forget(e, namespace, known)
		}
	}
	_ = writeCache(c.name(e, namespace, serviceList), []byte(strings.Join(names, "\n")))
}

// AddServices keeps the names of services that are there beside those of the last list.
func (c Cache) AddServices(e envs.Env, namespace string, names []string) {
	known := c.Services(e, namespace)
	all := slices.Concat(known, names)
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > len(known) && isFileName(namespace) {
		_ = writeCache(c.name(e, namespace, serviceList), []byte(strings.Join(all, "\n")))
	}
}

// Services returns the services of a namespace that were seen last, sorted: those of
// the last list, and those that were called or asked for.
func (c Cache) Services(e envs.Env, namespace string) []string {
	if !isFileName(namespace) {
		return nil
	}
	list := c.name(e, namespace, serviceList)
	var names []string
	add := func(name string) {
		if isFileName(name) {
			names = append(names, name)
		}
	}
	if b, err := os.ReadFile(list); err == nil {
		for name := range strings.SplitSeq(string(b), "\n") {
			add(name)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(list)); err == nil {
		for _, entry := range entries {
			add(entry.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Namespaces returns the namespaces of an environment that something is known of,
// sorted.
func (c Cache) Namespaces(e envs.Env) []string {
	entries, err := os.ReadDir(filepath.Dir(filepath.Dir(c.name(e, envs.DefaultNamespace, serviceList))))
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && isFileName(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names
}
