package micro_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/micro/micro/v3"
	"github.com/micro/micro/v3/internal/sdk"
	"github.com/micro/micro/v3/service/testdata/greet"
)

// unpack makes a module of the SDK.
func unpack(t *testing.T) (m *sdk.Module, dir string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds programs")
	}
	m, err := sdk.New(micro.SDK)
	if err != nil {
		t.Fatal(err)
	}
	dir, err = m.WriteDir(filepath.Join(t.TempDir(), "sdk"))
	if err != nil {
		t.Fatal(err)
	}
	return m, dir
}

// goCommand runs the Go command in a directory. The modules that it needs are in
// the cache, because this module needs them.
func goCommand(t *testing.T, dir string, env []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off")
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The SDK's go.sum must do for a project that uses all of it.
func TestSDKIsTidy(t *testing.T) {
	t.Parallel()
	_, dir := unpack(t)
	goCommand(t, dir, nil, "vet", "./...")
	goCommand(t, dir, nil, "mod", "verify")
}

// The Go command takes the module proxy for one.
func TestProxy(t *testing.T) {
	t.Parallel()
	m, _ := unpack(t)
	proxy := t.TempDir()
	version, err := m.WriteProxy(proxy)
	if err != nil {
		t.Fatal(err)
	}
	goCommand(t, t.TempDir(), []string{
		"GOPROXY=file://" + filepath.ToSlash(proxy), "GONOSUMDB=" + sdk.Path,
		"GOMODCACHE=" + t.TempDir(), "GOFLAGS=-modcacherw",
	}, "mod", "download", sdk.Path+"@"+version, sdk.Path+"@latest")
}

// The main function of the announcement runs as it is printed.
func TestAnnouncement(t *testing.T) {
	t.Parallel()
	_, sdkDir := unpack(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/services/announcement")); err != nil {
		t.Fatal(err)
	}
	goCommand(t, dir, nil, "mod", "edit", "-replace", sdk.Path+"="+sdkDir)
	program := filepath.Join(dir, "helloworld.exe")
	goCommand(t, dir, nil, "build", "-o", program, "./helloworld")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "PORT=", "MICRO_ADDRESS=", "MICRO_SERVICE_ADDRESS=", "MICRO_SERVICE_NAME=")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address, ok := strings.CutPrefix(line, "helloworld listens on ")
	address, hint, _ := strings.Cut(address, ";")
	if !ok || hint != " try: grpcurl -plaintext "+address+" helloworld.Helloworld/Call\n" {
		t.Errorf("the program says %q", line)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, method := range []string{"Call", "Message"} {
		// Messages of the same form as the program's own.
		rsp := new(greet.HelloResponse)
		if err := conn.Invoke(ctx, "/helloworld.Helloworld/"+method, &greet.HelloRequest{Name: "Alice"}, rsp); err != nil {
			t.Fatal(err)
		}
		if got, want := rsp.GetText(), "Hello Alice"; got != want {
			t.Errorf("%s = %q, want %q", method, got, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	if _, err := rest.ReadFrom(lines); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil || rest.Len() > 0 {
		t.Errorf("the program ended with %v and %q, want nothing", err, &rest)
	}
}
