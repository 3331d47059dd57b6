package smtpd

import "graphrelay/relay/reason"

// readCertificate authenticates the client by its verified TLS certificate, without AUTH,
// since few clients with a certificate support EXTERNAL. A client may still use AUTH, and
// then is the user that AUTH names.
func (s *session) readCertificate() {
	t := s.conn.tls
	if t == nil || len(t.VerifiedChains) == 0 || s.server.cfg.Auth.Mode == AuthNone || s.conn.guest {
		return
	}
	leaf := t.VerifiedChains[0][0]
	s.cert = s.server.policy.CertificateUser(leaf)
	if s.cert == "" {
		s.log.Warn("the client's certificate belongs to no user", "subject", printable(leaf.Subject.String()))
		return
	}
	s.who.User = s.cert
	s.conn.user.Store(&s.cert)
	s.server.limiter.trust(s.conn.client)
	s.log.Debug("authenticated by certificate", "user", printable(s.cert))
}

// authenticateCertificate is AUTH EXTERNAL (RFC 4422 appendix A).
func (s *session) authenticateCertificate(identity string) error {
	if identity != "" && identity != s.cert {
		return s.authFailed(identity, &Refusal{535, [3]int{5, 7, 8}, reason.Auth, "The certificate is another user's"})
	}
	return s.authenticated(s.cert)
}
