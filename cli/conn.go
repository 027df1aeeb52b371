package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/envs"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// Conn returns the connection to the environment, made once.
func (a *App) Conn() (*grpc.ClientConn, error) {
	if a.conn != nil {
		return a.conn, nil
	}
	e, err := a.Env()
	if err != nil {
		return nil, err
	}
	dial := func() (*grpc.ClientConn, error) { return a.dial(e) }
	if a.keeps() {
		a.conn, err = a.kept.get(newConnKey(e, a.via), dial)
	} else {
		a.conn, err = dial()
	}
	return a.conn, err
}

// keeps reports whether the connection goes on when the command ends. One that is watched
// does not: how it is made is a part of what is told.
func (a *App) keeps() bool { return a.kept != nil && a.observer == nil }

// connFor returns the connection, and the context with which calls on it say who
// calls and in which namespace. A caller who is not logged in is anonymous.
func (a *App) connFor(ctx context.Context) (context.Context, *grpc.ClientConn, error) {
	a.tokenMu.Lock()
	defer a.tokenMu.Unlock()
	conn, err := a.Conn()
	if err != nil {
		return nil, nil, err
	}
	token, err := a.Token(ctx)
	if err != nil && !errors.Is(err, envs.ErrNoSession) {
		return nil, nil, err
	}
	ns, err := a.Namespace()
	if err != nil {
		return nil, nil, err
	}
	return guardedBy(callContext(ctx, token, ns), a), conn, nil
}

// callContext returns a context for calls with a token, in a namespace.
func callContext(ctx context.Context, token, namespace string) context.Context {
	md := metadata.Pairs("micro-namespace", namespace)
	if token != "" {
		md.Set("authorization", "Bearer "+token)
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// Token returns an access token for the environment, renewing it when needed. The
// error is [envs.ErrNoSession] when nobody is logged in.
func (a *App) Token(ctx context.Context) (string, error) {
	e, err := a.Env()
	if err != nil {
		return "", err
	}
	dirs, err := a.Dirs()
	if err != nil {
		return "", err
	}
	token, err := e.AccessToken(dirs, a.Getenv, a.Now())
	if !errors.Is(err, envs.ErrNoSession) || e.Account == "" {
		return token, err
	}
	unlock, err := envs.LockSession(ctx, dirs, e.Name)
	if err != nil {
		return "", err
	}
	defer unlock()
	// Another command may have renewed it, or ended it, while this one waited.
	if e, err = reload(dirs, e.Name); err != nil {
		return "", err
	}
	if token, err = e.AccessToken(dirs, a.Getenv, a.Now()); err == nil {
		return token, nil
	}
	return a.renew(ctx, dirs, e)
}

// reload returns an environment as it is on disk now.
func reload(dirs envs.Dirs, name string) (envs.Env, error) {
	c, err := envs.Load(dirs)
	if err != nil {
		return envs.Env{}, err
	}
	return c.Get(name)
}

// renewTimeout bounds how long a server may take to renew a session: other commands
// wait for it.
const renewTimeout = 20 * time.Second

// renew exchanges the refresh token for the next session.
func (a *App) renew(ctx context.Context, dirs envs.Dirs, e envs.Env) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	refresh, err := e.RefreshToken(dirs, a.keyring())
	if err != nil {
		return "", err
	}
	conn, err := a.dial(e)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	rsp, err := authv1.NewAuthClient(conn).Refresh(ctx, &authv1.RefreshRequest{RefreshToken: refresh})
	if err != nil {
		return "", &sessionError{env: e.Name, err: err}
	}
	s := sessionFrom(rsp.GetSession())
	s.Namespace = e.Namespace
	return s.Access, s.Save(dirs, e, e.Storage, a.keyring())
}

// renewNow renews the session of the environment, if there is one, whether its access
// token has expired or not.
func (a *App) renewNow(ctx context.Context) error {
	e, err := a.Env()
	if err != nil || e.Account == "" {
		return err
	}
	dirs, err := a.Dirs()
	if err != nil {
		return err
	}
	unlock, err := envs.LockSession(ctx, dirs, e.Name)
	if err != nil {
		return err
	}
	defer unlock()
	if e, err = reload(dirs, e.Name); err != nil {
		return err
	}
	_, err = a.renew(ctx, dirs, e)
	return err
}

// sessionError says that a session could not be renewed.
type sessionError struct {
	env string
	err error
}

func (e *sessionError) Error() string {
	return fmt.Sprintf("renew the session with environment %q: %s", e.env, e.err)
}

func (e *sessionError) Unwrap() error { return e.err }

func sessionFrom(s *authv1.Session) envs.Session {
	return envs.Session{
		Account:       s.GetAccount().GetId(),
		Namespace:     s.GetAccount().GetNamespace(),
		Access:        s.GetAccessToken(),
		AccessExpires: s.GetAccessExpires().AsTime(),
		Refresh:       s.GetRefreshToken(),
	}
}
