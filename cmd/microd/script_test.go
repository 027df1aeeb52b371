package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/micro/micro/v3/internal/crashtest"
)

// The scripts of testdata/script run the two binaries as they are shipped, each
// script with a home of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, scripts(buildBinaries(t)))
}

// The stories of calls, with grpc-go in the place of the front's own transport.
func TestScriptsOverGRPC(t *testing.T) {
	p := scripts(buildBinaries(t))
	p.Dir = ""
	for _, name := range []string{"answers", "call", "failures", "plain", "transport"} {
		p.Files = append(p.Files, filepath.Join("../../testdata/script", name+".txtar"))
	}
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("MICRO_TRANSPORT", "grpc")
		return setup(env)
	}
	testscript.Run(t, p)
}

// patience is how long a script waits for what has to come: nothing is too slow on a
// machine with much else to do, and only what never comes has to end.
const patience = 5 * time.Minute

func scripts(bin string) testscript.Params {
	return testscript.Params{
		Dir:                 "../../testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup:               func(env *testscript.Env) error { return setup(env, bin) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitserver": waitServer,
			"cmpjson":    compareJSON,
			"await":      await,
		},
		Condition: condition,
	}
}

// buildBinaries builds micro, microd and the fixture that stands for any other server into a directory of their own,
// with the race detector when this test has it.
func buildBinaries(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	args := []string{"build", "-ldflags=-s -w", "-o", bin + string(filepath.Separator)}
	if crashtest.Race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, "../micro", "../microd", "../../testdata/fixture")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// setup gives a script an empty home, and the caches of Go that are there: to fill
// them is not what a script is about.
func setup(env *testscript.Env, bin string) error {
	home := filepath.Join(env.WorkDir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "GOROOT", "GOSUMDB").Output() //nolint:noctx // it ends by itself
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	var goEnv map[string]string
	if err := json.Unmarshal(out, &goEnv); err != nil {
		return err
	}
	for k, v := range goEnv {
		env.Setenv(k, v)
	}
	env.Setenv("HOME", home)
	env.Setenv("MICRO_HOME", filepath.Join(home, ".micro"))
	env.Setenv("XDG_RUNTIME_DIR", "")
	env.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	env.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	env.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	env.Setenv("SERVICES", mustAbs("../../testdata/services"))
	env.Setenv("FIXTURE", mustAbs("../../testdata/fixture/proto"))
	env.Setenv("PLATFORM", runtime.GOOS+"/"+runtime.GOARCH)
	env.Setenv("INTEROP", mustAbs("../../testdata/interop"))
	env.Setenv("PYTHON", python())
	if plugin, err := exec.LookPath("grpc_python_plugin"); err == nil {
		env.Setenv("PYTHON_PLUGIN", plugin)
	}
	env.Setenv("SMTPD", mustAbs("../../testdata/smtp/main.go"))
	return nil
}

// python returns a Python that has gRPC: the first one in PATH need not be the one that
// a distribution's packages are for.
func python() string {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if hasGRPC(name) {
			return name
		}
	}
	return "python3"
}

func hasGRPC(python string) bool {
	return exec.Command(python, "-c", "import grpc, google.protobuf").Run() == nil //nolint:noctx // it ends by itself
}

func mustAbs(p string) string {
	abs, err := filepath.Abs(p)
	if err != nil {
		panic(err)
	}
	return abs
}

// condition knows [root], [tool:NAME] for a program that has to be there, [python-grpc]
// for Python with gRPC and what makes code for it, and [node-modules] for Node with what
// the package.json files of testdata name. CI sets MICRO_TEST_ALL, and then all of them
// have to.
func condition(cond string) (bool, error) {
	all := os.Getenv("MICRO_TEST_ALL") != ""
	switch cond {
	case "root":
		return all || os.Geteuid() == 0, nil
	case "python-grpc":
		return all || hasGRPC(python()) && hasTools("protoc", "grpc_python_plugin"), nil
	case "node-modules":
		return all || hasNodeModules("interop") && hasNodeModules("services/node") && hasTools("node", "protoc"), nil
	}
	if name, ok := strings.CutPrefix(cond, "tool:"); ok {
		_, err := exec.LookPath(name)
		return all || err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// hasNodeModules reports whether what a package.json of testdata names is installed.
func hasNodeModules(dir string) bool {
	_, err := os.Stat(filepath.Join("../../testdata", dir, "node_modules"))
	return err == nil
}

func hasTools(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { _, err := exec.LookPath(name); return err != nil })
}

// await waits until a file is there, and sets a variable to what is in it. A file
// appears with all that is in it.
//
//	await FILE VARIABLE
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE VARIABLE")
	}
	for deadline := time.Now().Add(patience); ; {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil {
			ts.Setenv(args[1], string(b))
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited for too long: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// waitServer waits until the server of this home is ready, and sets $GATEWAY, $PROXY and
// $METRICS to its addresses.
//
//	waitserver [DATADIR]
func waitServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: waitserver [DATADIR]")
	}
	dir := filepath.Join(ts.Getenv("MICRO_HOME"), "data", "server")
	if len(args) == 1 {
		dir = ts.MkAbs(args[0])
	}
	var addresses struct {
		Gateway, Proxy, Metrics string
		PID                     int
	}
	deadline := time.Now().Add(patience)
	for {
		b, err := os.ReadFile(filepath.Join(dir, "server.json"))
		if err == nil && json.Unmarshal(b, &addresses) == nil && answers(addresses.Gateway) && addresses.PID > 0 {
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no server in %s within %s", dir, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
	ts.Setenv("GATEWAY", "http://"+addresses.Gateway)
	ts.Setenv("PROXY", addresses.Proxy)
	ts.Setenv("METRICS", "http://"+addresses.Metrics+"/metrics")
}

// answers reports whether something listens on an address: the file of a server
// that was killed is still there.
func answers(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second) //nolint:noctx // bounded
	if err != nil {
		return false
	}
	_ = c.Close() // it was only to see
	return true
}

// compareJSON compares the values of two JSON files: "stdout" is what the last
// command printed, and a field of the expected value that is "*" may be anything.
//
//	cmpjson FILE EXPECTED
func compareJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: cmpjson FILE EXPECTED")
	}
	var values [2]any
	for i, name := range args {
		dec := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(name))))
		dec.UseNumber()
		if err := dec.Decode(&values[i]); err != nil {
			ts.Fatalf("%s: %v", name, err)
		}
	}
	if same := matches(values[0], values[1]); same == neg {
		got, _ := json.MarshalIndent(values[0], "", "  ")
		ts.Fatalf("%s has\n%s", args[0], got)
	}
}

func matches(got, want any) bool {
	switch w := want.(type) {
	case string:
		return w == "*" || reflect.DeepEqual(got, want)
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for k := range w {
			if !matches(g[k], w[k]) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !matches(g[i], w[i]) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(got, want)
	}
}
