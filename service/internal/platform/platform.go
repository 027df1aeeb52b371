// Package platform connects a service to the server that runs it, with the identity
// that the server gave it.
//
//	MICRO_PROXY           where the server is, as host:port; tls://host:port with TLS
//	MICRO_NAMESPACE       the namespace to act in
//	MICRO_IDENTITY_FILE   the file with what access tokens are got for
//	MICRO_TOKEN           an access token, for a program that is run by hand
package platform

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// ErrNone is returned where nothing says which server to use.
var ErrNone = errors.New("this program was not started by micro: MICRO_PROXY does not say where its server is")

// Conn returns the connection to the server of this process, which is made at first
// use and lives as long as the process. Calls on it carry the process's identity.
func Conn() (*grpc.ClientConn, error) { return conn() }

// conn is the one connection of the process, as the package functions of the SDK
// need it.
var conn = sync.OnceValues(func() (*grpc.ClientConn, error) { return Dial(os.Getenv) })

// Dial returns a connection as the variables say. It does not wait for the server.
func Dial(getenv func(string) string) (*grpc.ClientConn, error) {
	address := getenv("MICRO_PROXY")
	if address == "" {
		return nil, ErrNone
	}
	transport := insecure.NewCredentials()
	if host, ok := strings.CutPrefix(address, "tls://"); ok {
		address, transport = host, credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	i := &identity{
		namespace: getenv("MICRO_NAMESPACE"),
		file:      getenv("MICRO_IDENTITY_FILE"),
		token:     getenv("MICRO_TOKEN"),
		renewing:  make(chan struct{}, 1),
		now:       time.Now,
	}
	return grpc.NewClient(address,
		grpc.WithTransportCredentials(transport),
		grpc.WithUnaryInterceptor(i.unary),
		grpc.WithStreamInterceptor(i.stream),
	)
}

// identity adds to calls who makes them. It is safe for concurrent use.
type identity struct {
	namespace, file string
	renewing        chan struct{} // holds one while somebody gets a token
	now             func() time.Time

	mu    sync.Mutex
	token string
	until time.Time // renew it from here on; zero: never
}

func (i *identity) unary(ctx context.Context, method string, req, rsp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if method != authv1.Auth_Refresh_FullMethodName {
		var err error
		if ctx, err = i.identify(ctx, cc); err != nil {
			return err
		}
	}
	return invoke(ctx, method, req, rsp, cc, opts...)
}

func (i *identity) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := i.identify(ctx, cc)
	if err != nil {
		return nil, err
	}
	return open(ctx, desc, cc, method, opts...)
}

// identify returns a context that says who calls, unless ctx says so already.
func (i *identity) identify(ctx context.Context, cc *grpc.ClientConn) (context.Context, error) {
	md, _ := metadata.FromOutgoingContext(ctx)
	if i.namespace != "" && len(md.Get("micro-namespace")) == 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "micro-namespace", i.namespace)
	}
	if len(md.Get("authorization")) > 0 {
		return ctx, nil
	}
	token, err := i.access(ctx, cc)
	if err != nil || token == "" {
		return ctx, err
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), nil
}

func (i *identity) current() (token string, good bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.token, i.file == "" || i.token != "" && i.now().Before(i.until)
}

// access returns a token that is good for a while; one caller at a time gets a new
// one, the others wait for it.
func (i *identity) access(ctx context.Context, cc *grpc.ClientConn) (string, error) {
	if token, good := i.current(); good {
		return token, nil
	}
	select {
	case i.renewing <- struct{}{}:
		defer func() { <-i.renewing }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if token, good := i.current(); good {
		return token, nil
	}
	secret, err := os.ReadFile(i.file)
	if err != nil {
		return "", fmt.Errorf("the identity of this service: %w", err)
	}
	rsp, err := authv1.NewAuthClient(cc).Refresh(ctx, &authv1.RefreshRequest{RefreshToken: strings.TrimSpace(string(secret))})
	if err != nil {
		return "", fmt.Errorf("get an access token: %w", err)
	}
	s := rsp.GetSession()
	now := i.now()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.token = s.GetAccessToken()
	// Before it ends, so that it does not on its way.
	i.until = now.Add(s.GetAccessExpires().AsTime().Sub(now) * 4 / 5)
	return i.token, nil
}
