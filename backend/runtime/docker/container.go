package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/micro/micro/v3/backend/runtime"
)

// containerSpec is what a container is made of, in the API's words.
type containerSpec struct {
	Image        string
	Entrypoint   []string
	Cmd          []string
	Env          []string
	WorkingDir   string `json:",omitempty"`
	User         string `json:",omitempty"`
	Labels       map[string]string
	AttachStdout bool
	AttachStderr bool
	HostConfig   hostConfig
}

// hostConfig is what a container has of its machine.
type hostConfig struct {
	NetworkMode    string            `json:",omitempty"`
	Init           bool              // who takes notice of orphans, and passes signals on
	Memory         int64             `json:",omitempty"` // bytes
	MemorySwap     int64             `json:",omitempty"` // with swap
	NanoCpus       int64             `json:",omitempty"`
	PidsLimit      int64             `json:",omitempty"`
	CapDrop        []string          `json:",omitempty"`
	SecurityOpt    []string          `json:",omitempty"`
	ReadonlyRootfs bool              `json:",omitempty"`
	Tmpfs          map[string]string `json:",omitempty"`
	Ulimits        []ulimit          `json:",omitempty"`
	LogConfig      logConfig
}

type ulimit struct {
	Name string
	Soft int64
	Hard int64
}

type logConfig struct {
	Type   string            `json:",omitempty"`
	Config map[string]string `json:",omitempty"`
}

// state is what the engine says of a container.
type state struct {
	Running    bool
	ExitCode   int
	OOMKilled  bool
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
}

// container is one of a list.
type container struct {
	ID     string `json:"Id"`
	State  string
	Labels map[string]string
}

func (c *client) create(ctx context.Context, name string, spec containerSpec) (id string, err error) {
	var made struct {
		ID string `json:"Id"`
	}
	err = c.call(ctx, http.MethodPost, "/containers/create", url.Values{"name": {name}}, spec, &made)
	return made.ID, err
}

func (c *client) start(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/containers/"+url.PathEscape(id)+"/start", nil, nil, nil)
}

// kill sends a signal. A container that does not run is no error.
func (c *client) kill(ctx context.Context, id, signal string) error {
	err := c.call(ctx, http.MethodPost, "/containers/"+url.PathEscape(id)+"/kill", url.Values{"signal": {signal}}, nil, nil)
	if !isRefusal(err) {
		return err
	}
	// Engines refuse with various statuses.
	if is, lookErr := c.inspect(ctx, id); lookErr == nil && !is.Running || isNotFound(lookErr) {
		return nil
	}
	return err
}

// remove kills a container and removes it. An unknown one is no error.
func (c *client) remove(ctx context.Context, id string) error {
	err := c.call(ctx, http.MethodDelete, "/containers/"+url.PathEscape(id), url.Values{"force": {"true"}, "v": {"true"}}, nil, nil)
	if isNotFound(err) {
		return nil
	}
	return err
}

// wait returns when a container does not run.
func (c *client) wait(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/containers/"+url.PathEscape(id)+"/wait", url.Values{"condition": {"not-running"}}, nil, nil)
}

func (c *client) inspect(ctx context.Context, id string) (state, error) {
	var is struct{ State state }
	err := c.call(ctx, http.MethodGet, "/containers/"+url.PathEscape(id)+"/json", nil, nil, &is)
	return is.State, err
}

// list returns the containers that have a label, those that do not run too.
func (c *client) list(ctx context.Context, label string) ([]container, error) {
	var all []container
	filter := url.Values{"all": {"true"}, "filters": {`{"label":[` + strconv.Quote(label) + `]}`}}
	err := c.call(ctx, http.MethodGet, "/containers/json", filter, nil, &all)
	return all, err
}

// put unpacks an archive into a container that has not been started, with the owners
// that it names.
func (c *client) put(ctx context.Context, id string, archive []byte) error {
	query := url.Values{"path": {"/"}, "copyUIDGID": {"true"}}
	return c.call(ctx, http.MethodPut, "/containers/"+url.PathEscape(id)+"/archive", query, io.Reader(bytes.NewReader(archive)), nil)
}

// stats returns what a container has used: of all processors together, and bytes now.
func (c *client) stats(ctx context.Context, id string) (cpu time.Duration, memory int64, err error) {
	var is struct {
		CPU struct {
			Usage struct {
				Total int64 `json:"total_usage"` // nanoseconds
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
		Memory struct {
			Usage int64 `json:"usage"`
		} `json:"memory_stats"`
	}
	err = c.call(ctx, http.MethodGet, "/containers/"+url.PathEscape(id)+"/stats", url.Values{"stream": {"false"}, "one-shot": {"true"}}, nil, &is)
	return time.Duration(is.CPU.Usage.Total), is.Memory.Usage, err
}

// attach returns the streams of a container from now on, as frames: see [frames]. It is
// called before the container is started, so that nothing is missed. The caller closes
// it.
func (c *client) attach(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.hijack(ctx, "/containers/"+url.PathEscape(id)+"/attach?stream=1&stdout=1&stderr=1", nil)
}

// hijack makes a request whose connection becomes a stream.
func (c *client) hijack(ctx context.Context, path string, body []byte) (_ io.ReadCloser, err error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		stop()
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	rsp, err := http.ReadResponse(r, req) //nolint:bodyclose // the connection is the body
	if err != nil {
		return nil, err
	}
	if rsp.StatusCode >= http.StatusBadRequest {
		return nil, refusalOf(rsp)
	}
	return &stream{r, conn}, nil
}

// stream is a connection of which some has been read.
type stream struct {
	io.Reader
	net.Conn
}

func (s *stream) Read(b []byte) (int, error) { return s.Reader.Read(b) }

// maxFrame bounds what an engine sends as one.
const maxFrame = 16 << 20

// frames copies the two streams that are in one, and returns nil at its end.
func frames(r io.Reader, stdout, stderr io.Writer) error {
	return eachFrame(r, func(stream runtime.Stream, frame io.Reader) error {
		to := stdout
		if stream == runtime.Stderr {
			to = stderr
		}
		_, err := io.Copy(to, frame)
		return err
	})
}

// eachFrame calls do with each frame of r, which reads it to its end. A frame is behind
// a header of eight bytes: the stream, and the length in the last four. It returns nil
// at the end of r.
func eachFrame(r io.Reader, do func(stream runtime.Stream, frame io.Reader) error) error {
	var header [8]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		stream := runtime.Stdout
		switch header[0] {
		case 1:
		case 2:
			stream = runtime.Stderr
		default:
			return fmt.Errorf("the engine sends a frame of stream %d", header[0])
		}
		n := binary.BigEndian.Uint32(header[4:])
		if n > maxFrame {
			return fmt.Errorf("the engine sends a frame of %d bytes", n)
		}
		frame := &io.LimitedReader{R: r, N: int64(n)}
		if err := do(stream, frame); err != nil {
			return err
		}
		if frame.N > 0 {
			return io.ErrUnexpectedEOF
		}
	}
}
