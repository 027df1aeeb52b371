package cli

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"github.com/micro/micro/v3/cli/front"
)

// Whatever changes something on a server goes through [App.mayChange]: it says on what
// the command acts, and asks when the environment is protected. The first call that
// changes something does so by itself, whichever command makes it; a command that does
// much before that call asks when it begins.

// readers are the methods of the server's APIs that change nothing which others could
// miss. Every other one does: what is not known is held for a change.
func readers() map[string]bool {
	all := map[string]bool{}
	for service, methods := range map[string]string{
		"micro.auth.v1.Auth":          "Login Logout Refresh Signup SendCode GetSignup WhoAmI", // sessions of one's own, and an account that nobody had
		"micro.auth.v1.Invitations":   "List",
		"micro.image.v1.Images":       "Get List Platforms",
		"micro.auth.v1.Accounts":      "List",
		"micro.auth.v1.Rules":         "List Explain",
		"micro.auth.v1.Tokens":        "List",
		"micro.auth.v1.Namespaces":    "List",
		"micro.auth.v1.Keys":          "List",
		"micro.auth.v1.Audit":         "Read Verify",
		"micro.config.v1.Config":      "Get List History Watch",
		"micro.namespace.v1.Transfer": "Export",
		"micro.registry.v1.Registry":  "Get GetSchema List Watch Health",
		"micro.events.v1.Events":      "Read Subscribe ListTopics ListGroups",
		"micro.runtime.v1.Runtime":    "Get List Watch Releases Changes Journal Logs",
		"micro.server.v1.Server":      "Backup",
		"micro.stats.v1.Stats":        "Get List Watch",
		"micro.store.v1.Blobs":        "Read Stat List",
		"micro.store.v1.Store":        "Read List Watch Tables Databases Export",
	} {
		for m := range strings.FieldsSeq(methods) {
			all["/"+service+"/"+m] = true
		}
	}
	return all
}

// Changes reports whether a method, by its full name, is one of the server's APIs and
// changes something.
func Changes(method string) bool {
	return strings.HasPrefix(method, "/micro.") && !readers()[method]
}

// mayChange returns nil when the command may change something where it acts. It says
// where that is, unless it is this machine, and asks when the environment is protected,
// both once.
func (a *App) mayChange() error {
	if a.allowed {
		return nil
	}
	e, ns, err := a.target()
	if err != nil {
		return err
	}
	if !e.IsLoopback() {
		fmt.Fprintf(a.Err, "acting on environment %q (%s), namespace %s\n", e.Name, front.Line(e.Address), front.Line(ns))
	}
	if e.Protected {
		if err := a.confirmName(e.Name); err != nil {
			return err
		}
	}
	a.allowed = true
	return nil
}

// confirmName has the name of a protected environment typed, or given by --confirm.
func (a *App) confirmName(name string) error {
	switch {
	case a.confirmed == name:
		return nil
	case a.confirmed != "":
		return usage("", "environment %q is protected, and --confirm names %q", name, a.confirmed)
	case !a.Interactive():
		return &Error{
			Message: fmt.Sprintf("environment %q is protected: changes need its name, typed on a terminal or as --confirm %s", name, name),
			Exit:    ExitUsage,
		}
	}
	typed, err := a.prompt(fmt.Sprintf("Environment %q is protected. Type its name to go on: ", name))
	if err != nil {
		return err
	}
	if typed != name {
		return &Error{Message: fmt.Sprintf("nothing was changed: %q is not the name", typed), Exit: ExitError}
	}
	return nil
}

type guardKey struct{}

// guardedBy returns a context whose calls are let through by an app, and not by the one
// that made the connection.
func guardedBy(ctx context.Context, a *App) context.Context {
	return context.WithValue(ctx, guardKey{}, a)
}

// guard returns the app that lets calls through.
func (a *App) guard(ctx context.Context) *App {
	if by, ok := ctx.Value(guardKey{}).(*App); ok {
		return by
	}
	return a
}

// guardUnary holds up calls that change something and were not let through.
func (a *App) guardUnary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if Changes(method) {
		if err := a.guard(ctx).mayChange(); err != nil {
			return err
		}
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

// guardStream is guardUnary for streams.
func (a *App) guardStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if Changes(method) {
		if err := a.guard(ctx).mayChange(); err != nil {
			return nil, err
		}
	}
	return stream(ctx, desc, cc, method, opts...)
}
