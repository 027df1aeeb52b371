// Package front is a call of a service from its arguments to its exit code:
//
//	micro helloworld --name=Alice
//	words → method, flags → JSON → bytes, one call, bytes → JSON → terminal
//
// The front binary does all of it when it has what it needs on disk: a schema and
// a token. In every other case, and when anything is wrong, it leaves the command
// to microd, which shares this package and can do the rest: ask for the schema,
// renew the token, stream, explain. So there is one way to do each thing, and a
// short cut for the one that happens most.
package front

import (
	"context"
	"io"
	"time"

	"github.com/micro/micro/v3/cli/front/unary"
	"github.com/micro/micro/v3/envs"
)

// Command is one run of the front.
type Command struct {
	Args     []string
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	Version  string
	// IsCommand reports whether a word is a command of microd.
	IsCommand func(word string) bool
	// Interruptible returns a context that Ctrl-C ends, for as long as a call takes: to
	// wait for signals costs what other commands do not have. Nil: that of Run.
	Interruptible func(context.Context) (context.Context, context.CancelFunc)
}

// Run does the command when it can, and returns its exit code. It reports false,
// having done nothing that anybody could notice, when microd has to do it.
func (c *Command) Run(ctx context.Context) (code int, done bool) {
	if len(c.Args) == 1 && (c.Args[0] == "version" || c.Args[0] == "--version") {
		_, _ = io.WriteString(c.Out, "micro "+c.Version+"\n") // nobody is left to tell
		return ExitOK, true
	}
	if len(c.Args) > 1 && IsCompletion(c.Args[0]) {
		return c.complete()
	}
	if c.Getenv("MICRO_TRANSPORT") != "" {
		return 0, false
	}
	g, rest, ok := SplitGlobals(c.Args)
	if !ok || len(rest) == 0 || c.IsCommand(rest[0]) {
		return 0, false
	}
	in := Parse(rest)
	g.Env = first(in.Env, g.Env)
	return c.call(ctx, g, in)
}

// unread makes a command that wants standard input go to microd.
type unread struct{}

func (unread) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

// place is where and as whom a command acts.
type place struct {
	scope

	server unary.Server
	token  string
	plain  bool // the server knows nothing of micro
}

// scope is which services a command means: those of a namespace in an environment.
type scope struct {
	dirs      envs.Dirs
	config    *envs.Config
	env       envs.Env
	namespace string
}

// scopeOf reads the environment; false when that is not possible.
func scopeOf(getenv func(string) string, g Globals) (scope, bool) {
	var s scope
	var err error
	if s.dirs, err = envs.FindDirs(getenv); err != nil {
		return scope{}, false
	}
	if s.config, err = envs.Load(s.dirs); err != nil {
		return scope{}, false
	}
	name := g.Env
	if name == "" {
		name = getenv("MICRO_ENV")
	}
	if s.env, err = s.config.Get(name); err != nil {
		return scope{}, false
	}
	for _, ns := range []string{g.Namespace, getenv("MICRO_NAMESPACE"), s.env.Namespace, envs.DefaultNamespace} {
		if s.namespace = ns; ns != "" {
			break
		}
	}
	return s, true
}

// place reads environment and token; false when microd has to sort it out.
func (c *Command) place(g Globals) (*place, bool) {
	s, ok := scopeOf(c.Getenv, g)
	if !ok {
		return nil, false
	}
	p := &place{scope: s}
	var err error
	p.token, err = p.env.AccessToken(p.dirs, c.Getenv, c.Now())
	if err != nil && p.env.Account != "" {
		return nil, false // it has to be renewed
	}
	if !isMetadataValue("authorization", p.token) {
		return nil, false
	}
	address, useTLS, err := envs.ParseAddress(p.env.Address)
	if err != nil {
		return nil, false
	}
	p.server.Address = address
	if useTLS {
		if p.server.TLS, err = p.env.TLS(); err != nil {
			return nil, false
		}
	}
	return p, true
}
