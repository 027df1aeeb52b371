package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slowDisk is a directory in memory, for programs whose fsync is held at a millisecond:
// how fast a disk is says more about the machine than about us.
type slowDisk struct {
	dir   string
	floor float64 // fsyncs that one after the other makes a second
}

// hold is what comes before a command line to hold its fsyncs.
func (slowDisk) hold(command ...string) []string {
	return append([]string{
		"strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null",
		"-e", "trace=fsync,fdatasync,sync_file_range", "-e", "inject=fsync,fdatasync:delay_exit=1000",
	}, command...)
}

func newSlowDisk(b *testing.B, w *world) *slowDisk {
	b.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		b.Skip("needs strace")
	}
	dir, err := os.MkdirTemp("/dev/shm", "micro-bench-") //nolint:usetesting // its own is on a disk
	if err != nil {
		b.Skip("needs /dev/shm: ", err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &slowDisk{dir: dir}
	d.measure(b, w)
	return d
}

// measure measures the floor.
func (d *slowDisk) measure(b *testing.B, w *world) {
	b.Helper()
	d.floor = d.rate(b, w, "fsync", d.dir, (2 * time.Second).String())
}

// pebble returns how many values a second Pebble alone puts durably.
func (d *slowDisk) pebble(b *testing.B, w *world, writers, bytes int) float64 {
	b.Helper()
	return d.rate(b, w, "pebble", d.dir, (2 * time.Second).String(), strconv.Itoa(writers), strconv.Itoa(bytes))
}

// rate runs a program on the disk, and returns what it prints.
func (d *slowDisk) rate(b *testing.B, w *world, name string, args ...string) float64 {
	b.Helper()
	line := d.hold(append([]string{filepath.Join(w.bin, name)}, args...)...)
	out, err := w.command(b, line[0], line[1:]...).Output()
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	rate, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		b.Fatal(err)
	}
	return rate
}

// startOn starts a server with its data on a slow disk, and makes it the current one.
func (w *world) startOn(b *testing.B, d *slowDisk) {
	b.Helper()
	w.startAt(b, filepath.Join(d.dir, "data"), d.hold(filepath.Join(w.bin, "microd"))...)
	w.run(b, "env", "add", "slow", w.proxy)
	w.run(b, "env", "set", "slow")
}
