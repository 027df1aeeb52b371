package auth

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// ErrTooMany marks a [TooManyError]: there were too many wrong passwords.
var ErrTooMany = errors.New("too many wrong passwords")

// TooManyError says when a password is looked at again.
type TooManyError struct{ Retry time.Duration }

func (e *TooManyError) Error() string { return ErrTooMany.Error() }

// Is makes it an [ErrTooMany].
func (e *TooManyError) Is(target error) bool { return target == ErrTooMany }

// Client is where a password came from.
type Client struct {
	// Address is the client's IP address, with or without a port. Empty: unknown,
	// and then only the account is looked at.
	Address string
	Local   bool // on this machine
}

// network returns what is counted as one client: an IPv4 address, or the network
// of an IPv6 address that one customer has.
func (c Client) network() string {
	ip, err := netip.ParseAddr(c.Address)
	if err != nil {
		port, err := netip.ParseAddrPort(c.Address)
		if err != nil {
			return c.Address
		}
		ip = port.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return c.Address
	}
	return p.String()
}

// allowance is how many wrong passwords are free, and how long it takes until
// there is one more.
type allowance struct {
	burst int
	every time.Duration
}

// Wrong passwords are counted three times. Who guesses at one account from one place
// has ten in a minute; who tries many accounts from one place, one a second. Who
// guesses from many places is held up by the account itself, but its owner is not
// where he has logged in before, and elsewhere waits for seconds, not for the end of
// the attack.
var (
	perAccountAndClient = allowance{burst: 10, every: 6 * time.Second}
	perClient           = allowance{burst: 60, every: time.Second}
	perAccount          = allowance{burst: 60, every: 3 * time.Second}
)

const (
	throttleRows  = 2
	throttleCells = 1 << 13
	knownCells    = 1 << 13
	knownFor      = 30 * 24 * time.Hour
)

// throttle slows guessing at passwords. It holds a fixed amount of memory, however
// many accounts and addresses there are: each counter is the least of two cells that
// a secret hash picks, so that an attacker can neither push counters out nor choose
// whom his guesses are counted for. It forgets with the process. Safe for concurrent
// use.
type throttle struct {
	now  func() time.Time
	seed maphash.Seed

	mu    sync.Mutex
	cells [3][throttleRows][throttleCells]time.Time // when all of it is free again
	known [knownCells]knownClient
}

// knownClient is a place from which an account has logged in.
type knownClient struct {
	hash  uint64
	until time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, seed: maphash.MakeSeed()}
}

// counter is one of those that a password is counted by.
type counter struct {
	allowance
	cells [throttleRows]*time.Time
}

// free returns when all of the counter is free.
func (c counter) free() time.Time {
	at := *c.cells[0]
	for _, cell := range c.cells[1:] {
		if cell.Before(at) {
			at = *cell
		}
	}
	return at
}

// attempt is a password that is being looked at.
type attempt struct {
	throttle *throttle
	counters []counter
	known    uint64
}

// begin counts a password for wrong, or returns a [TooManyError] when it must not be
// looked at. Counting first bounds those that are looked at at once.
func (t *throttle) begin(ns, id string, c Client) (*attempt, error) {
	client := c.network()
	a := &attempt{throttle: t, known: t.hash("known", ns, id, client)}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if k := t.known[a.known%knownCells]; k.hash != a.known || now.After(k.until) || client == "" {
		a.counters = append(a.counters, t.counter(0, perAccount, ns, id))
	}
	if client != "" {
		a.counters = append(a.counters, t.counter(1, perClient, client), t.counter(2, perAccountAndClient, ns, id, client))
	}
	var wait time.Duration
	for _, c := range a.counters {
		full := now.Add(time.Duration(c.burst) * c.every)
		wait = max(wait, c.free().Add(c.every).Sub(full))
	}
	if wait > 0 {
		return nil, &TooManyError{Retry: wait.Truncate(time.Second) + time.Second}
	}
	for _, c := range a.counters {
		for _, cell := range c.cells {
			if cell.Before(now) {
				*cell = now
			}
			*cell = cell.Add(c.every)
		}
	}
	return a, nil
}

// right takes back that the password was counted for wrong, and remembers where it
// came from.
func (a *attempt) right() {
	t := a.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	a.takeBack()
	t.known[a.known%knownCells] = knownClient{a.known, t.now().Add(knownFor)}
}

// unseen takes back that the password was counted for wrong, when nobody has looked
// at it.
func (a *attempt) unseen() {
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	a.takeBack()
}

func (a *attempt) takeBack() {
	for _, c := range a.counters {
		for _, cell := range c.cells {
			*cell = cell.Add(-c.every)
		}
	}
}

func (t *throttle) counter(kind int, al allowance, parts ...string) counter {
	c := counter{allowance: al}
	h := t.hash(append([]string{"count"}, parts...)...)
	for row := range c.cells {
		c.cells[row] = &t.cells[kind][row][h%throttleCells]
		h >>= 32
	}
	return c
}

// hash returns a number that nobody outside the process can know.
func (t *throttle) hash(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	for _, p := range parts {
		_, _ = h.WriteString(p) // never fails
		_ = h.WriteByte(0)      // never fails
	}
	return h.Sum64()
}
