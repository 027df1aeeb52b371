//go:build !race

package crashtest

// Race tells tests that everything takes ten times as long: Pebble checks itself under
// the race detector.
const Race = false
