package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// read reads so many bytes, less when there is an error before.
func read(r io.Reader, n int) (string, error) {
	b := make([]byte, n)
	m, err := io.ReadFull(r, b)
	return string(b[:m]), err
}

func TestInput(t *testing.T) {
	t.Parallel()
	in := &input{r: iotest.HalfReader(strings.NewReader("one two three"))}
	first, _ := in.reader()
	if got, err := read(first, 5); got != "one t" || err != nil {
		t.Errorf("the first try: got %q, %v", got, err)
	}
	for range 2 {
		again, ok := in.reader()
		if got, err := io.ReadAll(again); string(got) != "one two three" || err != nil || !ok {
			t.Errorf("another try: got %q, %v, %t", got, err, ok)
		}
	}
}

// TestInputBroken breaks off at the same place each time.
func TestInputBroken(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	in := &input{r: io.MultiReader(strings.NewReader("one"), iotest.ErrReader(broken))}
	for range 2 {
		r, _ := in.reader()
		if got, err := io.ReadAll(r); string(got) != "one" || !errors.Is(err, broken) {
			t.Errorf("got %q, %v, want one, %v", got, err, broken)
		}
	}
}

// TestInputWaiting loses nothing that a try takes which is over.
func TestInputWaiting(t *testing.T) {
	t.Parallel()
	pr, pw := io.Pipe()
	waits := make(chan struct{})
	in := &input{r: readerFunc(func(p []byte) (int, error) {
		select {
		case waits <- struct{}{}:
		default:
		}
		return pr.Read(p)
	})}
	old, _ := in.reader()
	done := make(chan string)
	go func() {
		got, _ := read(old, 3)
		done <- got
	}()
	<-waits
	r, ok := in.reader() // although the other still waits
	if !ok {
		t.Error("there is nothing that could not be kept")
	}
	go func() {
		_, _ = io.WriteString(pw, "one two")
		_ = pw.Close()
	}()
	if got := <-done; got != "one" {
		t.Errorf("the try that is over: got %q", got)
	}
	if got, err := io.ReadAll(r); string(got) != "one two" || err != nil {
		t.Errorf("got %q, %v, want all of it", got, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestInputLong passes on what is too long to keep, and says that it is.
func TestInputLong(t *testing.T) {
	t.Parallel()
	const size = maxKept + 1000
	in := &input{r: io.LimitReader(readerFunc(func(p []byte) (int, error) { return len(p), nil }), size)}
	r, _ := in.reader()
	if n, err := io.Copy(io.Discard, r); n != size || err != nil {
		t.Errorf("got %d bytes, %v, want %d", n, err, size)
	}
	if _, ok := in.reader(); ok {
		t.Error("got a reader of what is not there any more")
	}
	if in.kept != nil {
		t.Error("it keeps a part that is of no use")
	}
}

// Whoever reads can be interrupted, whatever the input does.
func TestInterruptible(t *testing.T) {
	t.Parallel()
	pr, pw := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	r := interruptibleInput(ctx, pr)
	go func() { _, _ = io.WriteString(pw, "one two") }()
	if got, err := read(r, 7); got != "one two" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	cancel()
	if got, err := read(r, 1); got != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %v, want %v", got, err, context.Canceled)
	}
	_ = pw.Close()
	again := interruptibleInput(t.Context(), iotest.DataErrReader(strings.NewReader("last")))
	if got, err := io.ReadAll(again); string(got) != "last" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
