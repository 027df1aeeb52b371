package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/cli/resume"
	"github.com/micro/micro/v3/cli/tui"
	"github.com/micro/micro/v3/generator"
	"github.com/micro/micro/v3/internal/fault"
	runtimev1 "github.com/micro/micro/v3/proto/micro/runtime/v1"
)

type devOptions struct {
	file  string
	keep  bool
	plain bool
}

func newDevCmd(app *App) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev [DIR]...",
		Short: "Run services from source, again after each change",
		Long: `Run the services of directories, or those that a file declares, and build and replace
them whenever their source is saved. What they write follows in the same terminal. A
change of a .proto file runs "micro gen" first. Ctrl-C ends it and stops the services
that it has begun; those that ran before go on.

A source that does not compile, or a program that does not come up, is told of, and
the version before goes on serving. Only files that the program is made of count; those
that .gitignore and .microignore name never do.

On a terminal it takes the whole screen: how each service does is above, with what the
compiler says of it, and what they write below. Scrolling up stays there and counts what
comes, End follows again, / shows only what matches, ? says what keys do. The lines stay
in the terminal at the end.

` + fileSetHelp,
		Example: `  micro dev
  micro dev orders billing
  micro dev -f services.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, app, args) },
	}
	fileFlag(cmd, &o.file)
	plainFlag(cmd, &o.plain)
	cmd.Flags().BoolVar(&o.keep, "keep", false, "leave the services running at the end")
	return cmd
}

func (o *devOptions) run(cmd *cobra.Command, app *App, args []string) error {
	d := &dev{app: app, root: cmd.Root(), err: app.Err, building: make(chan struct{}, 1)}
	var err error
	switch {
	case o.file == "-" || o.file != "" && len(args) > 0:
		return usage("micro dev --help", "what to run is either DIR or -f with a file")
	case o.file != "":
		err = d.addFile(o.file)
	case len(args) == 0:
		args = []string{"."}
	}
	for _, dir := range args {
		if err == nil {
			err = d.addDir(dir)
		}
	}
	defer d.close()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if _, err := app.Token(ctx); err != nil {
		return err
	}
	if err := app.mayChange(); err != nil {
		return err
	}
	if _, err := app.Conn(); err != nil { // made once, before several need it
		return err
	}
	if err := d.work(ctx, o.plain); err != nil {
		return err
	}
	return d.end(ctx, o.keep)
}

// work tends all services until ctx ends, or somebody quits the screen.
func (d *dev) work(ctx context.Context, plain bool) error {
	o, req := &logsOptions{out: asTable}, &runtimev1.LogsRequest{Follow: true}
	if !d.app.mayFollow(plain) {
		p := newLogPrinter(d.app, o, len(d.services))
		d.logs = &logReader{app: d.app, req: req, print: p.print, flush: p.flush, notes: d.app.Err}
		d.tendAll(ctx)
		return nil
	}
	err := d.app.follow(ctx, "dev", false, func(ctx context.Context, out *tui.Output) error {
		d.screen, d.err, d.logs = out, out, newScreenReader(d.app, o, out, len(d.services), req)
		d.tendAll(ctx)
		return nil
	})
	d.screen, d.err = nil, d.app.Err
	if isInterrupted(err) || errors.Is(err, tui.ErrInterrupted) { // which is how it ends
		return nil
	}
	return err
}

// tendAll returns when all that it began has ended.
func (d *dev) tendAll(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range d.services {
		all.Go(fault.Guard(ctx, func() { s.watch.run(ctx, s.changed, func(err error) { d.fail(s, err) }) }))
		all.Go(fault.Guard(ctx, func() { d.tend(ctx, s) }))
	}
	all.Wait()
	d.follows.Wait()
}

// dev runs services from source while somebody works on them.
type dev struct {
	app      *App
	root     *cobra.Command
	services []*devService
	building chan struct{} // holds a token while one is built: they share the machine
	logs     *logReader
	follows  sync.WaitGroup
	gens     sync.Mutex // held while code is made: services may share a directory

	mu     sync.Mutex  // of what is written to err, and of names
	err    io.Writer   // what is not written by a service goes there
	screen *tui.Output // where it is shown how services do; nil: there is no screen
}

// devService is a service that is worked on. Its fields belong to tend while that runs.
type devService struct {
	place   string // what it is made of, for people
	watch   *sourceWatch
	changed chan struct{}
	// request builds and pushes it, and returns how it should run.
	request func(ctx context.Context, p *progress) (*runtimev1.ApplyRequest, error)

	name    string // empty: not known yet
	existed bool   // it ran before
	applied bool   // it may have been changed here
	release int64  // the last one that was made here
}

func (d *dev) add(place, dir string, request func(context.Context, *progress) (*runtimev1.ApplyRequest, error), files ...string) error {
	w, err := watchSource(dir, files...)
	if err != nil {
		return err
	}
	s := &devService{place: place, watch: w, request: request, changed: make(chan struct{}, 1)}
	w.gen = func(ctx context.Context, dir string) error { return d.gen(ctx, s, dir) }
	d.services = append(d.services, s)
	return nil
}

func (d *dev) addDir(dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return usage("micro dev --help", "%q is no directory", dir)
	}
	if err := d.app.pinEnv(dir); err != nil {
		return err
	}
	return d.add(dir, dir, func(ctx context.Context, p *progress) (*runtimev1.ApplyRequest, error) {
		var o runOptions
		return o.fromSource(ctx, d.root, d.app, p, dir)
	})
}

// addFile adds the services that a file or directory declares.
func (d *dev) addFile(path string) error {
	set, err := d.app.readFiles(d.root, "micro dev", path)
	if err != nil {
		return err
	}
	if err := d.app.pinSet(set); err != nil {
		return err
	}
	for _, s := range set.services {
		if !isLocalSource(s.source) {
			return usage("micro apply -f "+path, "%s has no directory as its source, and nothing to work on", s.Name)
		}
		file, err := filepath.Abs(s.file)
		if err != nil {
			return err
		}
		if err := d.add(s.Name, s.source, d.declared(path, s.Name), file); err != nil {
			return err
		}
	}
	return nil
}

// declared returns how a service of a file is made, as the file is then.
func (d *dev) declared(path, name string) func(context.Context, *progress) (*runtimev1.ApplyRequest, error) {
	return func(ctx context.Context, p *progress) (*runtimev1.ApplyRequest, error) {
		set, err := d.app.readFiles(d.root, "micro dev", path)
		if err != nil {
			return nil, err
		}
		for _, s := range set.services {
			if s.Name != name {
				continue
			}
			one := &planned{declared: s}
			defer closeAll([]*planned{one})
			if err := one.build(ctx, d.app, p); err != nil {
				return nil, err
			}
			return &runtimev1.ApplyRequest{
				Name: name, Spec: one.want.GetSpec(), Instances: s.Instances, Rollout: s.rollout(), Set: set.name,
			}, one.content.push(ctx)
		}
		return nil, &Error{Message: path + " does not declare it any more", Exit: ExitError}
	}
}

// gen makes the code of the .proto files below a directory.
func (d *dev) gen(ctx context.Context, s *devService, dir string) error {
	d.gens.Lock()
	defer d.gens.Unlock()
	made, err := generator.Gen(ctx, dir)
	for _, name := range made.Written {
		d.say(s, tui.Busy, name+" is made anew")
	}
	return explainGen(err)
}

// tend makes a service and makes it again after each change. A change while it is made
// ends that: never are two made at once.
func (d *dev) tend(ctx context.Context, s *devService) {
	for {
		turn, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		fault.Go(ctx, func() {
			defer close(done)
			if err := d.turn(turn, ctx, s); err != nil && turn.Err() == nil {
				d.fail(s, err)
			}
		})
		select {
		case <-s.changed:
			cancel()
			<-done
			continue
		case <-done:
		}
		cancel()
		select {
		case <-s.changed:
		case <-ctx.Done():
			return
		}
	}
}

// turn makes a service once, and returns when it runs. Its lines are followed until all
// ends.
func (d *dev) turn(ctx, all context.Context, s *devService) error {
	began := d.app.Now()
	d.say(s, tui.Busy, "building")
	rsp, err := d.deploy(ctx, s)
	if err != nil {
		if ctx.Err() == nil {
			s.watch.forget()
		}
		return err
	}
	now := rsp.GetService()
	if s.release == 0 {
		d.follow(all, s, rsp)
	}
	s.release = now.GetStatus().GetRelease()
	defer s.watch.know(ctx)
	callCtx, client, err := d.app.runtime(ctx)
	if err != nil {
		return err
	}
	d.show(s, tui.Busy, fmt.Sprintf("starting release %d", s.release))
	starting := func(reason string) { d.show(s, tui.Busy, fmt.Sprintf("starting release %d: %s", s.release, reason)) }
	running, err := awaitRunning(callCtx, client, s.name, s.release, starting)
	if err != nil {
		return err
	}
	d.app.addServices(running)
	if rsp.GetChange() == nil {
		d.say(s, tui.Well, "nothing differs")
		return nil
	}
	d.say(s, tui.Well, fmt.Sprintf("release %d runs, after %s", s.release, d.app.Now().Sub(began).Round(10*time.Millisecond)))
	return nil
}

// deploy builds a service and has it run.
func (d *dev) deploy(ctx context.Context, s *devService) (*runtimev1.ApplyResponse, error) {
	select {
	case d.building <- struct{}{}:
		defer func() { <-d.building }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p := &progress{w: d.err, quiet: true, now: d.app.Now, told: func(step, detail string) { d.show(s, tui.Busy, step+" "+detail) }}
	req, err := s.request(ctx, p)
	if err != nil {
		return nil, explainBuild(err)
	}
	ctx, client, err := d.app.runtime(ctx)
	if err != nil {
		return nil, err
	}
	if !s.applied {
		d.mu.Lock()
		s.name = req.GetName()
		d.mu.Unlock()
		_, err := client.Get(ctx, &runtimev1.GetRequest{Name: s.name})
		if s.existed = err == nil; !s.existed && status.Code(err) != codes.NotFound {
			return nil, err
		}
		s.applied = true
	}
	return client.Apply(ctx, req)
}

// follow shows what the service writes from then on.
func (d *dev) follow(ctx context.Context, s *devService, rsp *runtimev1.ApplyResponse) {
	since := rsp.GetChange().GetTime()
	if since == nil { // it ran and nothing differs
		since = timestamppb.New(d.app.Now())
	}
	reader := &serviceReader{name: s.name, place: resume.At(since)}
	d.follows.Go(fault.Guard(ctx, func() {
		if err := d.logs.follow(ctx, reader); err != nil && ctx.Err() == nil {
			d.fail(s, err)
		}
	}))
}

// end stops what was begun, and says what goes on. A second interrupt leaves the rest.
func (d *dev) end(ctx context.Context, keep bool) error {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt)
	defer stop()
	callCtx, client, err := d.app.runtime(ctx)
	if err != nil {
		return err
	}
	for _, s := range d.services {
		if !s.applied {
			continue
		}
		rsp, err := client.Get(callCtx, &runtimev1.GetRequest{Name: s.name})
		if status.Code(err) == codes.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		release := rsp.GetService().GetStatus().GetRelease()
		switch {
		case keep || s.existed:
			d.say(s, tui.Well, fmt.Sprintf("goes on running (release %d)", release))
		case s.release != 0 && release > s.release && rsp.GetService().GetStatus().GetChange().GetAction() != autoRollback:
			d.say(s, tui.Well, fmt.Sprintf("was changed by somebody else and goes on running (release %d)", release))
		default:
			if err := d.app.kill(callCtx, client, s.name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *dev) close() {
	for _, s := range d.services {
		s.watch.close()
	}
}
