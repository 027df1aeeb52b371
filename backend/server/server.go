// Package server is the process behind `micro server`: it answers the APIs under
// proto/micro, keeps images, and puts proxy and gateway on their ports. It holds
// contracts and never a driver: which engines are behind them is decided by who
// opens it.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // takes compressed requests
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/micro/micro/v3/backend/audit"
	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/blobs"
	"github.com/micro/micro/v3/backend/config"
	"github.com/micro/micro/v3/backend/deploy"
	"github.com/micro/micro/v3/backend/events"
	"github.com/micro/micro/v3/backend/gateway"
	"github.com/micro/micro/v3/backend/metrics"
	"github.com/micro/micro/v3/backend/proxy"
	"github.com/micro/micro/v3/backend/registry"
	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/stats"
	"github.com/micro/micro/v3/backend/store"
	"github.com/micro/micro/v3/backend/tables"
	"github.com/micro/micro/v3/backend/trace"
	"github.com/micro/micro/v3/dynamic"
	images "github.com/micro/micro/v3/image/registry"
	"github.com/micro/micro/v3/internal/atomicfile"
	"github.com/micro/micro/v3/internal/buildinfo"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
	configv1 "github.com/micro/micro/v3/proto/micro/config/v1"
	eventsv1 "github.com/micro/micro/v3/proto/micro/events/v1"
	imagev1 "github.com/micro/micro/v3/proto/micro/image/v1"
	namespacev1 "github.com/micro/micro/v3/proto/micro/namespace/v1"
	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
	serverv1 "github.com/micro/micro/v3/proto/micro/server/v1"
	statsv1 "github.com/micro/micro/v3/proto/micro/stats/v1"
	storev1 "github.com/micro/micro/v3/proto/micro/store/v1"
)

// Config is what [Run] needs.
type Config struct {
	// DataDir is where images, keys and the addresses in use are kept.
	DataDir string
	// Gateway and Proxy are the addresses to listen on, as host:port.
	Gateway, Proxy string
	// Metrics is the address where Prometheus finds the server's figures, in clear and
	// without asking who it is; empty: nowhere.
	Metrics string
	// TLS is for both ports; nil: in clear.
	TLS *tls.Config
	// Instances is where what the runtime starts reaches the server when that speaks
	// TLS: in clear, since an instance knows no certificate of the server's, and so
	// at an address that nobody else can reach. A free port of the loopback interface
	// when empty. Without TLS the proxy's port is good for them too.
	Instances string
	// Signup says who may make a namespace of his own.
	Signup Signup
	// SMTP sends the codes that [SignupMail] needs.
	SMTP SMTP
	// TokenTTL is how long access tokens are good; 0: [auth.AccessTTL].
	TokenTTL time.Duration
	// AuditEntries and AuditAge bound what is kept of who did what in each namespace;
	// 0: not bounded.
	AuditEntries int64
	AuditAge     time.Duration
	// BlobQuota is how many bytes the blobs of a namespace may have; 0: no bound.
	BlobQuota int64
	// MaxCalls is how many calls of the server's own methods may be under way at once,
	// and MaxStreams how many streams and calls of services; 0: 1024 and 4096.
	MaxCalls, MaxStreams int

	Store  store.Store
	Events events.Engine
	// OpenRuntime opens what services run on; the server closes it.
	OpenRuntime func(ctx context.Context, images runtime.OpenImage) (runtime.Runtime, error)
	Logger      *slog.Logger
	// Ready is called once, when every port answers.
	Ready func(Addresses)
	// Password is called once when the administrator gets a password: a random one, or,
	// where nobody else can reach the server, the well-known one, good on this machine.
	Password func(namespace, account, password string, local bool)
}

// Addresses are those in use.
type Addresses struct {
	Gateway string `json:"gateway"`
	Proxy   string `json:"proxy"`
	// Instances is empty when the proxy's is the address that they use.
	Instances string `json:"instances,omitempty"`
	Metrics   string `json:"metrics,omitempty"`
}

// addressesFile tells other programs on this machine where the server listens.
const addressesFile = "server.json"

// Limits of what one client can make the server hold.
const (
	maxMessage   = 64 << 20
	maxStreams   = 1000
	maxHeaders   = 64 << 10
	headersIn    = 10 * time.Second
	idleFor      = 2 * time.Minute
	shutdownIn   = 5 * time.Second
	masterKeyLen = auth.MasterKeySize
)

