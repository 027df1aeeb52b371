package envs

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// childVariable makes the test binary another process of micro: it does what the
// child of that name does, and nothing else.
const childVariable = "MICRO_ENVS_TEST_CHILD"

// TestMain gives children their work.
func TestMain(m *testing.M) {
	children := map[string]func(args []string) error{
		"add":     childAdd,
		"rewrite": childRewrite,
		"keyring": childKeyring,
	}
	if child, ok := children[os.Getenv(childVariable)]; ok {
		if err := child(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child returns a process that does what the child of that name does. Further
// variables are in the form of [os.Environ].
func child(t *testing.T, name string, variables []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), childVariable+"="+name), variables...)
	cmd.Stderr = os.Stderr
	return cmd
}

// startChild starts a child and returns what reads its standard output.
func startChild(t *testing.T, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(out)
}

// newDirs returns directories of a user who has none yet.
func newDirs(t *testing.T) Dirs {
	t.Helper()
	return homeDirs(t, t.TempDir())
}

func homeDirs(t *testing.T, home string) Dirs {
	t.Helper()
	d, err := FindDirs(getenv(map[string]string{"MICRO_HOME": home}))
	if err != nil {
		t.Fatal(err)
	}
	return d
}
