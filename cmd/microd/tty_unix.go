//go:build unix

package main

// ttyName is the terminal of this process, wherever its output goes.
const ttyName = "/dev/tty"
