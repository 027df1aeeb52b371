package docker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro/v3/backend/runtime/runtimetest"
	"github.com/micro/micro/v3/internal/podmantest"
)

func clientOf(t *testing.T, address string) *client {
	t.Helper()
	c, err := newClient(address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// await waits until something is so.
func await(t *testing.T, what string, is func(ctx context.Context) bool) {
	t.Helper()
	ctx := within(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// ran is what became of a container.
type ran struct {
	stdout, stderr string
	state          state
}

// run runs a container of the suite's program to its end.
func run(t *testing.T, c *client, change func(*containerSpec), meanwhile func(id string), args ...string) ran {
	t.Helper()
	ctx := within(t)
	spec := containerSpec{
		Image: "micro.local/test:1", Cmd: args, Labels: map[string]string{"micro.test": "1"},
		AttachStdout: true, AttachStderr: true, User: "65532:65532",
		HostConfig: hostConfig{NetworkMode: "host", Init: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}},
	}
	if change != nil {
		change(&spec)
	}
	id, err := c.create(ctx, "", spec)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	if err := c.put(ctx, id, ownFiles([]byte("token"))); err != nil {
		t.Fatalf("put: %v", err)
	}
	streams, err := c.attach(ctx, id)
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	defer streams.Close()
	if err := c.start(ctx, id); err != nil {
		t.Fatalf("start: %v", err)
	}
	if meanwhile != nil {
		meanwhile(id)
	}
	var stdout, stderr bytes.Buffer
	if err := frames(streams, &stdout, &stderr); err != nil {
		t.Errorf("streams: %v", err)
	}
	if err := c.wait(ctx, id); err != nil {
		t.Fatalf("wait: %v", err)
	}
	is, err := c.inspect(ctx, id)
	if err != nil {
		t.Fatalf("inspect: %v", err)
	}
	if err := c.remove(ctx, id); err != nil {
		t.Errorf("remove: %v", err)
	}
	return ran{stdout.String(), stderr.String(), is}
}

// TestEngine checks what the client does with an engine.
func TestEngine(t *testing.T) {
	t.Parallel()
	c := clientOf(t, podmantest.Start(t).Address)
	img := runtimetest.ProgramImage(t)
	if err := c.load(within(t), t.TempDir(), "micro.local/test:1", &img); err != nil {
		t.Fatalf("load: %v", err)
	}
	for _, tt := range []struct {
		name   string
		change func(*containerSpec)
		args   []string
		want   ran
	}{
		{"streams and code", nil, []string{"out=one", "err=two", "exit=3"}, ran{"one\n", "two\n", state{ExitCode: 3}}},
		{"signal", nil, []string{"kill=9"}, ran{"", "", state{ExitCode: 137}}},
		{"user", nil, []string{"user"}, ran{"user 65532 65532\n", "", state{}}},
		{"identity", func(s *containerSpec) { s.Env = []string{"MICRO_IDENTITY_FILE=/run/micro/identity"} }, []string{"identity"}, ran{"identity \"token\" -r--------\n", "", state{}}},
		{"out of memory", func(s *containerSpec) { s.HostConfig.Memory, s.HostConfig.MemorySwap = 64<<20, 64<<20 }, []string{"alloc=512", "hang"}, ran{"", "", state{ExitCode: 137}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, c, tt.change, nil, tt.args...)
			got.state.OOMKilled = false // with control groups of version 1 not every Podman knows
			got.state.StartedAt, got.state.FinishedAt = time.Time{}, time.Time{}
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
	t.Run("long output", func(t *testing.T) {
		got := run(t, c, nil, nil, "count=50000", "long=1048576")
		if lines := strings.Split(got.stdout, "\n"); len(lines) != 50_002 || lines[49_999] != "line 50000" || len(lines[50_000]) != 1<<20 {
			t.Errorf("%d lines", len(lines))
		}
	})
	t.Run("asked to end", func(t *testing.T) {
		got := run(t, c, nil, func(id string) {
			ctx := within(t)
			await(t, "the container to be listed", func(context.Context) bool {
				all, err := c.list(ctx, "micro.test=1")
				return err == nil && slices.ContainsFunc(all, func(in container) bool { return in.ID == id && in.State == "running" })
			})
			await(t, "the program to wait for it", func(context.Context) bool {
				rsp, err := c.open(ctx, http.MethodGet, "/containers/"+id+"/logs", url.Values{"stdout": {"1"}}, nil)
				if err != nil {
					return false
				}
				defer rsp.Body.Close()
				text, err := io.ReadAll(rsp.Body)
				return err == nil && bytes.Contains(text, []byte("waiting"))
			})
			await(t, "it to end", func(context.Context) bool {
				if is, err := c.inspect(ctx, id); err == nil && !is.Running {
					return true
				}
				_ = c.kill(ctx, id, "SIGTERM") // it may have ended, or not begun
				return false
			})
		}, "wait", "exit=5")
		if got.state.ExitCode != 5 {
			t.Errorf("it ended with %+v", got.state)
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		ctx := within(t)
		if err := errors.Join(c.kill(ctx, "none", "SIGKILL"), c.remove(ctx, "none")); err != nil {
			t.Error(err)
		}
		if _, err := c.inspect(ctx, "none"); !isNotFound(err) {
			t.Errorf("inspect: got %v, want status 404", err)
		}
	})
}

// TestFrames checks that an engine that lies is told from one whose stream ends.
func TestFrames(t *testing.T) {
	t.Parallel()
	frame := func(stream byte, n uint32, text string) string {
		return string(binary.BigEndian.AppendUint32([]byte{stream, 0, 0, 0}, n)) + text
	}
	for _, tt := range []struct {
		name, in       string
		stdout, stderr string
		ok             bool
	}{
		{"nothing", "", "", "", true},
		{"both", frame(1, 1, "a") + frame(2, 1, "b") + frame(1, 0, "") + frame(1, 2, "cd"), "acd", "b", true},
		{"half a header", frame(1, 1, "a") + "\x01\x00", "a", "", false},
		{"half a frame", frame(1, 3, "a"), "a", "", false},
		{"no such stream", frame(7, 1, "a"), "", "", false},
		{"too long", frame(1, 1<<31, "a"), "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			err := frames(strings.NewReader(tt.in), &stdout, &stderr)
			if got := fmt.Sprint(stdout.String(), "|", stderr.String(), "|", err == nil); got != fmt.Sprint(tt.stdout, "|", tt.stderr, "|", tt.ok) {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}
