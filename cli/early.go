package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"

	"github.com/micro/micro/v3/cli/front/unary"
)

// grpc-go makes no call before it has the settings of the server, which is a round trip
// for nothing: a client may speak at once (RFC 9113, 3.4). earlyCreds gives it empty
// settings as soon as there is a connection, and keeps its acknowledgement of them from
// the server, whose own settings follow as any later ones would.
type earlyCreds struct {
	credentials.TransportCredentials
}

// ClientHandshake makes the connection one that need not be heard first.
func (c earlyCreds) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	// How long a server may be silent grpc-go does not say any more.
	if err := conn.SetReadDeadline(time.Now().Add(connectTimeout)); err != nil {
		return nil, nil, err
	}
	return newEarlyConn(conn), info, nil
}

// Clone returns a copy.
func (c earlyCreds) Clone() credentials.TransportCredentials {
	return earlyCreds{c.TransportCredentials.Clone()}
}

const frameHeaderSize = 9 // RFC 9113, 4.1

// settingsFrame returns an empty frame of settings.
func settingsFrame(flags http2.Flags) []byte {
	return []byte{0, 0, 0, byte(http2.FrameSettings), byte(flags), 0, 0, 0, 0}
}

// earlyConn is a connection on which settings come before those of the server.
type earlyConn struct {
	net.Conn

	// Of the reader.
	unread []byte // what is read before more comes from the server

	greeted chan struct{} // closed when the server has begun, or will not
	refusal error         // why it will not; nil: it has begun

	closed chan struct{}
	close  sync.Once

	// Of the writer, until the acknowledgement has come.
	acked bool
	left  int    // bytes until the next frame
	head  []byte // its header as far as it is there
}

func newEarlyConn(conn net.Conn) *earlyConn {
	return &earlyConn{Conn: conn, unread: settingsFrame(0), greeted: make(chan struct{}), closed: make(chan struct{}), left: len(http2.ClientPreface)}
}

// Close closes the connection.
func (c *earlyConn) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		select {
		case <-c.greeted:
		default:
			c.unread, c.refusal = c.greeting()
			close(c.greeted)
		}
		if c.refusal != nil {
			return 0, c.refusal
		}
	}
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// greeting reads how the server begins.
func (c *earlyConn) greeting() ([]byte, error) {
	first := make([]byte, frameHeaderSize)
	n, err := io.ReadFull(c.Conn, first)
	if reason := unary.Greeting(first[:n]); reason != "" {
		return nil, errors.New(reason)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("the server has said nothing for %s", connectTimeout)
	case err != nil:
		return nil, err
	}
	return first, c.SetReadDeadline(time.Time{})
}

func (c *earlyConn) Write(p []byte) (n int, err error) {
	if c.acked {
		return c.Conn.Write(p)
	}
	if _, err = c.Conn.Write(c.withoutAck(p)); err == nil {
		return len(p), nil
	}
	// A server that does not want to hear more may have said why.
	select {
	case <-c.greeted:
		if c.refusal != nil {
			err = c.refusal
		}
	case <-c.closed:
	}
	return 0, err
}

// withoutAck returns what is to be written of p, without the first acknowledgement of
// settings. The header of a frame is kept back until it is whole.
func (c *earlyConn) withoutAck(p []byte) []byte {
	var out []byte
	for len(p) > 0 && !c.acked {
		if c.left > 0 {
			n := min(c.left, len(p))
			out, p, c.left = append(out, p[:n]...), p[n:], c.left-n
			continue
		}
		n := min(frameHeaderSize-len(c.head), len(p))
		c.head, p = append(c.head, p[:n]...), p[n:]
		if len(c.head) < frameHeaderSize {
			break
		}
		if string(c.head) == string(settingsFrame(http2.FlagSettingsAck)) {
			c.acked = true
			break
		}
		out = append(out, c.head...)
		c.left, c.head = int(c.head[0])<<16|int(c.head[1])<<8|int(c.head[2]), c.head[:0]
	}
	return append(out, p...)
}
