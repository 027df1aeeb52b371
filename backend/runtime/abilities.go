package runtime

import (
	"context"
	"time"
)

// What not every driver can do. The server asks whether one does.

// Executor is a [Runtime] that can run commands in instances.
type Executor interface {
	// Exec runs a command beside the program of an instance, with the same user,
	// files, environment and bounds. args are its name, as a path in the image or to
	// be looked up in the image's PATH, and its arguments. Exec returns when the
	// command has ended. When ctx ends first, the command is killed with all that it
	// has started, and the error is ctx's. What it leaves running is killed too.
	//
	// The error is [ErrNotRunning] when there is no such instance, or it has ended
	// first, and [ErrCommand] when there is no such command.
	Exec(ctx context.Context, id string, args []string) (Result, error)
}

// Result is what became of a command.
type Result struct {
	Exit Exit
	// Output is what it wrote to both of its streams, each in its order, as far as it
	// fits into [MaxOutput] bytes. The rest is lost, and holds nobody up.
	Output []byte
}

// MaxOutput is how many bytes of a command's output are kept.
const MaxOutput = 64 << 10

// Describer is a [Runtime] that tells what it can do here.
type Describer interface {
	Describe() Description
}

// Description is for people who start a server.
type Description struct {
	Kind string // what instances are: "processes of this machine", for example
	// Can is what of it can be relied on, and Cannot what is missing and why, each a
	// phrase: "memory is bounded".
	Can, Cannot []string
}

// Meter is a [Runtime] that can tell what instances use of the machine.
type Meter interface {
	// Usage returns what the instances that run have used up to now, each with all
	// that it has started, in no order. One that has just been started or is about to
	// end may be missing.
	Usage(ctx context.Context) ([]Usage, error)
}

// Usage is what an instance has used since it was started.
type Usage struct {
	ID        string
	Namespace string
	Service   string

	CPU    time.Duration // of all processors together
	Memory int64         // resident bytes now
}
