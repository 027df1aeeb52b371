package auth

// What tests of this package need of its insides.
var (
	HashPassword  = hashPassword
	CheckPassword = checkPassword
)

// Sealer encrypts for one place, and decrypts.
type Sealer struct{ s secrets }

// NewSealer returns the sealer of a master key.
func NewSealer(master []byte) (Sealer, error) {
	s, err := newSecrets(master)
	return Sealer{s}, err
}

// Seal encrypts.
func (s Sealer) Seal(key string, plain []byte) []byte { return s.s.seal(key, plain) }

// Open decrypts.
func (s Sealer) Open(key string, sealed []byte) ([]byte, error) { return s.s.open(key, sealed) }

// Derive returns the secret part of a token.
func (s Sealer) Derive(parts ...string) string { return s.s.derive(parts...) }
