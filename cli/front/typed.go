package front

// typedArg is an argument of a call as it was typed: a flag, its value, or a body.
type typedArg struct {
	flag  string // with its dashes; empty for a body
	value string
	has   bool // it has a value
}
