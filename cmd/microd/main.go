// Command microd is the heavy half of micro: the whole command tree and the server.
// People type micro, which runs microd beside it for what it does not do itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	micro "github.com/micro/micro/v3"
	"github.com/micro/micro/v3/backend"
	"github.com/micro/micro/v3/backend/server"
	"github.com/micro/micro/v3/cli"
	"github.com/micro/micro/v3/internal/buildinfo"
)

func main() {
	endings := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		endings = append(endings, syscall.SIGHUP) // the terminal is closed
	}
	ctx, stop := signal.NotifyContext(context.Background(), endings...)
	go func() {
		<-ctx.Done()
		stop() // a second Ctrl-C ends the process at once
	}()
	if front := os.Getenv("MICRO_FRONT_VERSION"); front != "" && front != buildinfo.Version() {
		fmt.Fprintf(os.Stderr, "micro: micro is version %s and the microd beside it version %s\nhint: install both files of one release\n", front, buildinfo.Version())
		os.Exit(cli.ExitError)
	}
	_ = os.Unsetenv("MICRO_FRONT_VERSION") // not for what this process starts
	os.Exit(cli.Main(ctx, newApp(), os.Args[1:]))
}

// newApp returns what commands of this process touch.
func newApp() *cli.App {
	executable, _ := os.Executable() // who needs it does without
	return &cli.App{
		In:         os.Stdin,
		Out:        os.Stdout,
		Err:        os.Stderr,
		Getenv:     os.Getenv,
		Now:        time.Now,
		Version:    buildinfo.Version(),
		Executable: executable,
		SDK:        micro.SDK,
		Serve:      serve,
		Restore:    restore,
		Check:      check,
		Terminal:   terminal(),
	}
}

func terminal() cli.Terminal {
	is := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	t := cli.Terminal{
		In:  is(os.Stdin),
		Out: is(os.Stdout),
		Err: is(os.Stderr),
		Size: func() (int, int) {
			for _, f := range []*os.File{os.Stderr, os.Stdout} {
				if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
					return w, h
				}
			}
			return 80, 24
		},
		Foreground:   func() bool { return inForeground(os.Stdin) },
		ReadPassword: readPassword,
	}
	if t.In {
		if tty, err := os.OpenFile(ttyName, os.O_WRONLY, 0); err == nil {
			t.Prompt = tty
		} else if t.Err {
			t.Prompt = os.Stderr
		}
	}
	return t
}

// readPassword reads a line from the terminal without showing it. Ctrl-C gives the
// terminal its echo back before it ends the process.
func readPassword() (string, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	type line struct {
		text []byte
		err  error
	}
	done := make(chan line, 1)
	go func() {
		b, err := term.ReadPassword(fd)
		done <- line{b, err}
	}()
	select {
	case l := <-done:
		return string(l.text), l.err
	case <-interrupted:
		return "", errors.Join(io.EOF, term.Restore(fd, before))
	}
}

// serve runs a server with its engines.
func serve(ctx context.Context, o cli.ServeOptions) (err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b, err := backend.Open(ctx, backend.Config{
		DataDir: o.DataDir,
		Store:   o.Store,
		Events:  o.Events,
		Runtime: o.Runtime,
		Logger:  o.Logger,
		Fatal: func(err error) {
			// What was acknowledged could be lost if this went on.
			o.Logger.Error("the server stops: its data cannot be made durable", "err", err)
			os.Exit(cli.ExitError)
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	err = server.Run(ctx, server.Config{
		DataDir:      o.DataDir,
		Gateway:      o.Gateway,
		Proxy:        o.Proxy,
		Metrics:      o.Metrics,
		TLS:          o.TLS,
		Signup:       server.Signup(o.Signup),
		SMTP:         server.SMTP(o.SMTP),
		TokenTTL:     o.TokenTTL,
		AuditEntries: o.AuditEntries,
		AuditAge:     o.AuditAge,
		BlobQuota:    o.BlobQuota,
		MaxCalls:     o.MaxCalls,
		MaxStreams:   o.MaxStreams,
		Store:        b.Store,
		Events:       b.Events,
		OpenRuntime:  b.OpenRuntime,
		Logger:       o.Logger,
		Ready:        func(a server.Addresses) { o.Ready(a.Gateway, a.Proxy, a.Metrics) },
		Password:     o.Password,
	})
	if taken, ok := errors.AsType[*server.ListenError](err); ok {
		return &cli.Error{
			Message: taken.Error(),
			Hint:    fmt.Sprintf("micro server --%s 127.0.0.1:0", taken.What),
			Exit:    cli.ExitError,
		}
	}
	return err
}
