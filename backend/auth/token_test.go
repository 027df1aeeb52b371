package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/micro/micro/v3/backend/auth"
	"github.com/micro/micro/v3/backend/store"
)

type fields = map[string]any

// forge makes tokens with the server's own key, or any other.
type forge struct {
	t      *testing.T
	key    ed25519.PrivateKey
	header fields // of a good token
	claims fields
}

// newForge returns a forge whose tokens are those of alice's session unless told
// otherwise.
func newForge(t *testing.T, a *auth.Auth, alice auth.Session) *forge {
	t.Helper()
	kid, key, err := a.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := &forge{t: t, key: key}
	part := strings.Split(alice.Access, ".")
	for i, into := range []*fields{&f.header, &f.claims} {
		text, err := base64.RawURLEncoding.DecodeString(part[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	if f.header["kid"] != kid {
		t.Fatalf("the header of a token is %v", f.header)
	}
	return f
}

// with returns fields with others over them; nil takes one away.
func with(base, over fields) fields {
	out := maps.Clone(base)
	for k, v := range over {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (f *forge) json(v any) []byte {
	f.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// raw signs any two texts.
func (f *forge) raw(header, claims []byte) string {
	text := segment(header) + "." + segment(claims)
	return text + "." + segment(ed25519.Sign(f.key, []byte(text)))
}

// token signs a token that differs from a good one.
func (f *forge) token(header, claims fields) string {
	f.t.Helper()
	return f.raw(f.json(with(f.header, header)), f.json(with(f.claims, claims)))
}

// signed has any other algorithm sign.
func (f *forge) signed(m jwt.SigningMethod, key any) string {
	f.t.Helper()
	text := segment(f.json(with(f.header, fields{"alg": m.Alg()}))) + "." + segment(f.json(f.claims))
	sig, err := m.Sign(text, key)
	if err != nil {
		f.t.Fatal(err)
	}
	return text + "." + segment(sig)
}

// TestBadTokens has tokens that prove nothing, most of them signed by the server's own
// key so that nothing but the one thing is wrong with them.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s})
	alice := signup(t, a)
	f := newForge(t, a, alice)
	kid := f.header["kid"].(string)
	public := f.key.Public().(ed25519.PublicKey)
	now := time.Now()

	// The control: what the forge makes is as good as what it copies.
	if _, err := a.Verify(t.Context(), f.token(nil, fields{"jti": "another"})); err != nil {
		t.Fatalf("the forge is no good: %v", err)
	}

	_, strange, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger := &forge{t: t, key: strange, header: f.header, claims: f.claims}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(secret []byte) string {
		text := segment(f.json(with(f.header, fields{"alg": "HS256"}))) + "." + segment(f.json(f.claims))
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(text))
		return text + "." + segment(m.Sum(nil))
	}
	part := strings.Split(alice.Access, ".")
	unsigned := func(alg string) string {
		return segment(f.json(with(f.header, fields{"alg": alg}))) + "." + part[1] + "."
	}
	other := openAuth(t, auth.Config{Store: openStore(t), MasterKey: masterKey(2)})
	foreign := signup(t, other)

	tokens := map[string]string{
		"nonsense":             "nonsense",
		"a space":              " ",
		"dots":                 "..",
		"many dots":            strings.Repeat(".", 1000),
		"no header":            "." + part[1] + "." + part[2],
		"no claims":            part[0] + ".." + part[2],
		"no signature":         part[0] + "." + part[1] + ".",
		"two parts":            part[0] + "." + part[1],
		"four parts":           alice.Access + ".x",
		"five parts, as JWE":   strings.Join([]string{part[0], part[1], part[2], part[1], part[2]}, "."),
		"a refresh token":      alice.Refresh,
		"with Bearer":          "Bearer " + alice.Access,
		"a line end":           alice.Access + "\n",
		"padding":              part[0] + "." + part[1] + "." + part[2] + "==",
		"standard base64":      strings.NewReplacer("-", "+", "_", "/").Replace(f.token(nil, fields{"jti": strings.Repeat("\u00ff\u00fe", 40)})) + "+",
		"1 MB":                 f.token(nil, fields{"jti": strings.Repeat("x", 1<<20)}),
		"just too long":        f.token(nil, fields{"jti": strings.Repeat("x", auth.MaxToken)}),
		"1 MB of dots":         strings.Repeat(".", 1<<20),
		"a line end inside":    part[0] + ".\r\n" + part[1] + "." + part[2],
		"a NUL":                alice.Access + "\x00",
		"header no JSON":       f.raw([]byte("{"), f.json(f.claims)),
		"header a list":        f.raw([]byte("[]"), f.json(f.claims)),
		"header null":          f.raw([]byte("null"), f.json(f.claims)),
		"claims no JSON":       f.raw(f.json(f.header), []byte("{")),
		"claims null":          f.raw(f.json(f.header), []byte("null")),
		"claims a list":        f.raw(f.json(f.header), []byte("[]")),
		"claims deeply nested": f.raw(f.json(f.header), []byte(strings.Repeat("[", 5000))),

		"alg none":                         unsigned("none"),
		"alg None":                         unsigned("None"),
		"alg NONE, signed":                 f.token(fields{"alg": "NONE"}, nil),
		"alg none, signed":                 f.token(fields{"alg": "none"}, nil),
		"no alg":                           f.token(fields{"alg": nil}, nil),
		"alg null":                         f.raw([]byte(`{"alg":null,"kid":"`+kid+`","typ":"at+jwt"}`), f.json(f.claims)),
		"alg a number":                     f.token(fields{"alg": 1}, nil),
		"alg eddsa":                        f.token(fields{"alg": "eddsa"}, nil),
		"alg Ed25519":                      f.token(fields{"alg": "Ed25519"}, nil),
		"HS256 with the public key":        hs256(public),
		"HS256 with the public key in PEM": hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"HS256 with nothing":               hs256(nil),
		"HS256 with the kid":               hs256([]byte(kid)),
		"RS256":                            f.signed(jwt.SigningMethodRS256, rsaKey),
		"ES256":                            f.signed(jwt.SigningMethodES256, ecKey),
		"alg HS256, signed with EdDSA":     f.token(fields{"alg": "HS256"}, nil),

		"another key, the same kid":  stranger.token(nil, nil),
		"another key, sent along":    stranger.token(fields{"jwk": fields{"kty": "OKP", "crv": "Ed25519", "x": segment(strange.Public().(ed25519.PublicKey))}}, nil),
		"another key, to be fetched": stranger.token(fields{"jku": "https://example.com/keys", "x5u": "https://example.com/keys"}, nil),
		"another server's":           foreign.Access,
		"no kid":                     f.token(fields{"kid": nil}, nil),
		"an empty kid":               f.token(fields{"kid": ""}, nil),
		"kid a number":               f.token(fields{"kid": 1}, nil),
		"an unknown kid":             f.token(fields{"kid": kid + "x"}, nil),
		"kid in upper case":          f.token(fields{"kid": strings.ToUpper(kid)}, nil),
		"kid a path":                 f.token(fields{"kid": "../key/" + kid}, nil),
		"kid a file":                 f.token(fields{"kid": "/dev/null"}, nil),
		"a long kid":                 f.token(fields{"kid": strings.Repeat(kid, 100)}, nil),

		"no typ":        f.token(fields{"typ": nil}, nil),
		"typ JWT":       f.token(fields{"typ": "JWT"}, nil),
		"typ a number":  f.token(fields{"typ": 1}, nil),
		"no issuer":     f.token(nil, fields{"iss": nil}),
		"another iss":   f.token(nil, fields{"iss": "https://example.com"}),
		"no audience":   f.token(nil, fields{"aud": nil}),
		"another aud":   f.token(nil, fields{"aud": []string{"other"}}),
		"aud a number":  f.token(nil, fields{"aud": 1}),
		"no subject":    f.token(nil, fields{"sub": ""}),
		"no namespace":  f.token(nil, fields{"ns": nil}),
		"ns a path":     f.token(nil, fields{"ns": "acme/auth"}),
		"ns $system":    f.token(nil, fields{"ns": "$system"}),
		"ns a list":     f.token(nil, fields{"ns": []string{"acme"}}),
		"no session":    f.token(nil, fields{"sid": nil}),
		"scopes a text": f.token(nil, fields{"scp": "admin"}),

		"no expiry":         f.token(nil, fields{"exp": nil}),
		"exp a text":        f.token(nil, fields{"exp": "never"}),
		"not yet":           f.token(nil, fields{"nbf": now.Add(time.Hour).Unix()}),
		"from the future":   f.token(nil, fields{"iat": now.Add(time.Hour).Unix()}),
		"expired, and iss":  f.token(nil, fields{"exp": now.Add(-2 * time.Hour).Unix(), "iss": "other"}),
		"expired":           f.token(nil, fields{"exp": now.Add(-2 * time.Hour).Unix()}),
		"just expired":      f.token(nil, fields{"exp": now.Add(-time.Second).Unix()}),
		"expired long ago":  f.token(nil, fields{"exp": -1}),
		"another namespace": f.token(nil, fields{"ns": "nowhere"}),
	}
	for name, over := range map[string]fields{
		"namespace": {"ns": "other"}, "subject": {"sub": "root"}, "scopes": {"scp": []string{"admin", "more"}},
		"expiry": {"exp": now.Add(time.Hour).Unix()}, "session": {"sid": "another"}, "type": {"acc": "service"},
	} {
		tokens["altered "+name] = part[0] + "." + segment(f.json(with(f.claims, over))) + "." + part[2]
	}
	for name, header := range map[string]string{
		"alg twice":  `{"alg":"EdDSA","alg":"none","kid":"` + kid + `","typ":"at+jwt"}`,
		"kid twice":  `{"alg":"EdDSA","kid":"` + kid + `","kid":"other","typ":"at+jwt"}`,
		"typ twice":  `{"alg":"EdDSA","kid":"` + kid + `","typ":"at+jwt","typ":"JWT"}`,
		"crit, too":  `{"alg":"none","alg":"HS256","kid":"` + kid + `","typ":"at+jwt"}`,
		"more after": `{"alg":"EdDSA","kid":"` + kid + `","typ":"at+jwt"}{}`,
	} {
		tokens["header with "+name] = f.raw([]byte(header), f.json(f.claims))
	}
	for _, cut := range []int{1, 2, 10, 43, 85} {
		tokens[fmt.Sprintf("signature cut by %d", cut)] = alice.Access[:len(alice.Access)-cut]
	}
	for i := range 3 {
		b := []byte(part[i])
		b[len(b)/2] ^= 1
		altered := []string{part[0], part[1], part[2]}
		altered[i] = string(b)
		tokens[fmt.Sprintf("part %d altered", i)] = strings.Join(altered, ".")
	}
	if len(tokens) < 90 {
		t.Errorf("only %d bad tokens", len(tokens))
	}
	before := a.Cached()
	for name, token := range tokens {
		for range 2 { // the second time from the cache, if it were there
			id, err := a.Verify(t.Context(), token)
			if err == nil {
				t.Errorf("%s: accepted as %+v", name, id)
			} else if !errors.Is(err, auth.ErrCredentials) && !errors.Is(err, auth.ErrExpired) && !errors.Is(err, auth.ErrRevoked) {
				t.Errorf("%s: got the error %v", name, err)
			}
		}
	}
	// What is well signed may be kept: just expired, and of another namespace.
	if kept := a.Cached() - before; kept > 2 {
		t.Errorf("%d bad tokens are kept as verified", kept)
	}
	if id, err := a.Verify(t.Context(), ""); err != nil || id.ID != "" || id.Namespace != "" {
		t.Errorf("nobody is %+v, %v", id, err)
	}

	// A key that is taken away.
	verify(t, a, alice)
	rec, err := s.Get(t.Context(), "$system/auth/key/"+kid)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, store.Delete(rec.Key))
	without := openAuth(t, auth.Config{Store: s})
	_, err = without.Verify(t.Context(), alice.Access)
	wantErr(t, "a key that is taken away", err, auth.ErrCredentials)
}

func TestTokenCacheIsBounded(t *testing.T) {
	t.Parallel()
	a := openAuth(t, auth.Config{Store: openStore(t)})
	const places = 10
	a.KeepTokens(places)
	alice := signup(t, a)
	f := newForge(t, a, alice)
	most := 0
	for i := range 5 * places {
		if _, err := a.Verify(t.Context(), f.token(nil, fields{"jti": strconv.Itoa(i)})); err != nil {
			t.Fatal(err)
		}
		most = max(most, a.Cached())
	}
	if most != places {
		t.Errorf("%d tokens were kept, want %d", most, places)
	}
	verify(t, a, alice)
}

// TestKeysSurviveARestart opens the same store with the same and another master key.
func TestKeysSurviveARestart(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s})
	alice := signup(t, a)
	again := openAuth(t, auth.Config{Store: s})
	verify(t, again, alice)
	refresh(t, again, alice)
	if _, err := auth.Open(t.Context(), auth.Config{Store: s, MasterKey: masterKey(2)}); err == nil {
		t.Error("another master key opens what was sealed with the first")
	}
	for rec, err := range s.Range(t.Context(), store.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{password, alice.Access, alice.Refresh, strings.Split(alice.Refresh, ".")[3], string(masterKey(1))} {
			if strings.Contains(string(rec.Value), secret) {
				t.Errorf("%s holds a secret in clear", rec.Key)
			}
		}
	}
}

// TestMovedKey has the record of a signing key in another place, as somebody could
// put it there who can write to the store.
func TestMovedKey(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	a := openAuth(t, auth.Config{Store: s})
	kid, _, err := a.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec, err := s.Get(t.Context(), "$system/auth/key/"+kid)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, store.Put("$system/auth/key/moved", rec.Value))
	if _, err := auth.Open(t.Context(), auth.Config{Store: s, MasterKey: masterKey(1)}); err == nil {
		t.Error("a key opens in another's place")
	}
}

func FuzzVerify(f *testing.F) {
	a := openAuth(f, auth.Config{Store: openStore(f)})
	alice := signup(f, a)
	f.Add(alice.Access)
	f.Add(alice.Refresh)
	f.Add("")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := a.Verify(t.Context(), token)
		if err == nil && token != "" && token != alice.Access {
			t.Errorf("%q is accepted as %+v", token, id)
		}
		if s, err := a.Refresh(t.Context(), token); err == nil && !strings.HasPrefix(token, alice.Refresh[:40]) {
			t.Errorf("%q is exchanged for %+v", token, s)
		}
	})
}

func BenchmarkVerifyAndAuthorize(b *testing.B) {
	a := openAuth(b, auth.Config{Store: openStore(b)})
	alice := signup(b, a)
	r := auth.Resource{Type: "service", Name: "shop", Endpoint: "Shop.Buy"}
	for b.Loop() {
		id, err := a.Verify(b.Context(), alice.Access)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Authorize(b.Context(), id, "acme", r); err != nil {
			b.Fatal(err)
		}
	}
}
