//go:build !unix

package image

import "os/exec"

// killGroup has nothing to do here: the command is killed, and what it has
// started ends with the work that it was given.
func killGroup(*exec.Cmd) {}
