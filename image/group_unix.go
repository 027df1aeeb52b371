//go:build unix

package image

import (
	"os/exec"
	"syscall"
)

// killGroup makes the end of a command's context kill the command with all that
// it has started, such as compilers.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
