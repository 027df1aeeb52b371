package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

// Run starts the service and returns when it has stopped: on SIGTERM or SIGINT,
// or when [Service.Stop] is called. A second signal ends the program at once.
//
// A service that its developer runs by hand, from an editor or by `go run .`, is
// registered with the server that he is logged in to, if there is one, and can be called
// through it like any other.
//
// When it is told to stop, the service tells those who watch its health that it does
// not serve, calls the functions of [BeforeStop], refuses new calls and messages, and waits
// for the ones in progress as long as the option [StopTimeout] says; then it cuts them off.
// Run returns nil after a stop that cut off nothing, and otherwise why the service did not
// start, why it could not go on, or what went wrong when it stopped.
func (s *Service) Run() error { return s.RunContext(context.Background()) }

// RunContext is [Service.Run] that stops the service also when ctx ends.
func (s *Service) RunContext(ctx context.Context) error {
	release := func() {}
	if s.opts.Signal {
		ctx, release = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer release()
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	s.setLease(s.join(ctx))
	var failed error
	select {
	case <-ctx.Done():
	case <-s.stopped:
	case failed = <-s.failed:
	}
	release() // from here on a signal ends the program
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.stopTimeout)
	defer cancel()
	// Who stopped the service by Stop before it had a lease has left it.
	return errors.Join(failed, s.Stop(stop), s.takeLease().leave(stop))
}

// Start starts the service and returns when it listens. It fails when a handler
// could not be registered, when a function of [BeforeStart] or [AfterStart]
// fails, when the service cannot listen at its address, and when the server refuses it the
// messages of a topic. Ctx bounds the start only. A service can be started once.
func (s *Service) Start(ctx context.Context) error {
	if err := s.enter(created, starting); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := errors.Join(s.handlers...); err != nil { // nobody adds to them any more
		return err
	}
	address, source, err := resolveAddress(s.opts.Address, s.opts.getenv)
	if err != nil {
		return err
	}
	if err := callUntilError(s.opts.BeforeStart); err != nil {
		return fmt.Errorf("before start: %w", err)
	}
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil && source != "" {
		return fmt.Errorf("%w (the address is from %s)", err, source)
	} else if err != nil {
		return err
	}
	if err := s.subscribe(); err != nil {
		return errors.Join(err, s.inbox.close(), lis.Close())
	}
	s.serve(lis)
	if err := callUntilError(s.opts.AfterStart); err != nil {
		return errors.Join(fmt.Errorf("after start: %w", err), s.Stop(ctx))
	}
	if source == "" {
		fmt.Fprintln(s.opts.announce, s.announcement())
	} else {
		s.log().Info("serving", "service", s.Name(), "version", s.Version(), "address", s.Address())
	}
	return nil
}

// Address returns where the service listens, as host:port; empty before it does.
func (s *Service) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Stop stops the service as [Service.Run] says, and returns when it has stopped.
// Calls that are in progress when ctx ends are cut off. A service that does not
// run is left as it is, and the error is nil.
func (s *Service) Stop(ctx context.Context) error {
	if s.enter(running, stopping) == nil {
		s.stopErr = s.stop(ctx)
		close(s.stopped)
		return s.stopErr
	}
	s.mu.Lock()
	began := s.state == stopping
	s.mu.Unlock()
	if !began {
		return nil
	}
	select {
	case <-s.stopped:
		return s.stopErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter changes the state, and fails when it is not the one to change from.
func (s *Service) enter(from, to state) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != from {
		return fmt.Errorf("the service is %s", s.state)
	}
	s.state = to
	return nil
}

// serve answers the calls that come to lis, until the service stops.
func (s *Service) serve(lis net.Listener) {
	services := s.server.GetServiceInfo()
	if _, ok := services[healthv1.Health_ServiceDesc.ServiceName]; !ok {
		healthv1.RegisterHealthServer(s.server, newHealth(services, s.stopping))
	}
	if !slices.ContainsFunc(reflectionServices, func(name string) bool { _, ok := services[name]; return ok }) {
		reflection.Register(s.server)
	}
	s.mu.Lock()
	s.state, s.listener = running, lis
	s.mu.Unlock()
	go func() {
		if err := s.server.Serve(lis); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			s.failed <- fmt.Errorf("serve: %w", err)
		}
	}()
}

func (s *Service) stop(ctx context.Context) error {
	close(s.stopping) // who watches the health sends nothing new
	errs := []error{s.takeLease().leave(ctx)}
	errs = append(errs, callAll(s.opts.BeforeStop)...)
	drained := make(chan error, 1)
	go func() {
		err := s.inbox.close()
		s.server.GracefulStop()
		drained <- err
	}()
	select {
	case err := <-drained:
		errs = append(errs, err)
	case <-ctx.Done():
		if n := s.calls.Load(); n > 0 {
			errs = append(errs, fmt.Errorf("stop: calls in progress that were cut off: %d", n))
		}
		s.server.Stop()
	}
	s.inbox.cut()
	return errors.Join(append(errs, callAll(s.opts.AfterStop)...)...)
}

// announcement tells a person who started the program by hand how to call it.
func (s *Service) announcement() string {
	line := fmt.Sprintf("%s listens on %s", s.Name(), s.Address())
	var paths []string
	for name, info := range s.server.GetServiceInfo() {
		for _, m := range info.Methods {
			path := name + "/" + m.Name
			if m.IsClientStream || m.IsServerStream || standard("/"+path) {
				continue
			}
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return line
	}
	slices.Sort(paths)
	// Call is the method that is meant when none is named.
	i := max(0, slices.IndexFunc(paths, func(p string) bool { return strings.HasSuffix(p, "/Call") }))
	return fmt.Sprintf("%s; try: grpcurl -plaintext %s %s", line, s.Address(), paths[i])
}

func callUntilError(funcs []func() error) error {
	for _, f := range funcs {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func callAll(funcs []func() error) (errs []error) {
	for _, f := range funcs {
		errs = append(errs, f())
	}
	return errs
}