// Server is one running server.
type Server struct {
	config    Config
	auth      *auth.Auth
	audit     *audit.Log
	recorder  *recorder
	mail      mailer
	settings  *config.Config
	registry  *registry.Registry
	blobs     *blobs.Blobs
	images    *images.Registry
	runtime   runtime.Runtime
	door      *door
	proxy     *proxy.Proxy
	stats     *stats.Stats
	tracer    *trace.Tracer // nil: nobody wants to know
	schemas   *schemas
	directory *directory
	deployer  *deploy.Deployer
	deleter   *deleter
	statuses  *statuses
	guard     *guard
	services  *registryAPI
	health    *health.Server

	grpc        *grpc.Server
	instances   net.Listener // for the instances alone; nil: they use the proxy's
	proxyHTTP   *http.Server
	gatewayHTTP *http.Server
	metricsHTTP *http.Server // nil: nobody asks for metrics

	addresses Addresses
	life      context.Context //nolint:containedctx // ends when the server begins to stop
	endLife   context.CancelFunc
	closers   []func() error // what was opened, in order
}

// Run serves until ctx ends, and then ends everything in order: calls, services,
// engines. It returns an error when the server could not start, or had to stop
// by itself.
func Run(ctx context.Context, c Config) (err error) {
	s := &Server{
		config:   c,
		statuses: &statuses{meanings: meanings(), logger: c.Logger},
	}
	s.life, s.endLife = context.WithCancel(context.WithoutCancel(ctx))
	defer s.endLife()
	defer func() { err = errors.Join(err, s.close()) }()
	if s.mail, err = newMailer(c.SMTP, c.Logger); err != nil {
		return err
	}

	// Ports first: a server that is there already is the likeliest mistake.
	proxyListener, err := listen(ctx, "proxy", c.Proxy)
	if err != nil {
		return err
	}
	defer proxyListener.Close()
	gatewayListener, err := listen(ctx, "gateway", c.Gateway)
	if err != nil {
		return err
	}
	defer gatewayListener.Close()
	s.addresses = Addresses{Gateway: gatewayListener.Addr().String(), Proxy: proxyListener.Addr().String()}
	if c.TLS != nil {
		if s.instances, err = listen(ctx, "instances", cmp.Or(c.Instances, "127.0.0.1:0")); err != nil {
			return err
		}
		defer s.instances.Close()
		s.addresses.Instances = s.instances.Addr().String()
	}
	var metricsListener net.Listener // nil: there is none
	if c.Metrics != "" {
		if metricsListener, err = listen(ctx, "metrics", c.Metrics); err != nil {
			return err
		}
		defer metricsListener.Close()
		s.addresses.Metrics = metricsListener.Addr().String()
	}

	if err := s.open(ctx); err != nil {
		return err
	}
	if err := s.writeAddresses(); err != nil {
		return err
	}
	return s.serve(ctx, proxyListener, gatewayListener, metricsListener)
}

// ListenError is returned when a port cannot be listened on.
type ListenError struct {
	What    string // "proxy", "gateway", "instances" or "metrics"
	Address string
	Err     error
}

func (e *ListenError) Error() string {
	return fmt.Sprintf("the %s cannot listen on %s: %s", e.What, e.Address, e.Err)
}

func (e *ListenError) Unwrap() error { return e.Err }

func listen(ctx context.Context, what, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if err != nil {
		return nil, &ListenError{What: what, Address: address, Err: err}
	}
	return l, nil
}

