// Command pebble has writers put values durably into a Pebble database in a directory,
// each one after the other, for so long, and prints how many puts that were a second: what
// the engine under ours can do when nothing is above it.
//
//	pebble DIRECTORY DURATION WRITERS BYTES
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

func main() {
	duration, err := time.ParseDuration(os.Args[2])
	if err != nil {
		fail(err)
	}
	var numbers [2]int
	for i := range numbers {
		if numbers[i], err = strconv.Atoi(os.Args[3+i]); err != nil {
			fail(err)
		}
	}
	dir := filepath.Join(os.Args[1], "pebble")
	if err := os.RemoveAll(dir); err != nil {
		fail(err)
	}
	db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}})
	if err != nil {
		fail(err)
	}
	value := make([]byte, numbers[1])
	var n atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for writer := range numbers[0] {
		wg.Go(func() {
			for i := 0; time.Since(began) < duration; i++ {
				if err := db.Set(fmt.Appendf(nil, "%d-%d", writer, i), value, pebble.Sync); err != nil {
					fail(err)
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	fmt.Printf("%.1f\n", float64(n.Load())/time.Since(began).Seconds())
	if err := db.Close(); err != nil {
		fail(err)
	}
}

// quiet is a logger of Pebble's that says nothing of what goes well.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }
func (quiet) Fatalf(format string, a ...any) { fail(fmt.Errorf(format, a...)) }

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
