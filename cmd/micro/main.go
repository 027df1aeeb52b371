// Command micro is what people type. It calls services itself, and runs microd
// beside it for everything else.
package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/internal/buildinfo"
)

func main() {
	c := &front.Command{
		Args:      os.Args[1:],
		Out:       os.Stdout,
		Err:       os.Stderr,
		Getenv:    os.Getenv,
		Now:       time.Now,
		Version:   buildinfo.Version(),
		IsCommand: front.IsCommand,
		Interruptible: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return signal.NotifyContext(ctx, os.Interrupt)
		},
	}
	code, done := c.Run(context.Background())
	if !done {
		code = front.RunDaemon(os.Args, os.Stderr, c.Version)
	}
	os.Exit(code)
}
