//go:build !race

package main

// withRace has the programs built as this test is: without the race detector.
const withRace = false