func (s *Server) open(ctx context.Context) error {
	c := &s.config
	key, err := masterKey(c.DataDir)
	if err != nil {
		return err
	}
	if s.auth, err = auth.Open(ctx, auth.Config{Store: c.Store, MasterKey: key, AccessTTL: c.TokenTTL}); err != nil {
		return fmt.Errorf("open auth: %w", err)
	}
	s.onClose(s.auth.Close)
	if err := s.initialize(ctx); err != nil {
		return err
	}
	if err := s.openAudit(key); err != nil {
		return fmt.Errorf("open audit: %w", err)
	}
	if s.settings, err = config.New(config.Options{Store: c.Store, MasterKey: key}); err != nil {
		return fmt.Errorf("open config: %w", err)
	}
	s.onClose(s.settings.Close)
	s.registry = registry.New(c.Store)
	s.onClose(s.registry.Close)
	if err := s.forgetLeases(ctx); err != nil {
		return err
	}
	s.blobs, err = blobs.Open(ctx, blobs.Options{Store: c.Store, Quota: c.BlobQuota, Logger: c.Logger})
	if err != nil {
		return fmt.Errorf("open blobs: %w", err)
	}
	s.onClose(s.blobs.Close)
	s.images, err = images.Open(filepath.Join(c.DataDir, "images"), images.Options{
		Authorize: s.authorizeImages,
		Challenge: challenge,
		Needed:    s.imagesNeeded,
		Log:       c.Logger,
	})
	if err != nil {
		return fmt.Errorf("open images: %w", err)
	}
	s.onClose(s.images.Close)
	s.schemas = newSchemas(s.registry)
	apis, err := dynamic.ParseSchema(apisSchema)
	if err != nil {
		return fmt.Errorf("the server's own APIs: %w", err)
	}
	s.stats = s.newStats(apis)
	if s.tracer, err = trace.Open(ctx, os.Getenv, buildinfo.Version(), c.Logger); err != nil {
		return fmt.Errorf("trace calls: %w", err)
	}
	s.onClose(s.tracer.Close)
	s.door = newDoor(cmp.Or(c.MaxCalls, maxCalls), cmp.Or(c.MaxStreams, maxOpenCalls), s.statuses.of)
	s.proxy = proxy.New(proxy.Config{
		Auth:       s.auth,
		Registry:   s.registry,
		Stats:      s.stats,
		Tracer:     s.tracer,
		Logger:     c.Logger,
		Identified: s.door.learn,
		Deployed: func(ctx context.Context, ns, name string) bool {
			_, err := s.deployer.Service(ctx, ns, name)
			return err == nil
		},
		Desired: func(ns string) []string { return s.deployer.Names(ns) },
	})
	s.onClose(s.proxy.Close)
	s.directory = &directory{
		auth:     s.auth,
		registry: s.registry,
		proxy:    s.proxy,
		comments: s.imageSchema,
		logger:   c.Logger,
		askFor:   askFor,
		up:       map[string]deploy.Instance{},
	}
	if s.runtime, err = c.OpenRuntime(ctx, s.openImage); err != nil {
		return fmt.Errorf("open the runtime: %w", err)
	}
	s.onClose(s.runtime.Close)
	tellAbilities(c.Logger, s.runtime)
	s.deployer, err = deploy.Open(ctx, deploy.Config{
		Store:     c.Store,
		Runtime:   s.runtime,
		Directory: s.directory,
		Env:       map[string]string{"MICRO_PROXY": cmp.Or(s.addresses.Instances, s.addresses.Proxy)},
		Lookup:    s.lookup,
		Exec:      commands(s.runtime),
		Logger:    c.Logger,
	})
	if err != nil {
		return fmt.Errorf("open deploy: %w", err)
	}
	s.onClose(s.deployer.Close)
	s.deleter, err = newDeleter(ctx, &deleter{
		auth:     s.auth,
		deployer: s.deployer,
		images:   s.images,
		events:   c.Events,
		blobs:    s.blobs,
		stats:    s.stats,
		failed: func(ns string, err error) {
			c.Logger.Error("a namespace could not be deleted; it is tried again when the server starts", "namespace", ns, "err", err)
		},
	})
	if err != nil {
		return fmt.Errorf("delete namespaces: %w", err)
	}
	s.onClose(s.deleter.close)
	return s.build(apis)
}

func (s *Server) onClose(f func() error) { s.closers = append(s.closers, f) }

func (s *Server) close() error {
	var errs []error
	for _, v := range slices.Backward(s.closers) {
		errs = append(errs, v())
	}
	return errors.Join(errs...)
}

// masterKey reads the key that encrypts secrets at rest, and makes one in a new
// data directory.
func masterKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, "master.key")
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, masterKeyLen)
		_, _ = rand.Read(key) // never fails: crypto/rand
		return key, atomicfile.Write(path, key)
	}
	if err != nil {
		return nil, err
	}
	if len(key) != masterKeyLen {
		return nil, fmt.Errorf("%s has %d bytes, not %d: it is damaged; without it the accounts of this server cannot be used", path, len(key), masterKeyLen)
	}
	return key, nil
}

// initialize makes the first account. One that others can reach must not have
// the password that everybody knows.
func (s *Server) initialize(ctx context.Context) error {
	password := ""
	if !s.loopbackOnly() {
		password = strings.ToLower(rand.Text())
	}
	set, err := s.auth.Initialize(ctx, password)
	if err != nil {
		return fmt.Errorf("make the first account: %w", err)
	}
	if set && s.config.Password != nil {
		s.config.Password(auth.DefaultNamespace, auth.InitialAccount, cmp.Or(password, auth.InitialPassword), password == "")
	}
	return nil
}

