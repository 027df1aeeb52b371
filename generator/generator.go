// Package generator makes the code that a machine can write: Go code from .proto
// files, by [Gen].
package generator
