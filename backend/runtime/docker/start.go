package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/micro/micro/v3/backend/runtime/supervisor"
)

// The labels of containers. Those of the runtime are how it knows its own again, the
// others are for people.
const (
	runtimeLabel   = "micro.runtime"
	instanceLabel  = "micro.instance"
	namespaceLabel = "micro.namespace"
	serviceLabel   = "micro.service"
	releaseLabel   = "micro.release"
)

// Where things are in a container.
const (
	identityFile = "/run/micro/identity"
	homeDir      = "/run/micro/home"
	tempDir      = "/tmp"
	defaultPath  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// user is who programs are in a container, whatever the image says: it is nobody's.
const user = 65532

// mark is what is kept of a container to know it again.
type mark struct {
	Container string `json:"container"`
}

// readMark returns the container of a mark, empty when it cannot be read.
func readMark(text json.RawMessage) string {
	var m mark
	if len(text) == 0 || json.Unmarshal(text, &m) != nil {
		return ""
	}
	return m.Container
}

// Start implements [supervisor.Engine].
func (e *engine) Start(ctx context.Context, s supervisor.Start) (_ supervisor.Started, err error) {
	img, _ := s.Of.(*image)
	argv := img.command(s.Args)
	if len(argv) == 0 || argv[0] == "" {
		return supervisor.Started{}, supervisor.Refuse("it does not say which program to start")
	}
	if err := checkText(s); err != nil {
		return supervisor.Started{}, err
	}
	p := &process{engine: e, output: s.Output}
	defer func() {
		if err != nil {
			e.discardOf(s.ID)
		}
	}()
	name := strings.Join([]string{"micro", s.Namespace, s.Service, s.ID, strings.ToLower(rand.Text()[:8])}, ".")
	longer, cancel := outlast(ctx)
	defer cancel()
	if p.id, err = e.client.create(longer, name, e.spec(s, img, argv)); err != nil {
		return supervisor.Started{}, fmt.Errorf("create container: %w", err)
	}
	if _, err := img.program(ctx, p.id, argv[0]); err != nil {
		return supervisor.Started{}, err
	}
	if err := e.client.put(ctx, p.id, ownFiles(s.Identity)); err != nil {
		return supervisor.Started{}, fmt.Errorf("put files into the container: %w", err)
	}
	if p.streams, err = e.client.attach(ctx, p.id); err != nil {
		return supervisor.Started{}, fmt.Errorf("attach to the container: %w", err)
	}
	p.memoryKills = supervisor.MemoryKills()
	if err := e.client.start(ctx, p.id); err != nil {
		return supervisor.Started{}, errors.Join(fmt.Errorf("start container: %w", err), p.streams.Close())
	}
	kept, err := json.Marshal(mark{p.id})
	return supervisor.Started{Process: p, Mark: kept}, err
}

// discardOf removes the containers of an instance that could not be started. The engine
// may have made one although it could not say so any more.
func (e *engine) discardOf(instance string) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	all, err := e.client.list(ctx, instanceLabel+"="+instance)
	for _, c := range all {
		if c.Labels[runtimeLabel] == e.id {
			err = errors.Join(err, e.client.remove(ctx, c.ID))
		}
	}
	if err != nil {
		e.log.Warn("a container of no more use stays until the next start of the server", "instance", instance, "err", err)
	}
}

// command returns what an image starts. Arguments take the place of its own.
func (img *image) command(args []string) []string {
	if len(args) == 0 {
		args = img.config.Cmd
	}
	return slices.Concat(img.config.Entrypoint, args)
}

// workingDir returns where the program is started: where the image says, or in a folder
// that it may write to when that says nothing of use.
func (img *image) workingDir() string {
	if dir := img.config.WorkingDir; dir != "" && path.Clean(dir) != "/" {
		return dir
	}
	return homeDir
}

// checkText refuses what the API would not pass on as it is.
func checkText(s supervisor.Start) error {
	for i, arg := range s.Args {
		if !utf8.ValidString(arg) {
			return fmt.Errorf("argument %d is no UTF-8, and an engine takes nothing else", i+1)
		}
	}
	for name, value := range s.Env {
		if !utf8.ValidString(name + value) {
			return fmt.Errorf("environment variable %q is no UTF-8, and an engine takes nothing else", name)
		}
	}
	return nil
}

// defaultProcesses is what an instance may have that has no bound of its own.
const defaultProcesses = 4096

// spec returns the container of an instance.
func (e *engine) spec(s supervisor.Start, img *image, argv []string) containerSpec {
	return containerSpec{
		Image:      img.ref(),
		Entrypoint: argv[:1],
		Cmd:        argv[1:],
		Env:        environment(s, img),
		WorkingDir: img.workingDir(),
		User:       fmt.Sprintf("%d:%d", user, user),
		Labels: map[string]string{
			runtimeLabel:   e.id,
			instanceLabel:  s.ID,
			namespaceLabel: s.Namespace,
			serviceLabel:   s.Service,
			releaseLabel:   strconv.FormatInt(s.Release, 10),
		},
		AttachStdout: true,
		AttachStderr: true,
		HostConfig: hostConfig{
			NetworkMode: "host",
			Init:        true,
			Memory:      s.Resources.Memory,
			MemorySwap:  s.Resources.Memory, // none on top
			NanoCpus:    s.Resources.CPU * 1_000_000,
			CapDrop:     []string{"ALL"},
			SecurityOpt: []string{"no-new-privileges"},
			// And the one that passes signals on.
			PidsLimit: cmp.Or(s.Resources.Processes, defaultProcesses) + 1,
			// What is written while no server listens comes from there.
			LogConfig: logConfig{Type: "json-file", Config: map[string]string{"max-size": "10m"}},
		},
	}
}

// environment returns all that a program sees, but for what the engine adds.
func environment(s supervisor.Start, img *image) []string {
	vars := map[string]string{"PATH": defaultPath}
	for _, variable := range img.config.Env {
		if name, value, ok := strings.Cut(variable, "="); ok && name != "" {
			vars[name] = value
		}
	}
	vars["HOME"], vars["TMPDIR"] = homeDir, tempDir
	maps.Copy(vars, s.Env)
	vars["PORT"] = strconv.Itoa(s.Port)
	vars["MICRO_ADDRESS"] = net.JoinHostPort(supervisor.Host, vars["PORT"])
	vars["MICRO_IDENTITY_FILE"] = identityFile
	env := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, name+"="+vars[name])
	}
	return env
}

// searchPath returns where an image looks for programs.
func searchPath(config imageConfig) string {
	for _, variable := range config.Env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			return value
		}
	}
	return defaultPath
}

// ownFiles returns an archive of what a program finds in its container.
func ownFiles(identity []byte) []byte {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		tar.Header
		content []byte
	}{
		{tar.Header{Name: path.Dir(identityFile)[1:] + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil},
		{tar.Header{Name: identityFile[1:], Mode: 0o400, Uid: user, Gid: user, Size: int64(len(identity))}, identity},
		{tar.Header{Name: homeDir[1:] + "/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: user, Gid: user}, nil},
		{tar.Header{Name: tempDir[1:] + "/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil},
	} {
		_ = w.WriteHeader(&f.Header) // a buffer takes everything
		_, _ = w.Write(f.content)
	}
	_ = w.Close()
	return archive.Bytes()
}
