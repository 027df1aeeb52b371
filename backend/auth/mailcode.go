package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/mail"
	"strings"
	"time"

	"github.com/micro/micro/v3/backend/store"
)

// ErrCode is returned for a code that proves nothing: it is wrong, has expired, or too
// many wrong ones were given.
var ErrCode = errors.New("the code is wrong, or not good any more")

const (
	// CodeTTL is how long a code is good that was sent by mail.
	CodeTTL = 10 * time.Minute

	codeDigits   = 6
	codeAttempts = 5 // wrong codes, until the right one is not good any more
	// codesPrefix is where codes are, by hashes of mailboxes.
	codesPrefix = "$system/auth/code/"
	maxMailbox  = 254 // bytes
)

// mailCode is the record of a code that was sent.
type mailCode struct {
	Nonce    string    `json:"nonce"`
	Sum      string    `json:"sum"` // of the code, which could be guessed without the master key
	Attempts int       `json:"attempts,omitempty"`
	Expires  time.Time `json:"expires"`
}

// parseMailbox returns a mail address as it is written to.
func parseMailbox(s string) (string, error) {
	bad := invalid("%.200q is no mail address", s)
	if len(s) > maxMailbox || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", bad
	}
	addr, err := mail.ParseAddress(s)
	if err != nil || addr.Address != s || addr.Name != "" {
		return "", bad
	}
	local, domain, _ := strings.Cut(s, "@")
	if strings.Contains(domain, "@") || strings.ContainsAny(s, `"<>,;:\`) {
		return "", bad
	}
	return local + "@" + strings.ToLower(domain), nil
}

// mailboxID names a mailbox in a key, and does not tell which it is.
func (a *Auth) mailboxID(mailbox string) string {
	return a.secrets.derive("mailbox", strings.ToLower(mailbox))
}

func (a *Auth) codeSum(mailbox, nonce, code string) string {
	return a.secrets.derive("code", strings.ToLower(mailbox), nonce, code)
}

// NewCode makes the code that proves to be the owner of a mailbox, and returns it with
// the address to send it to. One that was made before is void. Whether the owner has an
// account somewhere makes no difference. A [TooManyError] when too many were asked for,
// from an address, for a mailbox or at all.
func (a *Auth) NewCode(ctx context.Context, email string, from Client) (mailbox, code string, err error) {
	if mailbox, err = parseMailbox(email); err != nil {
		return "", "", err
	}
	if err := a.throttle.takeCode(mailbox, from); err != nil {
		return "", "", err
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", "", err
	}
	code = fmt.Sprintf("%0*d", codeDigits, n)
	rec := mailCode{Nonce: randomID(), Expires: a.now().Add(CodeTTL)}
	rec.Sum = a.codeSum(mailbox, rec.Nonce, code)
	op := store.Op{Kind: store.KindPut, Key: codesPrefix + a.mailboxID(mailbox), Value: encodeJSON(rec), TTL: CodeTTL}
	if _, err := a.store.Txn(ctx, store.Txn{Do: []store.Op{op}}); err != nil {
		return "", "", err
	}
	return mailbox, code, nil
}

// WithCode lets somebody in who proves by a code that a mailbox is his; it is noted
// about the account. The error is [ErrCode] when it proves nothing.
func WithCode(email, code string) SignupOption {
	return func(a *Auth, s *signup) {
		s.metadata = map[string]string{"email": email}
		s.admit = func(ctx context.Context) (store.Txn, error) { return a.useCode(ctx, email, code) }
	}
}

// useCode returns what uses a code up. Each that is looked at counts first, or many at
// once would all be looked at.
func (a *Auth) useCode(ctx context.Context, email, code string) (store.Txn, error) {
	mailbox, err := parseMailbox(email)
	if err != nil {
		return store.Txn{}, err
	}
	key := codesPrefix + a.mailboxID(mailbox)
	for {
		rec, revision, err := load[mailCode](ctx, a.store, key)
		if err != nil {
			return store.Txn{}, err
		}
		left := rec.Expires.Sub(a.now())
		if revision == 0 || left <= 0 || rec.Attempts >= codeAttempts {
			return store.Txn{}, ErrCode
		}
		put := func(attempts int) error {
			rec.Attempts = attempts
			t := store.Txn{
				If: []store.Cond{{Key: key, Revision: revision}},
				Do: []store.Op{{Kind: store.KindPut, Key: key, Value: encodeJSON(rec), TTL: left}},
			}
			revision, err = a.store.Txn(ctx, t)
			return err
		}
		was := rec.Attempts
		err = put(was + 1)
		right := same(rec.Sum, a.codeSum(mailbox, rec.Nonce, strings.TrimSpace(code)))
		if err == nil && right {
			err = put(was) // the name may be taken, and he tries another
		}
		switch {
		case errors.Is(err, store.ErrConflict):
			continue
		case err != nil:
			return store.Txn{}, err
		case !right:
			return store.Txn{}, ErrCode
		}
		return store.Txn{If: []store.Cond{{Key: key, Revision: revision}}, Do: []store.Op{store.Delete(key)}}, nil
	}
}
