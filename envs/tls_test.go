package envs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes a certificate and its key, and returns their files.
func writeCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key := writeCertificate(t)
	tests := []struct {
		name                 string
		env                  Env
		roots, own, insecure bool
	}{
		{name: "plain"},
		{name: "CA", env: Env{CA: cert}, roots: true},
		{name: "client certificate", env: Env{Cert: cert, Key: key}, own: true},
		{name: "insecure", env: Env{Insecure: true}, insecure: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := tt.env.TLS()
			if err != nil {
				t.Fatal(err)
			}
			if c.MinVersion != tls.VersionTLS12 || (c.RootCAs != nil) != tt.roots || (len(c.Certificates) == 1) != tt.own || c.InsecureSkipVerify != tt.insecure {
				t.Errorf("TLS = %+v", c)
			}
		})
	}
}

func TestTLSErrors(t *testing.T) {
	t.Parallel()
	cert, key := writeCertificate(t)
	_, other := writeCertificate(t)
	tests := []struct {
		name string
		env  Env
		want string
	}{
		{"no CA", Env{CA: cert + ".gone"}, `the CA of environment "x": open `},
		{"a key as the CA", Env{CA: key}, `has no certificate in PEM form`},
		{"no client certificate", Env{Cert: cert + ".gone", Key: key}, `the client certificate of environment "x": open `},
		{"another's key", Env{Cert: cert, Key: other}, `the client certificate of environment "x": `},
		{"no key", Env{Cert: cert}, `the client certificate of environment "x": open `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.env.Name = "x"
			if _, err := tt.env.TLS(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("TLS: %v; want an error with %q", err, tt.want)
			}
		})
	}
}
