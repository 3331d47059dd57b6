package graph

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// ProxyError means that the HTTP proxy refused a request, which did not reach Microsoft.
type ProxyError struct{ Status int }

// Error implements error. Its text includes what the operator can do.
func (e *ProxyError) Error() string {
	if e.Status == http.StatusProxyAuthRequired {
		return "the proxy does not let the relay in (407); set proxy_user and proxy_password of the connection, or correct them"
	}
	return fmt.Sprintf("the proxy refuses to connect to Microsoft (%d); allow the hosts of the sign-in and of Graph in the proxy", e.Status)
}

// proxyFunc returns the Proxy function of an http.Transport. A configured proxy is used for
// every request, one from the environment never for this machine's own addresses.
func proxyFunc(proxy *url.URL) func(*http.Request) (*url.URL, error) {
	if proxy == nil {
		return http.ProxyFromEnvironment
	}
	return http.ProxyURL(proxy)
}

// checkConnect returns a ProxyError if the proxy refused the CONNECT. It leaves out the
// text of the answer, which is untrusted.
func checkConnect(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return &ProxyError{answer.StatusCode}
	}
	return nil
}

// proxySecrets returns the proxy's password in the forms in which its answer may repeat it.
func proxySecrets(proxy *url.URL) []string {
	if proxy == nil || proxy.User == nil {
		return nil
	}
	password, _ := proxy.User.Password()
	basic := proxy.User.Username() + ":" + password // RFC 7617
	return []string{base64.StdEncoding.EncodeToString([]byte(basic)), basic, password}
}

// tlsConfig returns a TLS configuration that trusts the system's authorities and these. It
// returns nil, which trusts the system's, if there are none.
func tlsConfig(authorities []*x509.Certificate) *tls.Config {
	if len(authorities) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // the system has none
		pool = x509.NewCertPool()
	}
	for _, c := range authorities {
		pool.AddCert(c)
	}
	return &tls.Config{RootCAs: pool}
}

// neverSent reports whether the error occurred before the request was sent. Such a request
// had no effect, and others of the connection would fail in the same way.
func neverSent(err error) bool {
	var op *net.OpError
	var proxy *ProxyError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") || // of net/http, for a proxy
		errors.As(err, &proxy) || errors.As(err, &cert)
}
