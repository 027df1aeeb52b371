package server

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// An instance that takes connections and says nothing holds nobody up.
func TestAskOneThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	address := silent(t)
	d := &directory{askFor: 50 * time.Millisecond}
	if _, err := d.ask(t.Context(), address); !errors.Is(err, errInvalid) {
		t.Errorf("it was given up: %v, want %v", err, errInvalid)
	}
	d.askFor = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.ask(ctx, address); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller gave up: %v, want %v", err, context.DeadlineExceeded)
	}
}

// silent listens, reads what comes and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}
