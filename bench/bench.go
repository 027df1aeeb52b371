// Package bench measures micro as its users meet it, whole processes and whole
// servers, against a floor or a peer in the same run. It has only benchmarks;
// `make bench` runs them, and docs/PERFORMANCE.md has the last table.
//
// A figure is a ratio. The two sides take turns, so that a machine that is busy is
// busy for both, and the medians are compared.
package bench
