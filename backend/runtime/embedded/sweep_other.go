//go:build !linux && !darwin

package embedded

// killAll finds nothing: on Windows a job ends with the process that held it,
// and elsewhere there is no way that this package knows of.
func killAll(leftover) ([]processID, error) { return nil, nil }

// identify returns what is known here of a process: its number.
func identify(pid int) processID { return processID{PID: pid} }

// bootID returns what tells this start of the machine from others; it is not
// known here.
func bootID() string { return "" }
