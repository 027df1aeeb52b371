package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	registryv1 "github.com/micro/micro/v3/proto/micro/registry/v1"
	"github.com/micro/micro/v3/service/internal/platform"
)

const (
	// joinIn is how long the server may take to answer.
	joinIn = 5 * time.Second
	// joinAgain is how long a service waits that could not be registered.
	joinAgain = 3 * time.Second
)

// lease keeps a service in the registry that its developer runs by hand. What the
// platform runs it registers itself.
type lease struct {
	service *Service
	api     registryv1.RegistryClient
	cancel  context.CancelFunc
	done    sync.WaitGroup

	instance *registryv1.Instance // nil: it is not registered
	told     string               // what the developer was told last
}

// join registers a service that is run by hand, and keeps trying when there is no server
// yet. It returns nil for a service that is not.
func (s *Service) join(ctx context.Context) *lease {
	byHand := s.opts.getenv("MICRO_TOKEN") != "" || platform.ByHand()
	if !byHand || s.opts.getenv("MICRO_ADDRESS") != "" || s.opts.getenv("MICRO_IDENTITY_FILE") != "" {
		return nil
	}
	conn, err := platform.Conn()
	if err != nil {
		s.tell("%s is in no registry: %s", s.Name(), err)
		return nil
	}
	return s.registerAt(ctx, conn)
}

func (s *Service) registerAt(ctx context.Context, conn grpc.ClientConnInterface) *lease {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &lease{service: s, api: registryv1.NewRegistryClient(conn), cancel: cancel}
	again := l.keep(ctx)
	l.done.Go(func() {
		for again > 0 {
			select {
			case <-time.After(again):
				again = l.keep(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
	return l
}

// keep registers the service, or renews its lease, and returns when to do it again; 0:
// never, since the server will not have it.
func (l *lease) keep(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, joinIn)
	defer cancel()
	o := &l.service.opts
	duration := durationpb.New(o.lease)
	err := status.Error(codes.NotFound, "")
	if l.instance != nil {
		_, err = l.api.Renew(ctx, &registryv1.RenewRequest{Service: l.service.Name(), Id: l.instance.GetId(), Lease: duration})
	}
	if status.Code(err) == codes.NotFound {
		err = l.register(ctx, duration)
	}
	switch status.Code(err) {
	case codes.OK:
		where := ""
		if name := platform.Environment()("MICRO_ENV"); name != "" {
			where = fmt.Sprintf(" in environment %q", name)
		}
		l.tell("%s is registered%s; try: micro %s --help", l.service.Name(), where, l.service.Name())
		return cmp.Or(o.renew, o.lease/3)
	case codes.InvalidArgument, codes.PermissionDenied:
		l.tell("%s is in no registry: %s", l.service.Name(), status.Convert(err).Message())
		return 0
	default:
		l.tell("%s is in no registry yet: %s", l.service.Name(), status.Convert(err).Message())
		return joinAgain
	}
}

func (l *lease) register(ctx context.Context, duration *durationpb.Duration) error {
	proxy, _ := platform.Address(platform.Environment())
	address, err := reachable(ctx, l.service.Address(), proxy)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	rsp, err := l.api.Register(ctx, &registryv1.RegisterRequest{
		Instance: &registryv1.Instance{
			Id: l.service.Name() + "-" + l.service.id, Service: l.service.Name(), Version: l.service.Version(), Address: address,
		},
		Lease: duration,
	})
	l.instance = rsp.GetInstance()
	return err
}

// tell tells the developer what is new.
func (l *lease) tell(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); text != l.told {
		l.told = text
		l.service.tell("%s", text)
	}
}

func (s *Service) tell(format string, args ...any) {
	fmt.Fprintf(s.opts.announce, format+"\n", args...)
}

// leave takes the service out of the registry, so that nobody calls it any more.
func (l *lease) leave(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.cancel()
	l.done.Wait()
	if l.instance == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, joinIn)
	defer cancel()
	_, err := l.api.Deregister(ctx, &registryv1.DeregisterRequest{Service: l.service.Name(), Id: l.instance.GetId()})
	if status.Code(err) == codes.Unavailable {
		return nil // the lease ends by itself
	}
	return err
}

// reachable returns the address at which others reach a service that listens on one: of
// every address of this machine it is the one that it reaches the server from.
func reachable(ctx context.Context, listen, proxy string) (string, error) {
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		return "", fmt.Errorf("%q is no address that a server could call", listen)
	}
	if !at.Addr().IsUnspecified() {
		return listen, nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", proxy) // nothing is sent
	if err != nil {
		return "", err
	}
	defer c.Close()
	own, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return "", errors.New("this machine has no address")
	}
	return netip.AddrPortFrom(own.AddrPort().Addr().Unmap(), at.Port()).String(), nil
}

func (s *Service) setLease(l *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = l
}

func (s *Service) takeLease() *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lease
	s.lease = nil
	return l
}
