package platform

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// commandVariable is where [Environment] keeps the command that gives new tokens. It is
// no variable of the process.
const commandVariable = "micro command"

// variables are those that say where the server is and who the service is. When one of
// them is set, nothing else is asked.
var variables = []string{"MICRO_PROXY", "MICRO_IDENTITY_FILE", "MICRO_TOKEN"}

// Environment returns the variables of this process. One that is run by hand, from an
// editor or a shell, has none that say where its server is: it gets those of the
// environment that its developer is logged in to.
//
// The command line tells: a login leaves the path of the command in the file "command"
// of the user's directory of micro, and `micro env export` prints the variables. So who
// has never logged in on this machine gets nothing, which is true of machines where
// services run in earnest. MICRO_ENV names another environment than the current one,
// "none" for none at all, and a test is in none.
func Environment() func(string) string { return ofProcess() }

var ofProcess = sync.OnceValue(func() func(string) string { return environment(os.Getenv, underTest(), export) })

func environment(getenv func(string) string, testing bool, ask func(ctx context.Context, command string) (map[string]string, error)) func(string) string {
	for _, name := range variables {
		if getenv(name) != "" {
			return getenv
		}
	}
	command := installed(getenv)
	if testing || command == "" || getenv("MICRO_ENV") == "none" {
		return getenv
	}
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	vars, err := ask(ctx, command)
	if err != nil {
		return getenv // to be run alone is what is left
	}
	vars[commandVariable] = command
	return func(name string) string {
		if v, ok := vars[name]; ok {
			return v
		}
		return getenv(name)
	}
}

// ByHand reports whether this process is run by hand, in an environment that
// [Environment] has found.
func ByHand() bool { return Environment()(commandVariable) != "" }

// askFor is how long the command may take: it may have to wake a keyring.
const askFor = 10 * time.Second

// underTest reports whether the process is one of `go test`. What it tests must not
// change what its developer works with.
func underTest() bool { return flag.Lookup("test.v") != nil }

// installed returns the path of the command that the user has logged in with; empty when
// there is none.
func installed(getenv func(string) string) string {
	dir := getenv("MICRO_HOME")
	if dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(config, "micro")
	}
	b, err := os.ReadFile(filepath.Join(dir, "command"))
	command := strings.TrimSpace(string(b))
	if err != nil || !filepath.IsAbs(command) {
		return ""
	}
	return command
}

// export asks the command for the variables.
func export(ctx context.Context, command string) (map[string]string, error) {
	out, err := exec.CommandContext(ctx, command, "env", "export", "-o", "json").Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok && len(failed.Stderr) > 0 {
			err = errors.New(strings.TrimSpace(string(failed.Stderr)))
		}
		return nil, fmt.Errorf("%s env export: %w", command, err)
	}
	var vars map[string]string
	if err := json.Unmarshal(out, &vars); err != nil {
		return nil, fmt.Errorf("%s env export: %w", command, err)
	}
	return vars, nil
}

// fromCommand begins with the token that an environment has, and asks the command for
// the next ones.
func fromCommand(getenv func(string) string) tokenSource {
	first := getenv("MICRO_TOKEN")
	return func(ctx context.Context, _ *grpc.ClientConn) (string, time.Time, error) {
		if token := first; token != "" {
			first = ""
			return token, expiry(token), nil
		}
		vars, err := export(ctx, getenv(commandVariable))
		if err != nil {
			return "", time.Time{}, status.Error(codes.Unauthenticated, err.Error())
		}
		return vars["MICRO_TOKEN"], expiry(vars["MICRO_TOKEN"]), nil
	}
}