// loopbackOnly reports whether only this machine can reach the server.
func (s *Server) loopbackOnly() bool {
	return isLoopback(s.addresses.Proxy) && isLoopback(s.addresses.Gateway)
}

// forgetLeases ends the leases of what this server's runtime ran before: a server
// that was killed could not.
func (s *Server) forgetLeases(ctx context.Context) error {
	namespaces, err := s.auth.Namespaces(ctx)
	if err != nil {
		return err
	}
	for _, ns := range namespaces {
		if err := s.registry.Recover(ctx, ns, owner); err != nil {
			return err
		}
	}
	return nil
}

// build makes the servers of the two ports.
func (s *Server) build(apis *dynamic.Schema) error {
	c := &s.config
	s.guard = &guard{auth: s.auth, proxy: s.proxy, methods: methods(), recorder: s.recorder, life: s.life}
	observer := &observer{stats: s.stats, tracer: s.tracer, methods: s.guard.methods}
	s.health = health.NewServer()
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(lenientCodec{proxy.Codec()}),
		grpc.InTapHandle(s.door.tap),
		grpc.ChainUnaryInterceptor(observer.unary, s.statuses.unary, s.guard.unary),
		grpc.ChainStreamInterceptor(observer.stream, s.statuses.stream, s.guard.stream),
		grpc.UnknownServiceHandler(s.forward),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.InitialWindowSize(1<<20),
		grpc.InitialConnWindowSize(4<<20),
		grpc.ConnectionTimeout(headersIn),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: idleFor, Timeout: 20 * time.Second}),
	)
	apiServer := registrar{s.grpc}
	authv1.RegisterAuthServer(apiServer, &authAPI{auth: s.auth, signup: c.Signup, mail: s.mail})
	authv1.RegisterInvitationsServer(apiServer, &invitationsAPI{auth: s.auth, signup: c.Signup})
	authv1.RegisterAccountsServer(apiServer, &accountsAPI{auth: s.auth})
	authv1.RegisterRulesServer(apiServer, &rulesAPI{auth: s.auth})
	configv1.RegisterConfigServer(apiServer, &configAPI{config: s.settings})
	authv1.RegisterTokensServer(apiServer, &tokensAPI{auth: s.auth})
	authv1.RegisterKeysServer(apiServer, &keysAPI{auth: s.auth})
	authv1.RegisterAuditServer(apiServer, &auditAPI{log: s.audit, auth: s.auth})
	authv1.RegisterNamespacesServer(apiServer, &namespacesAPI{auth: s.auth, deleter: s.deleter})
	s.services = &registryAPI{
		registry: s.registry, directory: s.directory, schemas: s.schemas, deployer: s.deployer, forwardable: s.forwardable,
	}
	registryv1.RegisterRegistryServer(apiServer, s.services)
	eventsv1.RegisterEventsServer(apiServer, &eventsAPI{events: c.Events})
	runtimev1.RegisterRuntimeServer(apiServer, &runtimeAPI{
		deployer: s.deployer, runtime: s.runtime, settings: s.settings, hasImage: s.hasImage,
	})
	statsv1.RegisterStatsServer(apiServer, &statsAPI{stats: s.stats, registry: s.registry, deployer: s.deployer})
	imagev1.RegisterImagesServer(apiServer, &imageAPI{images: s.images})
	records := tables.New(c.Store)
	storev1.RegisterStoreServer(apiServer, &storeAPI{tables: records, authorize: s.guard.checkTable})
	storev1.RegisterBlobsServer(apiServer, &blobsAPI{blobs: s.blobs})
	namespacev1.RegisterTransferServer(apiServer, &transferAPI{
		store: c.Store, tables: records, blobs: s.blobs, config: s.settings, auth: s.auth, check: s.guard.check,
	})
	serverv1.RegisterServerServer(apiServer, &serverAPI{dataDir: c.DataDir, store: c.Store, images: s.images})
	healthv1.RegisterHealthServer(apiServer, s.health)
	(&reflector{auth: s.auth, registry: s.registry, schemas: s.schemas, own: s.grpc, apis: apis}).register(apiServer)
	s.door.serves(s.grpc.GetServiceInfo())

	web := http.NewServeMux()
	web.Handle("/v2/", s.recorder.images(s.images))
	web.HandleFunc("GET /v2/token", s.imageToken)
	web.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]string{"version": buildinfo.Version()})
	})
	s.proxyHTTP = httpServer(web)
	if c.Metrics != "" {
		s.metricsHTTP = httpServer(metrics.Handler(s.stats, buildinfo.Version(), c.Logger))
	}
	s.gatewayHTTP = httpServer(s.tracer.HTTP(gateway.New(gateway.Config{
		Proxy:   s.proxy,
		Keys:    keySet(s.auth),
		Schema:  s.schemas.get,
		Status:  s.statuses.of,
		Admit:   s.door.admit,
		Version: buildinfo.Version(),
		Logger:  c.Logger,
	})))
	return nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone: there is nobody to tell
}

