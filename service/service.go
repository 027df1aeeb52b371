// Package service turns a Go struct into a service that others can call.
//
//	srv := service.New(service.Name("helloworld"))
//	if err := srv.Handle(new(handler.Helloworld)); err != nil {
//		logger.Fatal(err)
//	}
//	if err := srv.Run(); err != nil {
//		logger.Fatal(err)
//	}
//
// The struct's methods are the endpoints; what they are called by, and which
// messages they take, is in the .proto file that the messages were generated
// from. See [Service.Handle] for the forms that a method can have.
//
// A service is a gRPC server. It answers health checks and reflection, turns a
// panic into an error of that one call, and stops without cutting off the calls
// that are in progress. The platform that runs it decides where it listens and
// under which name; it needs none, though: run alone, it takes a free port of
// this machine and prints how to call it.
package service

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/micro/micro/v3/service/client"
	"github.com/micro/micro/v3/service/internal/call"
	"github.com/micro/micro/v3/service/internal/platform"
	"github.com/micro/micro/v3/service/internal/telemetry"
	"github.com/micro/micro/v3/service/logger"
	"github.com/micro/micro/v3/service/server"
)

// unmade is the service of a program that makes none.
var unmade = sync.OnceValue(func() *Service { return New() })

// Handle is [Service.Handle] of a service that the program need not make. It is called
// like the program, or as the platform says.
func Handle(v any, opts ...server.HandlerOption) error {
	s := unmade().Server()
	return s.Handle(s.NewHandler(v, opts...))
}

// Run is [Service.Run] of the service that [Handle] is for.
func Run() error { return unmade().Run() }

// Service is a gRPC server with a life cycle. It is made by [New], gets what it
// answers with [Service.Handle], and runs once. Its methods are safe for
// concurrent use.
type Service struct {
	opts     Options
	server   *grpc.Server
	client   client.Client
	id       string // of this instance
	recorder *telemetry.Recorder

	calls    atomic.Int64  // in progress
	failed   chan error    // gets why serving ended, when nobody asked for it
	stopping chan struct{} // closed when the service begins to stop
	stopped  chan struct{} // closed when it has stopped
	stopErr  error         // set before

	mu       sync.Mutex
	state    state
	handlers []error      // what went wrong when they were registered; fixed once started
	listener net.Listener // set when running
	lease    *lease       // of a service that is run by hand

	inbox inbox
}

// state is the part of its life that a service is in. There is no way back.
type state string

const (
	created  state = "not running"
	starting state = "starting, or did not start"
	running  state = "running"
	stopping state = "stopping, or has stopped"
)

// New returns a service that does nothing yet.
func New(opts ...Option) *Service {
	ctx, cut := context.WithCancel(context.Background())
	s := &Service{
		opts: Options{
			Signal:      true,
			stopTimeout: 8 * time.Second,
			lease:       30 * time.Second,
			getenv:      os.Getenv,
			announce:    os.Stderr,
		},
		id:       call.NewRequestID(),
		recorder: telemetry.NewRecorder(trace.SpanKindServer),
		state:    created,
		failed:   make(chan error, 1),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
		inbox:    inbox{ctx: ctx, cut: cut},
	}
	s.apply(opts)
	s.server = grpc.NewServer(append([]grpc.ServerOption{
		// Whoever keeps a connection open, as a proxy does, may ask now and then
		// whether it still is.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.guardUnary, s.wrapUnary),
		grpc.ChainStreamInterceptor(s.releaseStream, s.guardStream, s.wrapStream),
	}, s.opts.grpc...)...)
	return s
}

// apply sets options, and makes what depends on them.
func (s *Service) apply(opts []Option) {
	for _, opt := range opts {
		opt(&s.opts)
	}
	s.opts.resolve()
	platform.SetService(s.opts.Name, s.opts.Version)
	s.client = client.New(nil)
	for _, wrap := range slices.Backward(s.opts.wrapClient) {
		s.client = wrap(s.client)
	}
	if len(s.opts.wrapClient) > 0 {
		client.DefaultClient = s.client // else it does the same already
	}
}

// Init sets more options, before the service is started. Those of the gRPC server come
// too late by then, and count for nothing: see [ServerOptions].
func (s *Service) Init(opts ...Option) { s.apply(opts) }

// Options returns what the options have set.
func (s *Service) Options() Options { return s.opts }

// Name returns the name that the service runs under: the one that the platform
// gave it, else the one of the option [Name], else that of the program.
func (s *Service) Name() string { return s.opts.Name }

