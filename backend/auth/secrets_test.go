package auth_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/micro/micro/v3/backend/auth"
)

func newSealer(t *testing.T, master []byte) auth.Sealer {
	t.Helper()
	s, err := auth.NewSealer(master)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMasterKeySize(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, auth.MasterKeySize - 1, auth.MasterKeySize + 1, 64} {
		if _, err := auth.NewSealer(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes is taken", n)
		}
	}
}

func TestSeal(t *testing.T) {
	t.Parallel()
	s := newSealer(t, masterKey(1))
	for _, plain := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte("long"), 1000)} {
		sealed := s.Seal("place", plain)
		if len(plain) > 8 && bytes.Contains(sealed, plain[:8]) {
			t.Error("the plain text shows")
		}
		if got, err := s.Open("place", sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("got %q, %v, want %q", got, err, plain)
		}
		if again := s.Seal("place", plain); bytes.Equal(again, sealed) {
			t.Error("the same text sealed twice looks the same")
		}
	}
}

func TestSealedOpensInItsPlaceOnly(t *testing.T) {
	t.Parallel()
	s := newSealer(t, masterKey(1))
	sealed := s.Seal("place", []byte("secret"))
	refused := func(what string, s auth.Sealer, key string, sealed []byte) {
		t.Helper()
		if got, err := s.Open(key, sealed); err == nil {
			t.Errorf("%s: it opens and says %q", what, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells: %v", what, err)
		}
	}
	refused("another master key", newSealer(t, masterKey(2)), "place", sealed)
	for _, key := range []string{"", "plac", "place ", "Place"} {
		refused("in the place "+key, s, key, sealed)
	}
	for i := range sealed {
		flipped := slices.Clone(sealed)
		flipped[i] ^= 1
		refused("altered", s, "place", flipped)
		refused("cut off", s, "place", sealed[:i])
	}
	refused("longer", s, "place", append(slices.Clone(sealed), 0))
}

func TestDerive(t *testing.T) {
	t.Parallel()
	one, other := newSealer(t, masterKey(1)), newSealer(t, masterKey(2))
	if a, b := one.Derive("refresh", "acme", "id", "1"), newSealer(t, masterKey(1)).Derive("refresh", "acme", "id", "1"); a != b {
		t.Error("the same parts give different secrets")
	}
	seen := map[string]string{}
	for name, secret := range map[string]string{
		"one":          one.Derive("refresh", "acme", "id", "1"),
		"other key":    other.Derive("refresh", "acme", "id", "1"),
		"counter":      one.Derive("refresh", "acme", "id", "2"),
		"id":           one.Derive("refresh", "acme", "ie", "1"),
		"namespace":    one.Derive("refresh", "acmf", "id", "1"),
		"purpose":      one.Derive("instance", "acme", "id", "1"),
		"borders":      one.Derive("refresh", "acmei", "d", "1"),
		"fewer parts":  one.Derive("refresh", "acme", "id1"),
		"joined parts": one.Derive("refreshacmeid1"),
	} {
		if twin, found := seen[secret]; found {
			t.Errorf("%s and %s have the same secret", name, twin)
		}
		if len(secret) < 43 {
			t.Errorf("%s: the secret %q has less than 256 bits", name, secret)
		}
		seen[secret] = name
	}
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	hash := auth.HashPassword(password)
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("got %q, want argon2id with OWASP's costs", hash)
	}
	if again := auth.HashPassword(password); again == hash {
		t.Error("the same password hashed twice looks the same")
	}
	if !auth.CheckPassword(hash, password) {
		t.Error("the right password is refused")
	}
	for _, wrong := range []string{"", password + " ", strings.ToUpper(password), hash} {
		if auth.CheckPassword(hash, wrong) {
			t.Errorf("the password %q is accepted", wrong)
		}
	}
}

// TestDamagedPasswordHash has hashes that no password is right for, whatever they
// would make of the parameters of argon2, which panics at some.
func TestDamagedPasswordHash(t *testing.T) {
	t.Parallel()
	hash := auth.HashPassword(password)
	f := strings.Split(hash, "$")
	with := func(i int, s string) string {
		g := slices.Clone(f)
		g[i] = s
		return strings.Join(g, "$")
	}
	for _, damaged := range []string{
		"", "$", "$$$$$", "x" + hash, hash + "$", strings.Join(f[:5], "$"),
		with(1, "argon2i"), with(2, "v=16"), with(2, ""),
		with(3, ""), with(3, "m=0,t=2,p=1"), with(3, "m=19456,t=0,p=1"), with(3, "m=19456,t=2,p=0"),
		with(3, "m=4294967295,t=2,p=1"), with(3, "m=19456,t=4294967295,p=1"), with(3, "m=-1,t=2,p=1"), with(3, "t=2,m=19456,p=1"),
		with(4, "!"), with(4, ""), with(5, ""), with(5, "!"), with(5, f[5][:20]), with(5, f[5]+"AAAA"),
	} {
		if auth.CheckPassword(damaged, password) {
			t.Errorf("the password is accepted for %q", damaged)
		}
		if auth.CheckPassword(damaged, "") {
			t.Errorf("an empty password is accepted for %q", damaged)
		}
	}
}
