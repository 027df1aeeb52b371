// Package archtest holds the code to the rules of docs/ARCHITECTURE.md. It has
// only tests.
package archtest
