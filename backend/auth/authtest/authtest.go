// Package authtest makes tokens that prove nothing, for whoever takes tokens to refuse.
package authtest

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
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Fields are those of a header or of claims; nil takes one away.
type Fields = map[string]any

// Forge makes tokens with the server's own key, so that nothing but the one thing is wrong
// with them.
type Forge struct {
	t      testing.TB
	key    ed25519.PrivateKey
	access string // a good token
	header Fields // of that
	claims Fields
}

// NewForge returns a forge that has the key by which a good access token was signed.
func NewForge(t testing.TB, key ed25519.PrivateKey, access string) *Forge {
	t.Helper()
	f := &Forge{t: t, key: key, access: access}
	part := strings.Split(access, ".")
	for i, into := range []*Fields{&f.header, &f.claims} {
		text, err := base64.RawURLEncoding.DecodeString(part[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// with returns Fields with others over them; nil takes one away.
func with(base, over Fields) Fields {
	out := maps.Clone(base)
	for k, v := range over {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (f *Forge) json(v any) []byte {
	f.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// raw signs any two texts.
func (f *Forge) raw(header, claims []byte) string {
	text := segment(header) + "." + segment(claims)
	return text + "." + segment(ed25519.Sign(f.key, []byte(text)))
}

// Token signs a token that differs from a good one.
func (f *Forge) Token(header, claims Fields) string {
	f.t.Helper()
	return f.raw(f.json(with(f.header, header)), f.json(with(f.claims, claims)))
}

// signed has any other algorithm sign.
func (f *Forge) signed(m jwt.SigningMethod, key any) string {
	f.t.Helper()
	text := segment(f.json(with(f.header, Fields{"alg": m.Alg()}))) + "." + segment(f.json(f.claims))
	sig, err := m.Sign(text, key)
	if err != nil {
		f.t.Fatal(err)
	}
	return text + "." + segment(sig)
}

// Bad returns tokens that prove nothing, by what is wrong with them.
func (f *Forge) Bad() map[string]string {
	f.t.Helper()
	t, now := f.t, time.Now()
	kid, _ := f.header["kid"].(string)              // it is one
	public, _ := f.key.Public().(ed25519.PublicKey) // it is one
	_, strange, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger := &Forge{t: t, key: strange, header: f.header, claims: f.claims}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(secret []byte) string {
		text := segment(f.json(with(f.header, Fields{"alg": "HS256"}))) + "." + segment(f.json(f.claims))
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(text))
		return text + "." + segment(m.Sum(nil))
	}
	part := strings.Split(f.access, ".")
	unsigned := func(alg string) string {
		return segment(f.json(with(f.header, Fields{"alg": alg}))) + "." + part[1] + "."
	}
	tokens := map[string]string{
		"nonsense":             "nonsense",
		"a space":              " ",
		"dots":                 "..",
		"many dots":            strings.Repeat(".", 1000),
		"no header":            "." + part[1] + "." + part[2],
		"no claims":            part[0] + ".." + part[2],
		"no signature":         part[0] + "." + part[1] + ".",
		"two parts":            part[0] + "." + part[1],
		"four parts":           f.access + ".x",
		"five parts, as JWE":   strings.Join([]string{part[0], part[1], part[2], part[1], part[2]}, "."),
		"with Bearer":          "Bearer " + f.access,
		"a line end":           f.access + "\n",
		"padding":              part[0] + "." + part[1] + "." + part[2] + "==",
		"standard base64":      strings.NewReplacer("-", "+", "_", "/").Replace(f.Token(nil, Fields{"jti": strings.Repeat("\u00ff\u00fe", 40)})) + "+",
		"1 MB":                 f.Token(nil, Fields{"jti": strings.Repeat("x", 1<<20)}),
		"just too long":        f.Token(nil, Fields{"jti": strings.Repeat("x", 8<<10)}),
		"1 MB of dots":         strings.Repeat(".", 1<<20),
		"a line end inside":    part[0] + ".\r\n" + part[1] + "." + part[2],
		"a NUL":                f.access + "\x00",
		"header no JSON":       f.raw([]byte("{"), f.json(f.claims)),
		"header a list":        f.raw([]byte("[]"), f.json(f.claims)),
		"header null":          f.raw([]byte("null"), f.json(f.claims)),
		"claims no JSON":       f.raw(f.json(f.header), []byte("{")),
		"claims null":          f.raw(f.json(f.header), []byte("null")),
		"claims a list":        f.raw(f.json(f.header), []byte("[]")),
		"claims deeply nested": f.raw(f.json(f.header), []byte(strings.Repeat("[", 5000))),

		"alg none":                         unsigned("none"),
		"alg None":                         unsigned("None"),
		"alg NONE, signed":                 f.Token(Fields{"alg": "NONE"}, nil),
		"alg none, signed":                 f.Token(Fields{"alg": "none"}, nil),
		"no alg":                           f.Token(Fields{"alg": nil}, nil),
		"alg null":                         f.raw([]byte(`{"alg":null,"kid":"`+kid+`","typ":"at+jwt"}`), f.json(f.claims)),
		"alg a number":                     f.Token(Fields{"alg": 1}, nil),
		"alg eddsa":                        f.Token(Fields{"alg": "eddsa"}, nil),
		"alg Ed25519":                      f.Token(Fields{"alg": "Ed25519"}, nil),
		"HS256 with the public key":        hs256(public),
		"HS256 with the public key in PEM": hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"HS256 with nothing":               hs256(nil),
		"HS256 with the kid":               hs256([]byte(kid)),
		"RS256":                            f.signed(jwt.SigningMethodRS256, rsaKey),
		"ES256":                            f.signed(jwt.SigningMethodES256, ecKey),
		"alg HS256, signed with EdDSA":     f.Token(Fields{"alg": "HS256"}, nil),

		"another key, the same kid":  stranger.Token(nil, nil),
		"another key, sent along":    stranger.Token(Fields{"jwk": Fields{"kty": "OKP", "crv": "Ed25519", "x": segment(strange.Public().(ed25519.PublicKey))}}, nil),
		"another key, to be fetched": stranger.Token(Fields{"jku": "https://example.com/keys", "x5u": "https://example.com/keys"}, nil),
		"no kid":                     f.Token(Fields{"kid": nil}, nil),
		"an empty kid":               f.Token(Fields{"kid": ""}, nil),
		"kid a number":               f.Token(Fields{"kid": 1}, nil),
		"an unknown kid":             f.Token(Fields{"kid": kid + "x"}, nil),
		"kid in upper case":          f.Token(Fields{"kid": strings.ToUpper(kid)}, nil),
		"kid a path":                 f.Token(Fields{"kid": "../key/" + kid}, nil),
		"kid a file":                 f.Token(Fields{"kid": "/dev/null"}, nil),
		"a long kid":                 f.Token(Fields{"kid": strings.Repeat(kid, 100)}, nil),

		"no typ":        f.Token(Fields{"typ": nil}, nil),
		"typ JWT":       f.Token(Fields{"typ": "JWT"}, nil),
		"typ a number":  f.Token(Fields{"typ": 1}, nil),
		"no issuer":     f.Token(nil, Fields{"iss": nil}),
		"another iss":   f.Token(nil, Fields{"iss": "https://example.com"}),
		"no audience":   f.Token(nil, Fields{"aud": nil}),
		"another aud":   f.Token(nil, Fields{"aud": []string{"other"}}),
		"aud a number":  f.Token(nil, Fields{"aud": 1}),
		"no subject":    f.Token(nil, Fields{"sub": ""}),
		"no namespace":  f.Token(nil, Fields{"ns": nil}),
		"ns a path":     f.Token(nil, Fields{"ns": "acme/auth"}),
		"ns $system":    f.Token(nil, Fields{"ns": "$system"}),
		"ns a list":     f.Token(nil, Fields{"ns": []string{"acme"}}),
		"no session":    f.Token(nil, Fields{"sid": nil}),
		"scopes a text": f.Token(nil, Fields{"scp": "admin"}),

		"no expiry":         f.Token(nil, Fields{"exp": nil}),
		"exp a text":        f.Token(nil, Fields{"exp": "never"}),
		"not yet":           f.Token(nil, Fields{"nbf": now.Add(time.Hour).Unix()}),
		"from the future":   f.Token(nil, Fields{"iat": now.Add(time.Hour).Unix()}),
		"expired, and iss":  f.Token(nil, Fields{"exp": now.Add(-2 * time.Hour).Unix(), "iss": "other"}),
		"expired":           f.Token(nil, Fields{"exp": now.Add(-2 * time.Hour).Unix()}),
		"just expired":      f.Token(nil, Fields{"exp": now.Add(-time.Second).Unix()}),
		"expired long ago":  f.Token(nil, Fields{"exp": -1}),
		"another namespace": f.Token(nil, Fields{"ns": "nowhere"}),
	}
	for name, over := range map[string]Fields{
		"namespace": {"ns": "other"}, "subject": {"sub": "root"}, "scopes": {"scp": []string{"admin", "more"}},
		"expiry": {"exp": now.Add(time.Hour).Unix()}, "session": {"sid": "another"}, "type": {"acc": "service"},
	} {
		tokens["altered "+name] = part[0] + "." + segment(f.json(with(f.claims, over))) + "." + part[2]
	}
	for name, header := range map[string]string{
		"kid first":  `{"kid":"other","alg":"EdDSA","kid":"` + kid + `","typ":"at+jwt"}`,
		"alg twice":  `{"alg":"EdDSA","alg":"none","kid":"` + kid + `","typ":"at+jwt"}`,
		"kid twice":  `{"alg":"EdDSA","kid":"` + kid + `","kid":"other","typ":"at+jwt"}`,
		"typ twice":  `{"alg":"EdDSA","kid":"` + kid + `","typ":"at+jwt","typ":"JWT"}`,
		"crit, too":  `{"alg":"none","alg":"HS256","kid":"` + kid + `","typ":"at+jwt"}`,
		"more after": `{"alg":"EdDSA","kid":"` + kid + `","typ":"at+jwt"}{}`,
	} {
		tokens["header with "+name] = f.raw([]byte(header), f.json(f.claims))
	}
	// Others might take the first of two, and we the last.
	for name, claim := range map[string]string{"namespace": `"ns":"other"`, "subject": `"sub":"root"`, "expiry": `"exp":1`, "NAMESPACE": `"NS":"other"`} {
		tokens[name+" twice"] = f.raw(f.json(f.header), []byte("{"+claim+","+string(f.json(f.claims))[1:]))
	}
	for _, cut := range []int{1, 2, 10, 43, 85} {
		tokens[fmt.Sprintf("signature cut by %d", cut)] = f.access[:len(f.access)-cut]
	}
	for i := range 3 {
		b := []byte(part[i])
		b[len(b)/2] ^= 1
		altered := []string{part[0], part[1], part[2]}
		altered[i] = string(b)
		tokens[fmt.Sprintf("part %d altered", i)] = strings.Join(altered, ".")
	}
	return tokens
}
