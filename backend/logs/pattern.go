package logs

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// The bounds of a pattern: its length in bytes, and what it grows to when it is
// written out without counts.
const (
	maxPattern = 1024
	maxCost    = 10_000
)

// Pattern compiles a regular expression of somebody who may mean harm: with RE2 the
// time to match a line grows with the line and with the cost of the pattern alone.
func Pattern(s string) (*regexp.Regexp, error) {
	if len(s) > maxPattern {
		return nil, fmt.Errorf("the pattern has %d bytes, more than %d", len(s), maxPattern)
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("the pattern %q: %w", s, err)
	}
	if cost(tree) > maxCost {
		return nil, fmt.Errorf("the pattern %q costs too much: its counts are too large", s)
	}
	return regexp.Compile(s)
}

// cost returns about how many instructions an expression has, at most a little more
// than maxCost.
func cost(re *syntax.Regexp) int {
	n := 1
	if re.Op == syntax.OpLiteral {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		n = min(n+cost(sub), maxCost+1)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, maxCost+1)
}
