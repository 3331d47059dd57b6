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

// ProxyError says that the HTTP proxy on the way refused to pass a request on, so that
// Microsoft never saw it.
type ProxyError struct{ Status int }

// Error says what to do as well, since whoever reads it can do it.
func (e *ProxyError) Error() string {
	if e.Status == http.StatusProxyAuthRequired {
		return "the proxy does not let the relay in (407); set proxy_user and proxy_password of the connection, or correct them"
	}
	return fmt.Sprintf("the proxy refuses to connect to Microsoft (%d); allow the hosts of the login and of Graph in it", e.Status)
}

// proxyFor is the way to each request: the proxy that is configured, for all of them,
// or the one that the environment names, which it never does for this machine's own
// addresses.
func proxyFunc(proxy *url.URL) func(*http.Request) (*url.URL, error) {
	if proxy == nil {
		return http.ProxyFromEnvironment
	}
	return http.ProxyURL(proxy)
}

// checkConnect keeps the proxy's own words out of the error: they are no one's whom
// the operator has to believe.
func checkConnect(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return &ProxyError{answer.StatusCode}
	}
	return nil
}

// proxySecrets are what the proxy was given to let us in, as it may repeat them.
func proxySecrets(proxy *url.URL) []string {
	if proxy == nil || proxy.User == nil {
		return nil
	}
	password, _ := proxy.User.Password()
	basic := proxy.User.Username() + ":" + password // RFC 7617
	return []string{base64.StdEncoding.EncodeToString([]byte(basic)), basic, password}
}

// trust is whose certificates are taken: the system's authorities and those given. Nil
// is the system's alone.
func tlsConfig(more []*x509.Certificate) *tls.Config {
	if len(more) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // a machine without any
		pool = x509.NewCertPool()
	}
	for _, c := range more {
		pool.AddCert(c)
	}
	return &tls.Config{RootCAs: pool}
}

// neverSent tells errors from before the request was written: nothing can have
// happened, and nothing else that goes the same way would fare better.
func neverSent(err error) bool {
	var op *net.OpError
	var proxy *ProxyError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") || // of net/http, for a proxy
		errors.As(err, &proxy) || errors.As(err, &cert)
}
