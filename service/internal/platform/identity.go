package platform

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// identity proves who the service is, by access tokens that it gets from its source and
// renews before they expire.
type identity struct {
	source    tokenSource // nil: it has none
	namespace string
	now       func() time.Time

	lock    chan struct{} // held by who uses what follows
	token   string
	expires time.Time
	renew   time.Time // from when on it is renewed
}

// tokenSource gets an access token and until when it is good; zero: nobody knows.
type tokenSource func(ctx context.Context, cc *grpc.ClientConn) (token string, expires time.Time, err error)

// source returns where the environment says that access tokens come from.
func source(getenv func(string) string) tokenSource {
	switch token, file := getenv("MICRO_TOKEN"), getenv("MICRO_IDENTITY_FILE"); {
	case getenv(commandVariable) != "":
		return fromCommand(getenv)
	case token != "":
		return func(context.Context, *grpc.ClientConn) (string, time.Time, error) { return token, time.Time{}, nil }
	case file != "":
		return fromFile(file)
	default:
		return nil
	}
}

// fromFile exchanges the identity in a file.
func fromFile(file string) tokenSource {
	return func(ctx context.Context, cc *grpc.ClientConn) (string, time.Time, error) {
		proof, err := os.ReadFile(file) // each time: the runtime may replace it
		if err != nil {
			return "", time.Time{}, status.Errorf(codes.Unauthenticated, "the identity of the service: %v", err)
		}
		rsp, err := authv1.NewAuthClient(cc).Refresh(ctx, &authv1.RefreshRequest{RefreshToken: strings.TrimSpace(string(proof))})
		if err != nil {
			return "", time.Time{}, err
		}
		return rsp.GetSession().GetAccessToken(), rsp.GetSession().GetAccessExpires().AsTime(), nil
	}
}

// expiry returns what an access token says of its end; zero when it says nothing. Who
// signed it is the server's business.
func expiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var c struct {
		Expires int64 `json:"exp"`
	}
	if json.Unmarshal(claims, &c) != nil || c.Expires == 0 {
		return time.Time{}
	}
	return time.Unix(c.Expires, 0)
}

// access returns an access token, empty when the service has no identity. It is
// another one than the one that was not accepted, where there is one.
func (id *identity) access(ctx context.Context, cc *grpc.ClientConn, refused string) (string, error) {
	if id.source == nil {
		return "", nil
	}
	select {
	case id.lock <- struct{}{}:
	case <-ctx.Done():
		return "", status.FromContextError(ctx.Err()).Err()
	}
	defer func() { <-id.lock }()
	now := id.now()
	if id.token != "" && id.token != refused && (id.renew.IsZero() || now.Before(id.renew)) {
		return id.token, nil
	}
	token, expires, err := id.source(ctx, cc)
	if err != nil {
		if id.token != "" && id.token != refused && now.Before(id.expires) {
			return id.token, nil // it is good still; the next call tries again
		}
		return "", err
	}
	id.token, id.expires, id.renew = token, expires, time.Time{}
	if !expires.IsZero() {
		id.renew = expires.Add(-min(expires.Sub(now)/4, time.Minute))
	}
	return token, nil
}

// as returns a context for calls with a token.
func (id *identity) as(ctx context.Context, token string) context.Context {
	out, _ := metadata.FromOutgoingContext(ctx)
	if id.namespace != "" && len(out.Get("micro-namespace")) == 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "micro-namespace", id.namespace)
	}
	if token != "" && len(out.Get("authorization")) == 0 {
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
	if !refusedToken(err) {
		return err
	}
	// The clocks may differ, or the server have other keys now.
	again, renewErr := id.access(ctx, cc, token)
	if renewErr != nil || again == token {
		return err
	}
	return invoke(id.as(ctx, again), method, req, rsp, cc, opts...)
}

// refusedToken reports whether the server has refused a call for its token. A service
// that is called may be of the opinion that nobody is logged in as well, and has got the
// call then.
func refusedToken(err error) bool {
	if status.Code(err) != codes.Unauthenticated {
		return false
	}
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "micro" {
			switch info.GetReason() {
			case "TOKEN_EXPIRED", "SESSION_REVOKED", "WRONG_CREDENTIALS":
				return true
			}
		}
	}
	return false
}

func (id *identity) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	token, err := id.access(ctx, cc, "")
	if err != nil {
		return nil, err
	}
	stream, err := open(id.as(ctx, token), desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &renewing{ClientStream: stream, ctx: ctx, renew: func(ctx context.Context) bool {
		again, err := id.access(ctx, cc, token)
		return err == nil && again != token
	}}, nil
}

// renewing is a stream that a server may end because it does not accept the access token
// any more. Where another one can be had, that is a stream that was lost: whoever goes on
// after a restart of the server goes on then too.
type renewing struct {
	grpc.ClientStream
	ctx   context.Context //nolint:containedctx // that of the call; the stream's own has ended by then
	renew func(context.Context) bool
}

// RecvMsg receives a message.
func (s *renewing) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if !refusedToken(err) || !s.renew(s.ctx) {
		return err
	}
	return status.Error(codes.Unavailable, "it ended with an access token that was renewed now: "+status.Convert(err).Message())
}
