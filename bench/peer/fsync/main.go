// Command fsync appends to a file in a directory and syncs it, as often as it can for so
// long, and prints how many times that was a second: the floor under everything durable.
//
//	fsync DIRECTORY DURATION
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	duration, err := time.ParseDuration(os.Args[2])
	if err != nil {
		fail(err)
	}
	f, err := os.Create(filepath.Join(os.Args[1], "fsync"))
	if err != nil {
		fail(err)
	}
	line := make([]byte, 256)
	n, began := 0, time.Now()
	for ; time.Since(began) < duration; n++ {
		if _, err := f.Write(line); err != nil {
			fail(err)
		}
		if err := f.Sync(); err != nil {
			fail(err)
		}
	}
	fmt.Printf("%.1f\n", float64(n)/time.Since(began).Seconds())
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
