//go:build unix

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestBuildCancelled holds that nothing of a build goes on that its caller has
// given up, whatever it has started.
func TestBuildCancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	// The compiler that go starts says who it is, and then never ends. It holds
	// the pipe open until it does.
	program := script(t, fmt.Sprintf("if [ $1 = env ]; then echo '{\"GOVERSION\":\"go1.26.0\",\"GOMOD\":\"%s\"}'; exit; fi\n"+
		"sh -c 'exec 3>%s; echo $$ >&3; sleep 1000'\n", filepath.Join(dir, "go.mod"), pipe))
	write(t, dir, map[string]string{"go.mod": goMod, "main.go": goMain})
	s, err := Fetch(t.Context(), dir, FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the user pressed a key")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f, err := os.Open(pipe)
		if err != nil {
			return
		}
		defer f.Close()
		buf := make([]byte, 64)
		if _, err := f.Read(buf); err != nil {
			return
		}
		cancel(why)
		for err == nil { // until nobody can write any more
			_, err = f.Read(buf)
		}
	}()
	temp := t.TempDir()
	if _, err := Build(ctx, s, BuildOptions{Go: program, TempDir: temp}); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
	<-ended
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}
