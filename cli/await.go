package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

// autoRollback is the action of a change by which the server gives up a release.
const autoRollback = "automatic rollback"

// awaitRunning is [awaitRunning] with progress. Whoever does not wait to the end is told
// that the service does not end with that.
func (p *progress) awaitRunning(ctx context.Context, client runtimev1.RuntimeClient, name string, release int64) (*runtimev1.Service, error) {
	what := fmt.Sprintf("%s release %d", name, release)
	began := p.now()
	s, err := awaitRunning(ctx, client, name, release, func(reason string) {
		if p.now().Sub(began) > time.Second { // before that it is as usual
			p.update(what + ": " + reason)
		}
	})
	p.update(what)
	if isInterrupted(err) {
		p.note(fmt.Sprintf("the server goes on with release %d: micro status %s", release, name))
	}
	return s, err
}

// awaitRunning returns the service when its release runs. When an instance of it
// ends, or never becomes healthy, it returns why, without waiting for another try. Before
// that starting is called with what one that starts is waited for.
func awaitRunning(ctx context.Context, client runtimev1.RuntimeClient, name string, release int64, starting func(reason string)) (*runtimev1.Service, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Watch(ctx, &runtimev1.WatchRequest{Name: name})
	if err != nil {
		return nil, err
	}
	for {
		rsp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, unwatched(name)
		}
		if err != nil {
			return nil, err
		}
		s := rsp.GetService()
		st := s.GetStatus()
		if c := st.GetChange(); st.GetRelease() != release && c.GetAction() == autoRollback && c.GetBefore().GetRelease() == release {
			return nil, &Error{
				Message: fmt.Sprintf("release %d of %s was rolled back to release %d: %s", release, name, st.GetRelease(), c.GetReason()),
				Hint:    "micro inspect " + name,
				Exit:    ExitError,
			}
		}
		if st.GetRelease() != release {
			return nil, &Error{
				Message: fmt.Sprintf("release %d of %s was replaced by release %d before it ran", release, name, st.GetRelease()),
				Hint:    "micro status " + name,
				Exit:    ExitError,
			}
		}
		if st.GetPhase() == runtimev1.Phase_PHASE_RUNNING {
			return s, nil
		}
		for _, in := range st.GetInstances() {
			switch {
			case in.GetRelease() != release:
			case in.GetPhase() == runtimev1.Phase_PHASE_CRASHED:
				return nil, crashed(s, in)
			case in.GetPhase() == runtimev1.Phase_PHASE_STARTING && in.GetReason() != "":
				starting(in.GetReason())
			}
		}
	}
}

// crashed says why an instance does not run, with what it wrote last.
func crashed(s *runtimev1.Service, in *runtimev1.Instance) error {
	e := &Error{Message: fmt.Sprintf("%s does not run: it %s", s.GetName(), in.GetReason()), Hint: "micro logs " + s.GetName(), Exit: ExitError}
	if path := missingConfig(s, in); path != "" {
		e.Hint = "micro config set " + path + " VALUE"
	}
	for _, l := range in.GetLastLines() {
		e.Details = append(e.Details, "  | "+l)
	}
	if in.GetCause() != "" {
		e.Details = append(e.Details, "  most likely: "+in.GetCause())
	}
	switch serving := s.GetStatus().GetServingRelease(); serving {
	case 0, in.GetRelease():
		e.Message += "; the server goes on trying"
	default:
		e.Message += fmt.Sprintf("; release %d goes on serving", serving)
		if !s.GetRollout().GetKeepTrying() {
			e.Message += fmt.Sprintf(", and release %d is given up if it does not come up soon", in.GetRelease())
		}
	}
	return e
}

// missingConfig returns the path in the configuration at which an instance found
// nothing; empty when it did not end for that.
func missingConfig(s *runtimev1.Service, in *runtimev1.Instance) string {
	for _, v := range s.GetSpec().GetEnv() {
		if path := v.GetConfig(); path != "" && strings.Contains(in.GetReason(), " configuration "+path+", and nothing is there") {
			return path
		}
	}
	return ""
}

// awaitGone returns when a deleted service has ended.
func awaitGone(ctx context.Context, client runtimev1.RuntimeClient, name string) error {
	stream, err := client.Watch(ctx, &runtimev1.WatchRequest{Name: name})
	for err == nil {
		_, err = stream.Recv()
	}
	switch {
	case status.Code(err) == codes.NotFound:
		return nil
	case errors.Is(err, io.EOF):
		return unwatched(name)
	default:
		return err
	}
}

// unwatched says that a server stopped telling of a service, which leaves open what
// became of it.
func unwatched(name string) error {
	return &Error{Message: "the server stopped telling what becomes of " + name, Hint: "micro status " + name, Exit: ExitUnreachable}
}

// receive calls f with each message of a stream, until that ends or f returns an error.
func receive[T any](stream interface{ Recv() (*T, error) }, f func(*T) error) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(m); err != nil {
			return err
		}
	}
}
