// Package snippet writes a call in other languages: as a line of a shell, as a program.
// What it writes means exactly the call that was typed, whatever is in its values.
package snippet

import (
	"time"

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/dynamic"
	"github.com/micro/micro/v3/dynamic/wire"
	"github.com/micro/micro/v3/envs"
)

// Call is a call as it was typed, and as it is made.
type Call struct {
	In       front.Invocation
	Method   wire.Method
	Args     []string // as they were typed
	Globals  []string // flags of micro that say where
	Env      envs.Env
	Address  string // host:port
	TLS      bool
	Gateway  string // the address of the HTTP API; empty when it is not known
	Plain    bool   // the server knows nothing of micro
	Headers  []front.TypedHeader
	LoggedIn bool // the header authorization has the token of the session
	Timeout  time.Duration

	Transport front.Transport

	Messages [][]byte // JSON
	Wire     [][]byte // the same
	Sources  front.Sources
	Stdin    bool // the messages come from standard input
	// Schema returns the descriptors of what the server speaks.
	Schema func() (*dynamic.Schema, error)
}

// As returns the call in one of [front.Languages]. An error says why that is not possible.
func (c *Call) As(language string) (string, error) {
	switch language {
	case "micro":
		return c.micro(), nil
	case "grpcurl":
		return c.grpcurl()
	case "curl":
		return c.curl()
	case "go":
		return c.golang()
	case "python":
		return c.python()
	default:
		return c.typescript()
	}
}
