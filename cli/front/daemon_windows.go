package front

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
)

// replace runs another program with what this one has, and returns its exit code.
func replace(path string, args, env []string) (int, error) {
	// Ctrl-C reaches both: microd decides what it means.
	signal.Ignore(os.Interrupt)
	cmd := exec.Command(path, args[1:]...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
