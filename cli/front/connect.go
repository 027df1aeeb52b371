package front

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/micro/micro/v3/cli/front/unary"
)

// Transport is what the options of a call say of how the server is reached.
type Transport struct {
	Retries   int    // how often a call that failed on the way is made again
	MaxSize   int    // of a message, in bytes; 0: the default
	Gzip      bool   // compress requests
	WaitReady bool   // wait until the server is there
	Authority string // the name of the server, in place of that in its address
	Via       string // the host:port of an HTTP proxy, which is asked for a tunnel
	ViaUser   *url.Userinfo
}

// DefaultMaxSize is the largest message that is sent or taken when nobody says.
const DefaultMaxSize = unary.MaxAnswer

// maxRetries bounds --retries: what is asked for more often is down.
const maxRetries = 100

// connectOptions say how the server is reached.
func connectOptions() []option {
	return []option{
		{"retries", "", "N", "call again up to N times when the server is unavailable", func(r *Request, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 || n > maxRetries {
				return fmt.Errorf("%q is no number from 0 to %d", v, maxRetries)
			}
			r.Retries, r.Whole = n, true
			return nil
		}},
		{"max-size", "", "SIZE", "the largest message to send or take, for example 200MB (64MiB)", func(r *Request, v string) error {
			n, err := parseMaxSize(v)
			if err != nil {
				return err
			}
			r.MaxSize, r.Whole = n, true
			return nil
		}},
		{"gzip", "", "", "compress the request", func(r *Request, _ string) error {
			r.Gzip, r.Whole = true, true
			return nil
		}},
		{"wait-ready", "", "", "wait until the server is there, up to --timeout (1m)", func(r *Request, _ string) error {
			r.WaitReady, r.Whole = true, true
			return nil
		}},
		{"authority", "", "NAME", "call the server by this name instead of its address", func(r *Request, v string) error {
			if v == "" || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("/?#@", c) }) {
				return fmt.Errorf("%q is no name of a server", v)
			}
			r.Authority, r.Whole = v, true
			return nil
		}},
		{"via", "", "URL", "reach the server through an HTTP proxy, for example http://proxy:3128", func(r *Request, v string) error {
			u, err := parseProxy(v)
			if err != nil {
				return err
			}
			r.Via, r.ViaUser, r.Whole = u.Host, u.User, true
			return nil
		}},
	}
}

// parseProxy reads the address of an HTTP proxy.
func parseProxy(v string) (*url.URL, error) {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || strings.TrimPrefix(u.Path, "/") != "" {
		return nil, errors.New("it has the form http://HOST:PORT") // the text may hold a password
	}
	if u.Port() == "" {
		u.Host += ":80"
	}
	return u, nil
}

// ParseSize reads a number of bytes above 0: 1000, 64KiB, 10MB, 1G.
func ParseSize(v string) (int64, error) {
	bad := fmt.Errorf("%q is no size, such as 10MB or 64MiB", v)
	digits := strings.TrimRight(v, "kKmMgGtTiIbB")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || digits[0] == '+' {
		return 0, bad
	}
	unit := strings.ToLower(v[len(digits):])
	scale, ok := map[string]int64{
		"": 1, "b": 1,
		"k": 1e3, "kb": 1e3, "kib": 1 << 10,
		"m": 1e6, "mb": 1e6, "mib": 1 << 20,
		"g": 1e9, "gb": 1e9, "gib": 1 << 30,
		"t": 1e12, "tb": 1e12, "tib": 1 << 40,
	}[unit]
	if !ok || n > math.MaxInt64/scale {
		return 0, bad
	}
	return n * scale, nil
}

// parseMaxSize reads the size of a message.
func parseMaxSize(v string) (int, error) {
	n, err := ParseSize(v)
	if err == nil && n > math.MaxInt32 {
		return 0, fmt.Errorf("%q is more than 2 GiB, which no message may have", v)
	}
	return int(n), err
}
