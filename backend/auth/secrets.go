package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/micro/micro/v3/internal/seal"
)

// MasterKeySize is the length of a master key in bytes.
const MasterKeySize = seal.MasterKeySize

// secrets holds the keys that are derived from the master key.
type secrets struct {
	atRest  seal.Box
	refresh []byte
}

func newSecrets(master []byte) (secrets, error) {
	atRest, err := seal.NewBox(master, "micro auth at rest")
	if err != nil {
		return secrets{}, err
	}
	refresh, err := seal.Derive(master, "micro auth refresh tokens")
	if err != nil {
		return secrets{}, err
	}
	return secrets{atRest: atRest, refresh: refresh}, nil
}

// seal encrypts a value for the record with the given key; it opens there only.
func (s secrets) seal(key string, plain []byte) []byte { return s.atRest.Seal(key, plain) }

func (s secrets) open(key string, sealed []byte) ([]byte, error) { return s.atRest.Open(key, sealed) }

// derive returns the secret part of an opaque token: the store holds what it is
// derived from and never the secret itself.
func (s secrets) derive(parts ...string) string {
	m := hmac.New(sha256.New, s.refresh)
	m.Write([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// The cost of a password hash: OWASP's first choice for argon2id.
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashSize    = 32
	saltSize    = 16
)

// hashesAtOnce bounds what guessing at passwords can cost in time and memory.
func hashesAtOnce() int { return runtime.NumCPU() }

// hash is the hash of a password with what it was made with.
type hash struct {
	memory, passes uint32
	threads        uint8
	salt, sum      []byte
}

// hashPassword returns the hash in the PHC string format.
func hashPassword(password string) string {
	h := hash{memory: hashMemory, passes: hashTime, threads: hashThreads, salt: make([]byte, saltSize)}
	_, _ = rand.Read(h.salt) // never fails: crypto/rand
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.memory, h.passes, h.threads, enc.EncodeToString(h.salt), enc.EncodeToString(h.of(password)))
}

// checkPassword reports whether password has the given hash. It takes as long
// for an unreadable hash as for a wrong password.
func checkPassword(text, password string) bool {
	h, ok := parseHash(text)
	if !ok {
		h = hash{memory: hashMemory, passes: hashTime, threads: hashThreads, salt: make([]byte, saltSize)}
	}
	return subtle.ConstantTimeCompare(h.of(password), h.sum) == 1 && ok
}

// parseHash reads what hashPassword has written, and no other costs than argon2
// can take and a server can bear.
func parseHash(text string) (h hash, ok bool) {
	f := strings.Split(text, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return hash{}, false
	}
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil ||
		h.memory == 0 || h.memory > 16*hashMemory || h.passes == 0 || h.passes > 16*hashTime || h.threads == 0 {
		return hash{}, false
	}
	enc := base64.RawStdEncoding
	var err, sumErr error
	h.salt, err = enc.DecodeString(f[4])
	h.sum, sumErr = enc.DecodeString(f[5])
	return h, err == nil && sumErr == nil && len(h.sum) == hashSize
}

func (h hash) of(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.threads, hashSize)
}
