package image

import (
	"bufio"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// ignoreFiles are those with rules for what is no part of a source, in the form of git's.
// The rules of the second go over those of the first.
func ignoreFiles() []string { return []string{".gitignore", ".microignore"} }

// Limits of the files with rules.
const (
	maxIgnoreFile  = 1 << 20
	maxIgnoreRules = 10_000
)

// Ignore knows which files below a directory are no part of its source: what the
// .gitignore and .microignore files say, as git understands them, and .git itself. What a
// service is built of does not depend on it, that is for the go command to say: it is for
// those who look for files, and for those who watch them.
//
// Its methods are safe for concurrent use. Files with rules are read once.
type Ignore struct {
	dir string

	mu    sync.Mutex
	rules map[string][]gitignore.Pattern // by the folder, those of its own files
	count int
}

// NewIgnore returns what is ignored below a directory.
func NewIgnore(dir string) *Ignore {
	return &Ignore{dir: dir, rules: map[string][]gitignore.Pattern{}}
}

// Match reports whether a file or a folder is ignored. Name is below the directory, with
// slashes. What lies in a folder that is ignored is ignored.
func (i *Ignore) Match(name string, isDir bool) bool {
	parts := strings.Split(path.Clean(name), "/")
	for n := range parts {
		if i.match(parts[:n+1], isDir || n+1 < len(parts)) {
			return true
		}
	}
	return false
}

// match is Match of a name whose folders are not ignored.
func (i *Ignore) match(parts []string, isDir bool) bool {
	if parts[len(parts)-1] == ".git" {
		return true
	}
	var rules []gitignore.Pattern
	for n := range parts {
		rules = append(rules, i.of(parts[:n])...)
	}
	return gitignore.NewMatcher(rules).Match(parts, isDir)
}

// of returns the rules of a folder's own files.
func (i *Ignore) of(folder []string) []gitignore.Pattern {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := strings.Join(folder, "/")
	rules, ok := i.rules[key]
	if !ok {
		for _, name := range ignoreFiles() {
			rules = append(rules, i.read(folder, name)...)
		}
		i.rules[key] = rules
	}
	return rules
}

// read reads one file with rules. One that cannot be read has none.
func (i *Ignore) read(folder []string, name string) []gitignore.Pattern {
	file := filepath.Join(i.dir, filepath.Join(folder...), name)
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxIgnoreFile {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	var rules []gitignore.Pattern
	for lines := bufio.NewScanner(f); lines.Scan() && i.count < maxIgnoreRules; {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i.count++
		rules = append(rules, gitignore.ParsePattern(line, folder))
	}
	return rules
}
