package smtpd

import (
	"context"
	"errors"
	"log/slog"

	"github.com/emersion/go-sasl"

	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
)

// AuthMechanisms lists the mechanisms that the client is offered: passwords are asked for under TLS,
// or, on a listener without TLS, from this host, or from others with AuthConfig.Plain.
func (s *session) AuthMechanisms() []string {
	if !s.authOffered() {
		return nil
	}
	list := []string{sasl.Plain, sasl.Login}
	if s.server.cfg.Auth.Bearer {
		list = append(list, xoauth2, sasl.OAuthBearer)
	}
	if s.cert != "" {
		list = append(list, sasl.External)
	}
	return list
}

func (s *session) authOffered() bool {
	cfg := s.server.cfg
	if cfg.Auth.Mode == AuthNone || s.conn.guest {
		return false
	}
	return s.conn.tls != nil || (cfg.TLS.Mode == TLSNone && (cfg.Auth.Plain || s.conn.client.IsLoopback()))
}

// auth begins a SASL exchange.
func (s *session) auth(mechanism string) (sasl.Server, error) {
	if s.server.cfg.Auth.Mode == AuthNone || s.conn.guest {
		return nil, &Refusal{503, [3]int{5, 5, 1}, reason.Auth, "AUTH is not used on this listener"}
	}
	if !s.authOffered() {
		return nil, &Refusal{538, [3]int{5, 7, 11}, reason.Auth, "Start TLS first: AUTH is offered only under TLS"}
	}
	s.mu.Lock()
	open := s.mailAccepted
	s.mu.Unlock()
	if open {
		return nil, &Refusal{503, [3]int{5, 5, 1}, reason.Auth, "AUTH is not allowed during a mail transaction"}
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(identity, user, password string) error {
			if identity != "" && identity != user {
				return s.authFailed(user, &Refusal{535, [3]int{5, 7, 8}, reason.Auth, "Acting for another user is not supported"})
			}
			return s.authenticate(user, password)
		}), nil
	case sasl.Login:
		return &loginServer{authenticate: s.authenticate}, nil
	case xoauth2:
		if s.server.cfg.Auth.Bearer {
			return &bearerServer{session: s, parse: parseXOAuth2}, nil
		}
	case sasl.OAuthBearer:
		if s.server.cfg.Auth.Bearer {
			return &bearerServer{session: s, parse: parseOAuthBearer}, nil
		}
	case sasl.External:
		if s.cert != "" {
			return sasl.NewExternalServer(s.authenticateCertificate), nil
		}
	}
	return nil, &Refusal{504, [3]int{5, 7, 4}, reason.Auth, "Unsupported authentication mechanism"}
}

func (s *session) authenticate(user, password string) error {
	if err := s.server.policy.Authenticate(s.server.running, s.who, user, password); err != nil {
		return s.authFailed(user, err)
	}
	return s.authenticated(user)
}

func (s *session) authenticated(user string) error {
	s.mu.Lock()
	s.who.User = user
	s.mu.Unlock()
	s.conn.user.Store(&user)
	s.server.limiter.trust(s.conn.client)
	s.conn.idle.mark()
	s.server.metrics.auth.WithLabelValues(s.server.cfg.Name, authOK).Inc()
	s.log.Debug("authenticated", "user", printable(user))
	return nil
}

// authFailed logs and counts a failed authentication, and returns its refusal.
// deploy/fail2ban depends on the messages, and on listener and client being the first keys.
func (s *session) authFailed(user string, err error) error {
	if s.server.isStopping() && errors.Is(err, context.Canceled) {
		err = errStopping
	}
	r := refusalOf(err)
	s.mu.Lock()
	s.authRefused = r.Code == 535
	s.mu.Unlock()
	level, message, result := slog.LevelError, "authentication not possible", authError
	switch r.Reason {
	case reason.Auth:
		level, message, result = slog.LevelWarn, "authentication failed", authFailed
	case reason.Blocked:
		level, message, result = slog.LevelWarn, "authentication blocked", authBlocked
	case reason.Busy, reason.Connections:
		level = slog.LevelWarn
	}
	s.server.metrics.auth.WithLabelValues(s.server.cfg.Name, result).Inc()
	s.server.rejected(refusals.Refusal{Client: s.conn.client, Hello: s.helo, User: user, Reason: r.Reason, Answer: r.Error()})
	s.log.Log(context.Background(), level, message, append([]any{"user", printable(user)}, answerAndError(r, err)...)...)
	return r
}

// loginServer is AUTH LOGIN (draft-murchison-sasl-login), which old devices use, with the
// user name in the first line or without. Some of them expect exactly these prompts.
type loginServer struct {
	authenticate func(user, password string) error
	user         *string
}

var errLoginOver = errors.New("sasl: the LOGIN exchange is over")

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if l.authenticate == nil {
		return nil, false, errLoginOver
	}
	switch {
	case l.user == nil && response == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	}
	authenticate := l.authenticate
	l.authenticate = nil
	return nil, true, authenticate(*l.user, string(response))
}
