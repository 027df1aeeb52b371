package auth

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// ErrTooMany marks a [TooManyError]: there was too much of something, such as wrong
// passwords.
var ErrTooMany = errors.New("too many")

// TooManyError says of what there was too much, and when it is looked at again.
type TooManyError struct {
	Of    string
	Retry time.Duration
}

func (e *TooManyError) Error() string { return "too many " + e.Of }

// Is makes it an [ErrTooMany].
func (e *TooManyError) Is(target error) bool { return target == ErrTooMany }

// Client is where a password, or a wish, came from.
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

// Namespaces that are made from one place, and codes that are sent by mail: to a mailbox,
// for one place, and in all, since the mail server is not there for us alone.
var (
	signupsPerClient = allowance{burst: 60, every: 10 * time.Second}
	codesPerMailbox  = allowance{burst: 3, every: 5 * time.Minute}
	codesPerClient   = allowance{burst: 20, every: time.Minute}
	codesInAll       = allowance{burst: 300, every: 2 * time.Second}
)

// The kinds of counters; each has cells of its own.
const (
	kindAccount = iota
	kindClient
	kindAccountAndClient
	kindSignup
	kindCodeMailbox
	kindCodeClient
	kindCodes
	kinds
)

const (
	throttleRows  = 2
	throttleCells = 1 << 13
	knownCells    = 1 << 13
	knownFor      = 30 * 24 * time.Hour
)

// throttle slows guessing at passwords, and what else strangers can do. It holds a fixed amount of memory, however
// many accounts and addresses there are: each counter is the least of two cells that
// a secret hash picks, so that an attacker can neither push counters out nor choose
// whom his guesses are counted for. It forgets with the process. Safe for concurrent
// use.
type throttle struct {
	now   func() time.Time
	began time.Time
	seed  maphash.Seed

	mu sync.Mutex
	// Times are since began, which takes a third of the memory of a [time.Time], and
	// the collector has nothing to look for in it.
	cells [kinds][throttleRows][throttleCells]time.Duration // when all of it is free again
	known [knownCells]knownClient
}

// knownClient is a place from which an account has logged in.
type knownClient struct {
	hash  uint64
	until time.Duration
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, began: now(), seed: maphash.MakeSeed()}
}

// elapsed returns how long it is since the throttle began.
func (t *throttle) elapsed() time.Duration { return t.now().Sub(t.began) }

// counter is one of those that a password is counted by.
type counter struct {
	allowance
	cells [throttleRows]*time.Duration
}

// free returns when all of the counter is free.
func (c counter) free() time.Duration {
	at := *c.cells[0]
	for _, cell := range c.cells[1:] {
		at = min(at, *cell)
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
	if k := t.known[a.known%knownCells]; k.hash != a.known || t.elapsed() > k.until || client == "" {
		a.counters = append(a.counters, t.counter(kindAccount, perAccount, ns, id))
	}
	if client != "" {
		a.counters = append(a.counters,
			t.counter(kindClient, perClient, client),
			t.counter(kindAccountAndClient, perAccountAndClient, ns, id, client))
	}
	return a, t.take("wrong passwords", a.counters)
}

// takeSignup counts a wish for a namespace.
func (t *throttle) takeSignup(c Client) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take("namespaces from your address", []counter{t.counter(kindSignup, signupsPerClient, c.network())})
}

// takeCode counts a wish for a code.
func (t *throttle) takeCode(mailbox string, c Client) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take("codes were asked for", []counter{
		t.counter(kindCodeMailbox, codesPerMailbox, strings.ToLower(mailbox)),
		t.counter(kindCodeClient, codesPerClient, c.network()),
		t.counter(kindCodes, codesInAll),
	})
}

// take takes one of each of some counters, or returns a [TooManyError] when one of them
// has none. t.mu is held.
func (t *throttle) take(of string, counters []counter) error {
	now := t.elapsed()
	var wait time.Duration
	for _, c := range counters {
		full := now + time.Duration(c.burst)*c.every
		wait = max(wait, c.free()+c.every-full)
	}
	if wait > 0 {
		return &TooManyError{Of: of, Retry: wait.Truncate(time.Second) + time.Second}
	}
	for _, c := range counters {
		for _, cell := range c.cells {
			*cell = max(*cell, now) + c.every
		}
	}
	return nil
}

// right takes back that the password was counted for wrong, and remembers where it
// came from.
func (a *attempt) right() {
	t := a.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	a.takeBack()
	t.known[a.known%knownCells] = knownClient{a.known, t.elapsed() + knownFor}
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
			*cell -= c.every
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