// Version returns the version that the service runs as: the one that the
// platform gave it, else the one of the option [Version].
func (s *Service) Version() string { return s.opts.Version }

// Metadata returns a copy of what the option [Metadata] says.
func (s *Service) Metadata() map[string]string { return maps.Clone(s.opts.Metadata) }

// String returns the name of the service.
func (s *Service) String() string { return s.opts.Name }

// Client returns what the code that Micro 3 generated calls other services with:
//
//	accounts := pb.NewAccountsService("accounts", srv.Client())
func (s *Service) Client() client.Client { return s.client }

// Conn returns the connection to the server that runs the service, whose calls are made
// as the service. It is what the explicit clients take:
//
//	conn, err := srv.Conn()
//	settings := config.New(conn)
func (s *Service) Conn() (grpc.ClientConnInterface, error) { return platform.Conn() }

// Handle makes the methods of v, a struct or a pointer to one, answer the calls
// of a gRPC service. These are the forms of a method, where Req and Rsp are
// messages generated from a .proto file:
//
//	M(ctx context.Context, req *Req) (*Rsp, error)
//	M(ctx context.Context, req *Req, rsp *Rsp) error
//	M(ctx context.Context, req *Req, stream *service.ServerStream[Rsp]) error
//	M(ctx context.Context, stream *service.ClientStream[Req, Rsp]) error
//	M(ctx context.Context, stream *service.BidiStream[Req, Rsp]) error
//
// A stream may also be a [grpc.ServerStream], or any pointer to a struct that
// does nothing but embed one, such as *grpc.GenericServerStream[Req, Rsp].
//
// Which gRPC service it is follows from the messages: the one with the struct's
// name in their proto package, else the only one all of whose methods v has.
// Exported methods of other forms are left alone.
//
// An error says what v lacks, naming the method and the form that is expected.
// [Service.Run] returns it as well, so that a main may leave the checking to it.
// Handle fails when the service has been started, and when something answers for
// the same gRPC service already.
func (s *Service) Handle(v any) error {
	desc, notes, err := describe(v)
	if err != nil {
		err = fmt.Errorf("handle %s: %w", typeName(v), err)
	}
	for _, note := range notes {
		s.log().Warn(note)
	}
	return s.register(desc, v, err)
}

// Server returns what generated code registers with, that of grpc-go and that of
// Micro 3:
//
//	pb.RegisterHelloworldServer(srv.Server(), new(handler.Helloworld))
//	pb.RegisterHelloworldHandler(srv.Server(), new(handler.Helloworld))
//
// What is wrong with a registration is returned by [Service.Run].
func (s *Service) Server() server.Server { return registrar{s} }

// registrar is the part of a service that generated code sees. Unlike a
// [grpc.Server] it does not end the program when something is wrong.
type registrar struct{ s *Service }

func (r registrar) Handle(h server.Handler) error { return r.s.Handle(h.Handler()) }

func (registrar) NewHandler(v any, opts ...server.HandlerOption) server.Handler {
	return server.NewHandler(typeName(v), v, opts...)
}

func (r registrar) Options() server.Options {
	return server.Options{
		Name: r.s.Name(), Version: r.s.Version(), Id: r.s.Name() + "-" + r.s.id,
		Address: r.s.Address(), Metadata: r.s.Metadata(),
	}
}

func (registrar) String() string { return "grpc" }

var _ server.Server = registrar{}

func (r registrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	var err error
	if impl != nil && desc.HandlerType != nil {
		want := reflect.TypeOf(desc.HandlerType).Elem()
		if !reflect.TypeOf(impl).Implements(want) {
			err = fmt.Errorf("register %s: %T does not implement %v", desc.ServiceName, impl, want)
		}
	}
	_ = r.s.register(desc, impl, err) // kept for Run
}

// register hands a description to gRPC unless err or the state of the service
// speaks against it, and remembers the error.
func (s *Service) register(desc *grpc.ServiceDesc, impl any, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != created {
		return fmt.Errorf("handle %T: the service is %s", impl, s.state)
	}
	if err == nil {
		if _, ok := s.server.GetServiceInfo()[desc.ServiceName]; ok {
			err = fmt.Errorf("handle %s: it is handled already", desc.ServiceName)
		}
	}
	if err != nil {
		s.handlers = append(s.handlers, err)
		return err
	}
	s.server.RegisterService(desc, impl)
	return nil
}

func (s *Service) log() *slog.Logger {
	if s.opts.logger != nil {
		return s.opts.logger
	}
	return logger.Default()
}
