// Package platform connects a service with the server that runs it, as the service.
//
// The environment says where and who:
//
//	MICRO_PROXY          the address of the server; 127.0.0.1:8081 when not set. With
//	                     tls:// before it, or the port 443, by TLS, with tcp:// not;
//	                     unix:PATH is a socket
//	MICRO_PROXY_CA       a PEM file of certificates to trust in place of the system's
//	MICRO_PROXY_CERT     a PEM file of the certificate to show, and
//	MICRO_PROXY_KEY      one of its key
//	MICRO_PROXY_INSECURE true: to believe any certificate
//	MICRO_IDENTITY_FILE  the file with the identity that the runtime gave the service
//	MICRO_TOKEN          an access token in its place, for a service run by hand
//	MICRO_NAMESPACE      the namespace; that of the account when not set
//
// A service that is run by hand, with none of it set, is in the environment that its
// developer is logged in to; see [Environment].
//
// Each call on the connection carries on the trace and the request that its context is
// part of, and is traced and measured. One that nobody has got is made again; see
// [Policy].
package platform

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/micro/micro/v3/service/internal/call"
	"github.com/micro/micro/v3/service/internal/telemetry"
)

// defaultProxy is where a server of this machine listens unless told otherwise.
const defaultProxy = "127.0.0.1:8081"

// maxMessage is the largest message that a server takes and gives.
const maxMessage = 64 << 20

// process is what this process is: one service, and its connection.
var process struct { //nolint:gochecknoglobals // what the functions without a client use
	mu            sync.Mutex
	name, version string
	conn          grpc.ClientConnInterface
}

// Conn returns the connection of this process, which is made when it is first needed and
// stays: that of [Dial] with the process's environment.
func Conn() (grpc.ClientConnInterface, error) {
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.conn == nil {
		conn, err := Dial(Environment())
		if err != nil {
			return nil, err
		}
		process.conn = conn
	}
	return process.conn, nil
}

// Use makes a connection that of this process, until what it returns is called. It is
// for tests.
func Use(conn grpc.ClientConnInterface) (restore func()) {
	process.mu.Lock()
	defer process.mu.Unlock()
	before := process.conn
	process.conn = conn
	return func() {
		process.mu.Lock()
		defer process.mu.Unlock()
		process.conn = before
	}
}

// SetService says which service this process is.
func SetService(name, version string) {
	process.mu.Lock()
	defer process.mu.Unlock()
	process.name, process.version = name, version
}

// Service returns the name and the version of the service that this process is, as the
// platform or the program says; empty before that.
func Service() (name, version string) {
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.name == "" {
		return os.Getenv("MICRO_SERVICE_NAME"), os.Getenv("MICRO_SERVICE_VERSION")
	}
	return process.name, process.version
}

// Dial returns a connection to the server whose calls are made as the service. It
// connects when it is first used, and again whenever it has to. The caller closes it.
func Dial(getenv func(string) string) (*grpc.ClientConn, error) {
	address, creds, err := server(getenv)
	if err != nil {
		return nil, err
	}
	id := &identity{
		source:    source(getenv),
		namespace: getenv("MICRO_NAMESPACE"),
		lock:      make(chan struct{}, 1),
		now:       time.Now,
	}
	conn, err := newConn(address, creds,
		grpc.WithChainUnaryInterceptor(id.unary),
		grpc.WithChainStreamInterceptor(id.stream))
	if err != nil {
		return nil, fmt.Errorf("MICRO_PROXY is %q: %w", address, err)
	}
	return conn, nil
}

// Direct returns a connection to a service at an address, which calls as nobody. The
// caller closes it.
func Direct(address string) (*grpc.ClientConn, error) {
	conn, err := newConn(address, insecure.NewCredentials())
	if err != nil {
		return nil, fmt.Errorf("the address %q: %w", address, err)
	}
	return conn, nil
}

// newConn returns a connection whose calls are recorded and made again, around what the
// options add. It is made at the first call, and again soon after it was lost.
func newConn(address string, creds credentials.TransportCredentials, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	o, again := &observer{telemetry.NewRecorder(trace.SpanKindClient)}, newRepeater()
	return grpc.NewClient(address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithChainUnaryInterceptor(o.unary, again.unary),
		grpc.WithChainStreamInterceptor(o.stream, again.stream),
		grpc.WithStatsHandler(sentWatch{}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastPause},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
	}, opts...)...)
}

// Address returns where the server of an environment is, as host:port or unix:PATH, and
// whether it speaks TLS.
func Address(getenv func(string) string) (address string, secure bool) {
	address = cmp.Or(getenv("MICRO_PROXY"), defaultProxy)
	if rest, ok := strings.CutPrefix(address, "tls://"); ok {
		return rest, true
	}
	if rest, ok := strings.CutPrefix(address, "tcp://"); ok {
		return rest, false
	}
	return address, strings.HasSuffix(address, ":443")
}

// server returns where the server is, and how to speak to it.
func server(getenv func(string) string) (string, credentials.TransportCredentials, error) {
	address, secure := Address(getenv)
	if !secure {
		return address, insecure.NewCredentials(), nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := getenv("MICRO_PROXY_CA"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return "", nil, fmt.Errorf("MICRO_PROXY_CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return "", nil, fmt.Errorf("MICRO_PROXY_CA: there is no certificate in %s", file)
		}
	}
	switch cert, key := getenv("MICRO_PROXY_CERT"), getenv("MICRO_PROXY_KEY"); {
	case cert == "" && key == "":
	case cert == "" || key == "":
		return "", nil, errors.New("MICRO_PROXY_CERT and MICRO_PROXY_KEY go together")
	default:
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return "", nil, fmt.Errorf("MICRO_PROXY_CERT: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	c.InsecureSkipVerify = getenv("MICRO_PROXY_INSECURE") == "true"
	return address, credentials.NewTLS(c), nil
}

// observer lets calls carry on what their contexts are part of, and records them.
type observer struct{ recorder *telemetry.Recorder }

func (o *observer) unary(ctx context.Context, path string, req, rsp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, end := o.recorder.Start(ctx, path)
	err := invoke(telemetry.Inject(call.Outgoing(ctx)), path, req, rsp, cc, opts...)
	end(err)
	return err
}

func (o *observer) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, path string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, end := o.recorder.Start(ctx, path)
	// gRPC calls it when the stream has ended, in whatever way, if it began at all.
	opts = append(opts, grpc.OnFinish(end))
	s, err := open(telemetry.Inject(call.Outgoing(ctx)), desc, cc, path, opts...)
	if err != nil {
		end(err)
	}
	return s, err
}
