package image

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// RefError is returned for a branch, tag or commit that a repository does not
// have.
type RefError struct {
	Address string   // of the repository
	Ref     string   // what was asked for
	Near    []string // branches and tags with a similar name, the nearest first
	Many    bool     // Ref is the beginning of more than one commit
}

func (e *RefError) Error() string {
	if e.Many {
		return fmt.Sprintf("%s: more than one commit begins with %s", e.Address, e.Ref)
	}
	text := fmt.Sprintf("no branch, tag or commit %q in %s", e.Ref, e.Address)
	if len(e.Near) > 0 {
		text += "; there is " + strings.Join(e.Near, ", ")
	}
	return text
}

// Is reports whether target is [ErrNotFound].
func (e *RefError) Is(target error) bool { return target == ErrNotFound }

// refs are the names that a repository has for its commits.
type refs struct {
	head   plumbing.Hash            // of the default branch; zero when there is none
	branch string                   // the default branch
	byName map[string]plumbing.Hash // by the full name
	peeled map[string]plumbing.Hash // the commits of tags that are objects of their own
}

// find returns what a branch, a tag or a full ref names: its hash, which can be
// that of a tag object, and the name.
func (r *refs) find(name string) (plumbing.Hash, bool) {
	for _, full := range []string{"refs/heads/" + name, "refs/tags/" + name, name} {
		if h, ok := r.byName[full]; ok && strings.HasPrefix(full, "refs/") {
			return h, true
		}
	}
	return plumbing.ZeroHash, false
}

// withPrefix returns what leads to the commit that begins with the given digits,
// of those that have a name. Many is true when there is more than one.
func (r *refs) withPrefix(digits string) (h plumbing.Hash, many bool) {
	var commit plumbing.Hash
	for _, names := range []map[string]plumbing.Hash{r.byName, r.peeled} {
		for name, other := range names {
			if other == commit || !strings.HasPrefix(other.String(), digits) {
				continue
			}
			if !commit.IsZero() {
				return commit, true
			}
			// Of a tag with a message a host gives the tag, not its commit.
			commit, h = other, r.byName[name]
		}
	}
	return h, false
}

// near returns the branches and tags whose names are similar to one.
func (r *refs) near(name string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for full := range r.byName {
		short, ok := strings.CutPrefix(full, "refs/heads/")
		if !ok {
			if short, ok = strings.CutPrefix(full, "refs/tags/"); !ok {
				continue
			}
		}
		d := distance(name, short)
		if strings.HasPrefix(short, name) || strings.HasSuffix(short, name) {
			d = 1
		}
		if d <= max(2, len(name)/3) {
			found = append(found, candidate{short, d})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(b.name, a.name))
	})
	var names []string
	for _, c := range found[:min(len(found), 5)] {
		names = append(names, c.name)
	}
	return slices.Compact(names)
}

// distance returns how many letters must be changed, added or removed to make b
// of a. Names are short.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// isDigits reports whether s can be a commit or the beginning of one.
func isDigits(s string) bool {
	if len(s) < 4 || len(s) > 40 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
