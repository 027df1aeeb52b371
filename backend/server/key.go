package server

import (
	"context"
	"encoding/base64"
	"net/http"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/micro/micro/v3/backend/auth"
	authv1 "github.com/micro/micro/v3/proto/micro/auth/v1"
)

// keysAPI answers micro.auth.v1.Keys.
type keysAPI struct {
	authv1.UnimplementedKeysServer
	auth *auth.Auth
}

func (k *keysAPI) List(ctx context.Context, _ *authv1.ListKeysRequest) (*authv1.ListKeysResponse, error) {
	keys, err := k.auth.Keys(ctx)
	if err != nil {
		return nil, err
	}
	rsp := &authv1.ListKeysResponse{}
	for _, key := range keys {
		rsp.Keys = append(rsp.Keys, keyMessage(key))
	}
	return rsp, nil
}

func (k *keysAPI) Rotate(ctx context.Context, req *authv1.RotateKeysRequest) (*authv1.RotateKeysResponse, error) {
	key, err := k.auth.RotateKeys(ctx, req.GetRetireNow())
	if err != nil {
		return nil, err
	}
	return &authv1.RotateKeysResponse{Key: keyMessage(key)}, nil
}

func keyMessage(k auth.Key) *authv1.Key {
	out := &authv1.Key{Id: k.ID, Created: timestamppb.New(k.Created), PublicKey: k.Public}
	if !k.Retires.IsZero() {
		out.Retires = timestamppb.New(k.Retires)
	}
	return out
}

// jwk is a JSON Web Key (RFC 7517) for Ed25519 (RFC 8037).
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	X         string `json:"x"`
}

// keySet answers with the public keys as a JWK set, so that others can verify access
// tokens. Who sees a "kid" that he does not know asks again.
func keySet(a *auth.Auth) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys, err := a.Keys(r.Context())
		if err != nil {
			http.Error(w, "the keys cannot be read", http.StatusServiceUnavailable)
			return
		}
		set := make([]jwk, 0, len(keys))
		for _, k := range keys {
			set = append(set, jwk{"OKP", "Ed25519", "sig", "EdDSA", k.ID, base64.RawURLEncoding.EncodeToString(k.Public)})
		}
		w.Header().Set("Cache-Control", "public, max-age=60")
		writeJSON(w, map[string][]jwk{"keys": set})
	})
}
