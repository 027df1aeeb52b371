package envs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS returns how to trust the server of an environment.
func (e Env) TLS() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.Insecure}
	if e.CA != "" {
		pem, err := os.ReadFile(e.CA)
		if err != nil {
			return nil, fmt.Errorf("the CA of environment %q: %w", e.Name, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the CA of environment %q: %s has no certificate in PEM form", e.Name, e.CA)
		}
	}
	if e.Cert != "" {
		pair, err := tls.LoadX509KeyPair(e.Cert, e.Key)
		if err != nil {
			return nil, fmt.Errorf("the client certificate of environment %q: %w", e.Name, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
