// Package platform connects a service with the server that runs it, as the service.
//
// The environment says where and who:
//
//	MICRO_PROXY          the address of the server; 127.0.0.1:8081 when not set. With
//	                     tls:// before it, or the port 443, by TLS
//	MICRO_IDENTITY_FILE  the file with the identity that the runtime gave the service
//	MICRO_TOKEN          an access token in its place, for a service run by hand
//	MICRO_NAMESPACE      the namespace; that of the account when not set
package platform

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// defaultProxy is where a server of this machine listens unless told otherwise.
const defaultProxy = "127.0.0.1:8081"

// Dial returns a connection to the server whose calls are made as the service. It
// connects when it is first used, and again whenever it has to. The caller closes it.
func Dial(getenv func(string) string) (*grpc.ClientConn, error) {
	address, secure := getenv("MICRO_PROXY"), false
	if address == "" {
		address = defaultProxy
	}
	if rest, ok := strings.CutPrefix(address, "tls://"); ok {
		address, secure = rest, true
	}
	creds := insecure.NewCredentials()
	if secure || strings.HasSuffix(address, ":443") {
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	id := &identity{
		file:      getenv("MICRO_IDENTITY_FILE"),
		fixed:     getenv("MICRO_TOKEN"),
		namespace: getenv("MICRO_NAMESPACE"),
		lock:      make(chan struct{}, 1),
		now:       time.Now,
	}
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(creds),
		grpc.WithUnaryInterceptor(id.unary),
		grpc.WithStreamInterceptor(id.stream),
	)
	if err != nil {
		return nil, fmt.Errorf("MICRO_PROXY is %q: %w", address, err)
	}
	return conn, nil
}

// identity proves who the service is, by access tokens that it gets for its identity
// and renews before they expire.
type identity struct {
	file, fixed, namespace string
	now                    func() time.Time

	lock    chan struct{} // held by who uses what follows
	token   string
	expires time.Time
	renew   time.Time // from when on it is renewed
}

// access returns an access token, empty when the service has no identity. It is
// another one than the one that was not accepted.
func (id *identity) access(ctx context.Context, cc *grpc.ClientConn, refused string) (string, error) {
	if id.fixed != "" || id.file == "" {
		return id.fixed, nil
	}
	select {
	case id.lock <- struct{}{}:
	case <-ctx.Done():
		return "", status.FromContextError(ctx.Err()).Err()
	}
	defer func() { <-id.lock }()
	now := id.now()
	if id.token != "" && id.token != refused && now.Before(id.renew) {
		return id.token, nil
	}
	proof, err := os.ReadFile(id.file) // each time: the runtime may replace it
	if err != nil {
		return "", status.Errorf(codes.Unauthenticated, "the identity of the service: %v", err)
	}
	rsp, err := authv1.NewAuthClient(cc).Refresh(ctx, &authv1.RefreshRequest{RefreshToken: strings.TrimSpace(string(proof))})
	if err != nil {
		if id.token != "" && id.token != refused && now.Before(id.expires) {
			return id.token, nil // it is good still; the next call tries again
		}
		return "", err
	}
	s := rsp.GetSession()
	id.token, id.expires = s.GetAccessToken(), s.GetAccessExpires().AsTime()
	ttl := id.expires.Sub(now)
	id.renew = id.expires.Add(-min(ttl/4, time.Minute))
	return id.token, nil
}

// as returns a context for calls with a token.
func (id *identity) as(ctx context.Context, token string) context.Context {
	if id.namespace != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "micro-namespace", id.namespace)
	}
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return ctx
}

func (id *identity) unary(ctx context.Context, method string, req, rsp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if method == authv1.Auth_Refresh_FullMethodName {
		return invoke(ctx, method, req, rsp, cc, opts...)
	}
	token, err := id.access(ctx, cc, "")
	if err != nil {
		return err
	}
	err = invoke(id.as(ctx, token), method, req, rsp, cc, opts...)
	if status.Code(err) != codes.Unauthenticated || id.fixed != "" {
		return err
	}
	// The clocks may differ, or the server have other keys now.
	again, renewErr := id.access(ctx, cc, token)
	if renewErr != nil || again == token {
		return err
	}
	return invoke(id.as(ctx, again), method, req, rsp, cc, opts...)
}

func (id *identity) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	token, err := id.access(ctx, cc, "")
	if err != nil {
		return nil, err
	}
	return open(id.as(ctx, token), desc, cc, method, opts...)
}
