// Package runtime defines what starts and stops the instances of services.
//
//	deploy           decides what should run: releases, probes, restarts
//	runtime.Runtime  does as it is told, and tells what became of it
//	runtime/<driver> embedded (processes of this machine), docker, kubernetes
//
// A runtime restarts nothing by itself and knows no desired state: what it knows
// can be lost at any moment without harm, because deploy tells it again.
package runtime

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrRunning is returned for a start of an instance that runs.
	ErrRunning = errors.New("the instance is running")
	// ErrNotFound is returned for an instance or an image that is not there.
	ErrNotFound = errors.New("not found")
	// ErrImage marks an image that this runtime can never start, such as one
	// made for another machine. To try again is of no use.
	ErrImage = errors.New("the image cannot run here")
	// ErrNotRunning is returned for a command in an instance that does not run, or
	// has ended before the command did.
	ErrNotRunning = errors.New("the instance is not running")
	// ErrCommand marks a command that the image does not have, or that cannot be
	// started.
	ErrCommand = errors.New("the command cannot be run")
	ErrClosed  = errors.New("the runtime is closed")
)

// Runtime runs instances. All methods are safe for concurrent use; those about
// one instance happen one after the other.
type Runtime interface {
	// Start starts an instance and returns when its program has been started:
	// it may not listen yet, and may have ended already. The same instance can
	// be started again after it has ended; what it wrote is kept.
	//
	// An instance gets no environment but the image's and spec's and what a
	// program needs to find its way: PATH, HOME, TMPDIR, PORT and MICRO_ADDRESS
	// (where it must serve gRPC, as a port and as host:port) and
	// MICRO_IDENTITY_FILE (the file that holds spec.Identity). Spec's go before
	// these, but for the last three. A driver may add MICRO_RUNTIME_ID, a mark
	// by which it knows its own again.
	//
	// A spec that [Spec.Validate] refuses starts nothing. An image that is not
	// there is [ErrNotFound], one that can never be started [ErrImage].
	Start(ctx context.Context, spec Spec) (Instance, error)

	// Stop ends an instance: it is asked to (SIGTERM), and killed with all that
	// it started when it has not ended after grace or when ctx ends. Stop
	// returns when it is gone. To stop one that is not running is no error.
	Stop(ctx context.Context, id string, grace time.Duration) error

	// Remove forgets an instance that is not running, with its files and what
	// it wrote. An unknown one is no error; a running one is [ErrRunning].
	Remove(ctx context.Context, id string) error

	// Watch yields each instance that there is, in the state that it is in, then
	// one event with Synced set, then each change of state, until the loop ends.
	// A consumer that is slow may miss states in between, never the last one.
	//
	// Instances that another process started before may be among the first: a
	// driver yields those that still run, and has ended those that it cannot
	// control any more before Watch yields Synced.
	//
	// An error is yielded last: ctx's when it ended, [ErrClosed] after Close.
	Watch(ctx context.Context) iter.Seq2[Event, error]

	// Logs yields lines in the order in which they were written; those of one
	// stream of an instance exactly, others by the time they were read. With
	// q.Follow it waits for more, of instances that start later also, until the
	// loop ends. No line of an instance that is kept is lost but by rotation
	// and by a full disk, which a line of [System] then tells, with their number.
	// Errors are as of Watch.
	Logs(ctx context.Context, q LogQuery) iter.Seq2[Line, error]

	// Close stops every instance that cannot live without this process, with
	// little grace, and releases what the runtime holds.
	Close() error
}

// Spec says what to start.
type Spec struct {
	ID        string // unique on the server; letters, digits and '-'
	Namespace string
	Service   string
	Release   int64

	Image    string            // repository@sha256:…
	Args     []string          // after the image's entry point
	Env      map[string]string // over the image's own
	Identity []byte            // what the instance proves who it is with

	Resources Resources
}

// Resources bounds what an instance may use of the machine, together with all that
// it starts and the commands that run in it; 0: as much as the driver lets it.
//
// Who uses up its processors is slowed down, who uses up its processes cannot
// start more, and who needs more memory is ended: see [Exit].
type Resources struct {
	CPU       int64 // thousandths of a processor; at least [MinCPU]
	Memory    int64 // bytes; at least [MinMemory]
	Processes int64 // with their threads
}

// The smallest bounds that every engine can hold.
const (
	MinCPU    = 10
	MinMemory = 6 << 20
)

// State is what an instance does.
type State uint8

// The states of an instance.
const (
	Running State = iota + 1
	Exited
	Removed // only in an event, and the last one of an instance
)

// Instance is what a runtime knows of an instance.
type Instance struct {
	ID        string
	Namespace string
	Service   string
	Release   int64

	State   State
	Address string    // where it should serve, as host:port
	Started time.Time // the last time
	Exit    Exit      // of the last run, when State is Exited
	// Unmet is what was asked for with the last start and is not held here; a line
	// of [System] says why. Such an instance runs without these bounds.
	Unmet Resources
}

// Exit says how a run ended.
type Exit struct {
	Code        int    // of the program; -1 when a signal ended it
	Signal      string // its name, for example "SIGKILL"; empty when none did
	OutOfMemory bool   // it was killed because its bound or the machine had no more memory
	Stopped     bool   // it was asked to end
	At          time.Time
}

// Event is a change of an instance's state.
type Event struct {
	Synced   bool // the instances that were there have been yielded
	Instance Instance
}

// LogQuery selects lines.
type LogQuery struct {
	Namespace string
	Service   string
	Instance  string    // only of this one; empty: of all
	Since     time.Time // not older; zero: from the start
	Tail      int       // only the last so many of those there are; 0: all
	Follow    bool
}

// Stream is where a line came from.
type Stream uint8

// The streams of an instance.
const (
	Stdout Stream = iota + 1
	Stderr
	System // the runtime's own word: started, exited, killed
)

// Started is what the line of [System] begins with that is the first of each run.
const Started = "started"

// Line is one line that an instance wrote. Bytes that are no UTF-8 are kept as
// they are. A line longer than [MaxLine] comes in parts.
type Line struct {
	Time     time.Time
	Instance string
	Release  int64
	Stream   Stream
	Text     string // without its end
}

// MaxLine is the longest line in bytes.
const MaxLine = 64 << 10

// OpenImage gives a driver an image to unpack. The error is [ErrNotFound] when
// there is none with the reference.
type OpenImage func(ctx context.Context, ref string) (*Image, error)

// Image is a program with its files, as of the OCI image specification.
type Image struct {
	OS           string
	Architecture string
	Entrypoint   []string
	Cmd          []string
	Env          []string // NAME=value
	WorkingDir   string
	// Layers opens the layers in order as uncompressed tar streams; the caller
	// closes them.
	Layers []func() (io.ReadCloser, error)
}
