// Package docker runs instances as containers of an engine that has the API of Docker,
// which is Docker and Podman:
//
//	server --- attach ---> engine --- container of an instance, with labels
//	   \                               /
//	    `--- 127.0.0.1 of this machine '
//
// The engine is on this machine, and containers share its network: they are reached on
// loopback as processes are, and reach the server there. Everything else they have of
// their own: files, processes and a user without rights. Images are given to the engine
// through its API, so that it needs no way into the registry of the server.
//
// Containers go on when the server ends; the next one knows them by their labels and
// takes them over. The engine restarts none.
package docker

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// Config says how to open a [Runtime].
type Config struct {
	// Dir is the directory for what the server keeps of containers; it is made when it
	// is not there. Only one runtime uses it at a time.
	Dir string
	// Engine is where the engine is: unix:///PATH or tcp://HOST:PORT, which leads to this
	// machine.
	Engine string
	// OpenImage gives the images to start.
	OpenImage runtime.OpenImage
	// Logger hears of what has no other listener; nil: nobody does.
	Logger *slog.Logger
}

// DefaultEngine is where Docker is, and Podman for those who look for Docker.
const DefaultEngine = "unix:///var/run/docker.sock"

// Runtime is a [runtime.Runtime] of containers.
type Runtime struct {
	*supervisor.Runtime

	engine *engine
}

var (
	_ runtime.Runtime   = (*Runtime)(nil)
	_ runtime.Describer = (*Runtime)(nil)
	_ runtime.Meter     = (*Runtime)(nil)
)

// Open opens the runtime of a directory. It takes over the containers that run of it,
// and removes those that it cannot use any more.
func Open(ctx context.Context, c Config) (*Runtime, error) {
	if c.OpenImage == nil {
		return nil, fmt.Errorf("open runtime %q: want images", c.Dir)
	}
	r := &Runtime{}
	var err error
	r.Runtime, err = supervisor.Open(ctx, supervisor.Config{Dir: c.Dir, Logger: c.Logger, Outlive: true},
		func(p supervisor.Place) (supervisor.Engine, error) {
			r.engine, err = openEngine(ctx, c, p)
			return r.engine, err
		})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// engine is a [supervisor.Engine] of containers.
type engine struct {
	id     string // of the runtime, in a label of its containers
	client *client
	images *images
	memory *supervisor.MemoryWatch
	log    *slog.Logger
	about  string // name and version

	closed chan struct{}
}

var _ supervisor.Engine = (*engine)(nil)

// callTime bounds a call to the engine that nobody waits for.
const callTime = 30 * time.Second

func openEngine(ctx context.Context, c Config, p supervisor.Place) (*engine, error) {
	client, err := newClient(c.Engine)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	about, err := client.version(ctx)
	if err != nil {
		return nil, fmt.Errorf("engine at %s: %w", c.Engine, err)
	}
	e := &engine{id: p.ID, client: client, about: about, memory: &supervisor.MemoryWatch{}, log: p.Logger, closed: make(chan struct{})}
	e.images = &images{
		client:  client,
		staging: p.Staging,
		name:    "localhost/micro-" + strings.ToLower(p.ID),
		open:    c.OpenImage,
		log:     p.Logger,
		uses:    map[string]*image{},
	}
	return e, nil
}

// version returns what an engine says it is.
func (c *client) version(ctx context.Context) (string, error) {
	var is struct {
		Version    string
		Os         string
		Components []struct{ Name, Version string }
	}
	if err := c.call(ctx, http.MethodGet, "/version", nil, nil, &is); err != nil {
		return "", err
	}
	if is.Os != "linux" {
		return "", fmt.Errorf("it runs containers of %q, want linux", is.Os)
	}
	name := "Docker"
	if len(is.Components) > 0 && strings.Contains(is.Components[0].Name, "Podman") {
		name = "Podman"
	}
	return name + " " + is.Version, nil
}

// Image implements [supervisor.Engine].
func (e *engine) Image(ctx context.Context, ref string) (supervisor.Image, error) {
	img, err := e.images.acquire(ctx, ref)
	if err != nil {
		return nil, err
	}
	return img, nil
}

// Adopt implements [supervisor.Engine]. What the engine does not have any more is
// loaded by the next start.
func (e *engine) Adopt(key string) supervisor.Image {
	if key == "" {
		return nil
	}
	return e.images.use(key)
}

// TakeOver implements [supervisor.Engine]: it takes over all that was started, whether
// it still runs or not.
func (e *engine) TakeOver(ctx context.Context, left []supervisor.Left) (map[string]supervisor.Process, error) {
	all, err := e.client.list(ctx, runtimeLabel+"="+e.id)
	if err != nil {
		return nil, err
	}
	known := map[string]supervisor.Left{}
	for _, in := range left {
		if id := readMark(in.Mark); id != "" {
			known[id] = in
		}
	}
	found := map[string]supervisor.Process{}
	for _, c := range all {
		in, ok := known[c.ID]
		if ok && c.State != "created" && c.State != "configured" { // which Podman says
			found[in.ID] = &process{engine: e, id: c.ID, output: in.Output, adopted: true}
			continue
		}
		if err := e.client.remove(ctx, c.ID); err != nil {
			e.log.Warn("a container of no more use stays", "container", c.ID, "err", err)
		}
	}
	return found, e.images.clean(ctx)
}

// Forget implements [supervisor.Engine].
func (e *engine) Forget(string) {}

// Close implements [supervisor.Engine].
func (e *engine) Close() error {
	close(e.closed)
	e.client.http.CloseIdleConnections()
	return nil
}

// untilClosed returns a context that ends with the engine.
func (e *engine) untilClosed() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-e.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Describe implements [runtime.Describer].
func (r *Runtime) Describe() runtime.Description {
	d := runtime.Description{
		Kind: "containers of " + r.engine.about,
		Can: []string{
			"their use of processors, memory and number of processes can be bounded",
			"they see no files or processes of the server or of each other",
			"they go on while the server is down",
		},
	}
	if !r.engine.endsCommands() {
		d.Cannot = []string{"a command that takes too long may go on until its container ends: the server has no right to end it"}
	}
	return d
}

// Usage implements [runtime.Meter].
func (r *Runtime) Usage(ctx context.Context) ([]runtime.Usage, error) {
	var list []runtime.Usage
	for p, in := range r.Running() {
		c, _ := p.(*process)
		cpu, memory, err := r.engine.client.stats(ctx, c.id)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && memory > 0: // else it is about to end
			list = append(list, runtime.Usage{ID: in.ID, Namespace: in.Namespace, Service: in.Service, CPU: cpu, Memory: memory})
		case err != nil && !isRefusal(err):
			return nil, err
		}
	}
	return list, nil
}
