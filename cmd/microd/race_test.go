//go:build race

package main

// withRace has the programs built as this test is: with the race detector.
const withRace = true
