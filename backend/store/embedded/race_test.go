//go:build race

package embedded_test

// raceEnabled tells tests that everything takes ten times as long: Pebble checks
// itself then.
const raceEnabled = true
