package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // requests with --gzip, and answers of those who like to

	"github.com/micro/micro/v3/cli/front"
	"github.com/micro/micro/v3/envs"
)

// connectTimeout bounds how long a server may take to accept a connection.
const connectTimeout = 10 * time.Second

// connectAs prepares connections for a call with options. The context that it returns
// ends with the time that the whole call has.
func (a *App) connectAs(ctx context.Context, r *front.Request) (context.Context, context.CancelFunc) {
	a.via = r.Transport
	if r.Metadata && a.observer == nil {
		a.observer = &observer{w: a.Err}
	}
	if r.Timeout > 0 {
		return context.WithTimeout(ctx, r.Timeout)
	}
	return ctx, func() {}
}

// dial connects to an environment, as the options of the call say, without saying who
// calls. The connection is made at the first call.
func (a *App) dial(e envs.Env) (*grpc.ClientConn, error) {
	address, useTLS, err := envs.ParseAddress(e.Address)
	if err != nil {
		return nil, err
	}
	creds := insecure.NewCredentials()
	if useTLS {
		c, err := e.TLS()
		if err != nil {
			return nil, err
		}
		creds = credentials.NewTLS(c)
	}
	if a.Getenv("MICRO_TRANSPORT") == "" && !a.via.WaitReady {
		creds = earlyCreds{creds}
	}
	// Whoever goes on although the server is away asks again in his own time, and is to
	// find it soon after it is back. What grpc-go has for that, ResetConnectBackoff, reads a
	// map that its own goroutines may write.
	connect := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: connectTimeout,
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(connect),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(front.DefaultMaxSize), grpc.MaxCallSendMsgSize(front.DefaultMaxSize)),
		grpc.WithDisableServiceConfig(),
		grpc.WithChainUnaryInterceptor(a.guardUnary),
		grpc.WithChainStreamInterceptor(a.guardStream),
	}
	if a.via.Authority != "" {
		opts = append(opts, grpc.WithAuthority(a.via.Authority))
	}
	if a.observer != nil {
		opts = append(opts, grpc.WithStatsHandler(a.observer))
	}
	if a.keeps() {
		opts = append(opts, grpc.WithIdleTimeout(keptTime))
	}
	target := "dns:///" + address
	socket, isSocket := envs.SocketPath(address)
	switch {
	case isSocket:
		target = "unix:" + socket
	case a.via.Via != "":
		target = "passthrough:///" + address // the proxy looks the name up
		opts = append(opts, grpc.WithContextDialer(tunnel(a.via.Via, a.via.ViaUser)))
	}
	return grpc.NewClient(target, opts...)
}

// maxSize returns the largest message that is sent or taken.
func (a *App) maxSize() int {
	if a.via.MaxSize > 0 {
		return a.via.MaxSize
	}
	return front.DefaultMaxSize
}

// tunnel returns a dialer through an HTTP proxy (RFC 9110, 9.3.6).
func tunnel(proxy string, user *url.Userinfo) func(ctx context.Context, address string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", proxy)
		if err != nil {
			return nil, fmt.Errorf("the proxy %s: %w", proxy, err)
		}
		tunneled, err := askForTunnel(ctx, conn, address, user)
		if err != nil {
			_ = conn.Close() // it leads nowhere
			return nil, fmt.Errorf("the proxy %s: %w", proxy, err)
		}
		return tunneled, nil
	}
}

// maxProxyAnswer bounds what a proxy may say before the tunnel is there.
const maxProxyAnswer = 64 << 10

// askForTunnel asks the proxy at the other end for a connection to an address.
func askForTunnel(ctx context.Context, conn net.Conn, address string, user *url.Userinfo) (net.Conn, error) {
	// The end of ctx ends what the connection is waiting for.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Host: address}, Host: address, Header: http.Header{}}
	if user != nil {
		password, _ := user.Password()
		login := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		req.Header.Set("Proxy-Authorization", "Basic "+login)
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	limited := &boundedConn{Conn: conn, left: maxProxyAnswer}
	r := bufio.NewReader(limited)
	rsp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, err
	}
	if rsp.StatusCode != http.StatusOK {
		_ = rsp.Body.Close() // the connection ends
		return nil, fmt.Errorf("no tunnel to %s: it answered %q", address, rsp.Status)
	}
	if !stop() {
		return nil, ctx.Err()
	}
	limited.left = -1
	return &bufferedConn{Conn: conn, r: r}, nil
}

// boundedConn reads no more than so many bytes, unless that is less than none.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left < 0 {
		return c.Conn.Read(p)
	}
	if c.left == 0 {
		return 0, errors.New("it says too much")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// bufferedConn is a connection of which some has been read already.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// readyTimeout is how long a server is waited for when nobody says.
const readyTimeout = time.Minute

// waitReady waits until there is a connection.
func (a *App) waitReady(ctx context.Context, timeout time.Duration) error {
	conn, err := a.Conn()
	if err != nil {
		return err
	}
	if timeout <= 0 {
		timeout = readyTimeout
	}
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for s := conn.GetState(); s != connectivity.Ready; s = conn.GetState() {
		if s == connectivity.Idle {
			conn.Connect()
		}
		if conn.WaitForStateChange(wait, s) {
			continue
		}
		if err := ctx.Err(); errors.Is(err, context.Canceled) {
			return err
		}
		return &Error{
			Message: fmt.Sprintf("the server of %s was not there within %s", a.place(), timeout),
			Hint:    "micro env",
			Exit:    ExitUnreachable,
		}
	}
	return nil
}
