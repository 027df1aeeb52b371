package bench

import "os/exec"

// peak is not measured here.
func peak(*exec.Cmd) float64 { return 0 }
