package cli

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/micro/v3/cli/resume"
	"github.com/micro/micro/v3/internal/fault"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// followedService is a service whose lines are followed.
type followedService struct {
	*serviceReader

	running bool // somebody reads its lines
}

// followEnd says that no more lines of a service come.
type followEnd struct {
	name string
	err  error
}

// followAll shows the lines that come of all services, also of those that start later,
// until ctx ends. The lines of a service that is killed and run again go on by themselves,
// unless the server was away in between.
func (r *logReader) followAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	there, failed, ended := make(chan string), make(chan error, 1), make(chan followEnd)
	fault.Go(ctx, func() { failed <- r.watchServices(ctx, there) })
	all := map[string]*followedService{}
	for _, s := range r.services {
		all[s.name] = &followedService{serviceReader: s}
	}
	begin := func(name string) {
		f := all[name]
		if f == nil {
			f = &followedService{serviceReader: &serviceReader{name: name, place: resume.At(r.req.GetSince())}}
			all[name] = f
		}
		if f.running {
			return
		}
		f.running = true
		fault.Go(ctx, func() {
			err := r.follow(ctx, f.serviceReader)
			select {
			case ended <- followEnd{name, err}:
			case <-ctx.Done():
			}
		})
	}
	for _, s := range r.services {
		begin(s.name)
	}
	for {
		select {
		case name := <-there:
			begin(name)
		case e := <-ended:
			if all[e.name].running = false; e.err != nil && status.Code(e.err) != codes.NotFound { // which is that it was killed
				return e.err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watchServices hands over the names of the services that there are, again whenever
// something of them changes, until ctx ends. While the server is away it tries again.
func (r *logReader) watchServices(ctx context.Context, there chan<- string) error {
	return r.again(ctx, func(ctx context.Context) (bool, error) {
		began, err := r.watchOnce(ctx, there)
		if err == nil && ctx.Err() == nil { // the server has ended the stream, in order
			err = status.Error(codes.Unavailable, "the stream has ended")
		}
		return began, err
	})
}

// watchOnce watches until the stream ends, and reports whether it began.
func (r *logReader) watchOnce(ctx context.Context, there chan<- string) (began bool, err error) {
	ctx, client, err := r.runtime(ctx)
	if err != nil {
		return false, err
	}
	stream, err := client.Watch(ctx, &runtimev1.WatchRequest{})
	if err != nil {
		return false, err
	}
	err = receive(stream, func(rsp *runtimev1.WatchResponse) error {
		if !began {
			began = true
			r.tell(false)
		}
		if rsp.GetService() == nil {
			return nil
		}
		select {
		case there <- rsp.GetService().GetName():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return began, err
}