func httpServer(h http.Handler) *http.Server {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	p.SetHTTP2(true)
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headersIn,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeaders,
		Protocols:         p,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}

// serve answers on both ports until ctx ends or one of them fails.
func (s *Server) serve(ctx context.Context, proxyListener, gatewayListener, metricsListener net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	m := newMux(proxyListener, s.config.TLS)
	if s.config.TLS != nil {
		gatewayListener = tls.NewListener(gatewayListener, s.config.TLS)
	}
	var wg sync.WaitGroup
	serves := map[string]func() error{
		"proxy":         m.serve,
		"proxy (gRPC)":  func() error { return s.grpc.Serve(m.grpc) },
		"proxy (HTTP)":  func() error { return s.proxyHTTP.Serve(m.http) },
		"gateway":       func() error { return s.gatewayHTTP.Serve(gatewayListener) },
		"lease renewal": func() error { s.directory.renew(ctx); return nil },
		"images":        func() error { s.pruneImages(ctx); return nil },
		"audit logs":    func() error { s.pruneAudit(ctx); return nil },
		"schemas":       func() error { s.directory.collectSchemas(ctx); return nil },
		"stats":         func() error { s.stats.Run(ctx); return nil },
	}
	if metricsListener != nil {
		serves["metrics"] = func() error { return s.metricsHTTP.Serve(metricsListener) }
	}
	if s.instances != nil {
		serves["instances"] = func() error { return s.grpc.Serve(s.instances) }
	}
	for what, serve := range serves {
		wg.Go(func() {
			err := serve()
			if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) && !errors.Is(err, net.ErrClosed) {
				stop(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	if s.config.Ready != nil {
		s.config.Ready(s.addresses)
	}
	debug.FreeOSMemory() // a start needs more than what follows: 20 MiB to hash the first password
	<-ctx.Done()
	s.shutdown(proxyListener)
	wg.Wait()
	_ = os.Remove(filepath.Join(s.config.DataDir, addressesFile)) // a stale one is told by its process id
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// shutdown takes no more calls and lets those under way end, for a while.
func (s *Server) shutdown(proxyListener net.Listener) {
	s.health.Shutdown()
	s.endLife()
	_ = proxyListener.Close() // it is closed twice on the way out
	ctx, cancel := context.WithTimeout(context.Background(), shutdownIn)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.grpc.GracefulStop()
		}()
		select {
		case <-done:
		case <-ctx.Done():
			s.grpc.Stop()
			<-done
		}
	})
	for _, h := range []*http.Server{s.proxyHTTP, s.gatewayHTTP, s.metricsHTTP} {
		if h == nil {
			continue
		}
		wg.Go(func() {
			if h.Shutdown(ctx) != nil {
				_ = h.Close() // whoever is left is cut off
			}
		})
	}
	wg.Wait()
}

// forward answers every method that is not the server's own.
func (s *Server) forward(_ any, in grpc.ServerStream) error {
	ctx := in.Context()
	path, _ := grpc.MethodFromServerStream(in)
	if strings.HasPrefix(path, "/micro.") {
		return fmt.Errorf("%w: %q; this server has no such API", proxy.ErrPath, path)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	token, err := bearer(md)
	if err != nil {
		return err
	}
	route, err := s.proxy.Admit(ctx, proxy.Call{
		Token:     token,
		Namespace: first(md, proxy.KeyNamespace),
		Service:   first(md, proxy.KeyService),
		Path:      path,
		Schema:    first(md, proxy.KeySchema),
		Metadata:  md,
	})
	if err != nil {
		in.SetTrailer(metadata.Pairs(proxy.KeyRefused, "true"))
		if errors.Is(err, proxy.ErrSchemaChanged) {
			s.services.tell(in, s.guard)
		}
		return err
	}
	return route.Forward(in)
}

func (s *Server) writeAddresses() error {
	b, err := json.Marshal(struct {
		Addresses
		PID     int    `json:"pid"`
		Version string `json:"version"`
	}{s.addresses, os.Getpid(), buildinfo.Version()})
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(s.config.DataDir, addressesFile), append(b, '\n'))
}
