package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// sortedArgs are the arguments of a command line by what they are.
type sortedArgs struct {
	path   []string // the names of the command
	flags  []string // with their values
	values []string
	dashed []string // those of values that begin with "-"
}

// sortArgs tells flags from values where isValue says of what begins with "-" and is
// no flag's value that it is a value itself. It reports false when args reach no command
// that takes its flags apart.
func sortArgs(root *cobra.Command, args []string, isValue func(cmd *cobra.Command, arg string, before int) bool) (s sortedArgs, ok bool) {
	cmd, _, err := root.Find(args)
	if err != nil || cmd == root || cmd.DisableFlagParsing {
		return s, false
	}
	depth := len(strings.Fields(cmd.CommandPath())) - 1
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			s.values = append(s.values, args[i+1:]...)
			return s, true
		case !strings.HasPrefix(a, "-") || a == "-":
			if len(s.path) < depth {
				s.path = append(s.path, a)
			} else {
				s.values = append(s.values, a)
			}
		case len(s.path) == depth && isValue(cmd, a, len(s.values)):
			s.values, s.dashed = append(s.values, a), append(s.dashed, a)
		default:
			s.flags = append(s.flags, a)
			if takesNext(cmd, a) && i+1 < len(args) {
				i++
				s.flags = append(s.flags, args[i])
			}
		}
	}
	return s, true
}

// line returns the arguments so that a value is taken for nothing else.
func (s sortedArgs) line() []string {
	return slices.Concat(s.path, s.flags, []string{"--"}, s.values)
}

// takesNext reports whether the value of a flag is the argument behind it.
func takesNext(cmd *cobra.Command, arg string) bool {
	if name, long := strings.CutPrefix(arg, "--"); long {
		f := cmd.Flag(name)
		return f != nil && f.NoOptDefVal == ""
	}
	for i, letter := range arg[1:] {
		f := shorthand(cmd, string(letter))
		if f == nil {
			return false
		}
		if f.NoOptDefVal == "" {
			return i == len(arg)-2 // else its value is what is behind the letter
		}
	}
	return false
}

func shorthand(cmd *cobra.Command, letter string) *pflag.Flag {
	if len(letter) > 1 {
		return nil
	}
	if f := cmd.Flags().ShorthandLookup(letter); f != nil {
		return f
	}
	return cmd.InheritedFlags().ShorthandLookup(letter)
}

// negativeNumber matches what is a number and no flag: no command has a flag that is a
// digit.
var negativeNumber = regexp.MustCompile(`^-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$`)

// withNumbers returns arguments of which negative numbers are values of the command, as
// whoever typed them meant.
func withNumbers(root *cobra.Command, args []string) []string {
	if !slices.ContainsFunc(args, negativeNumber.MatchString) {
		return args
	}
	s, ok := sortArgs(root, args, func(_ *cobra.Command, arg string, _ int) bool { return negativeNumber.MatchString(arg) })
	if !ok || len(s.dashed) == 0 {
		return args
	}
	return s.line()
}

// dashHint returns the command line that takes what is no flag for a value, where a value
// may be anything; empty when none was meant.
func dashHint(root *cobra.Command, args []string) string {
	s, ok := sortArgs(root, args, func(cmd *cobra.Command, arg string, before int) bool {
		names := strings.Fields(cmd.Use)[1:]
		at := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, "VALUE") || strings.HasPrefix(n, "[PAYLOAD]") })
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		known := cmd.Flag(name) != nil || !strings.HasPrefix(arg, "--") && shorthand(cmd, arg[1:2]) != nil
		return at >= 0 && before >= at && !known && name != "help" && name != "h"
	})
	if !ok || len(s.dashed) == 0 {
		return ""
	}
	return "micro " + quoteArgs(s.line())
}
