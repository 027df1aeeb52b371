//go:build unix

package bench

import (
	"os/exec"
	"runtime"
	"syscall"
)

// peak returns the most resident memory that a process that has ended had, in MB.
func peak(cmd *exec.Cmd) float64 {
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return float64(usage.Maxrss) / 1e6
	}
	return float64(usage.Maxrss) / 1e3
}
