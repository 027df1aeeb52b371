//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// ttyName is the terminal of this process, wherever its output goes.
const ttyName = "/dev/tty"

// inForeground reports whether the terminal has not been given to others, as a shell does
// with what is started with "&": a process that reads from it or changes it would be
// stopped then.
func inForeground(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}
