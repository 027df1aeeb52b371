//go:build race

package backend_test

// raceEnabled says that everything takes ten times as long.
const raceEnabled = true
