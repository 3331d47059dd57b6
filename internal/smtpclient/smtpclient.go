// Package smtpclient is the client's side of an SMTP session, for commands that try a relay. It
// sends what it is told to, and shows the answers as they are.
package smtpclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"

	"graphrelay/internal/text"
)

const (
	maxRead   = 1 << 20 // bytes that a server may send in a session, per layer
	maxAnswer = 500     // bytes of an answer that are shown
)

// Session is a session on a connection, whose deadline bounds each call.
type Session struct {
	conn net.Conn
	text *textproto.Conn
}

// New returns a session on the connection. The session closes it.
func New(conn net.Conn) *Session {
	s := &Session{}
	s.use(conn)
	return s
}

func (s *Session) use(conn net.Conn) {
	s.conn = conn
	s.text = textproto.NewConn(struct {
		io.Reader
		io.WriteCloser
	}{io.LimitReader(conn, maxRead), conn})
}

// Secure begins TLS.
func (s *Session) Secure(c *tls.Config) { s.use(tls.Client(s.conn, c)) }

// Greet reads the server's greeting and says hello with the name; with starttls, again after
// STARTTLS. The answer is the last one.
func (s *Session) Greet(name string, starttls *tls.Config) (answer string, err error) {
	if answer, err = s.Read(2); err != nil {
		return answer, err
	}
	if answer, err = s.Ask(2, "EHLO "+name); err != nil || starttls == nil {
		return answer, err
	}
	if answer, err = s.Ask(2, "STARTTLS"); err != nil {
		return answer, err
	}
	s.Secure(starttls)
	return s.Ask(2, "EHLO "+name)
}

// Ask sends a command and reads the answer as [Session.Read] does.
func (s *Session) Ask(code int, command string) (answer string, err error) {
	if err := s.text.PrintfLine("%s", command); err != nil {
		return "", fault(err)
	}
	return s.Read(code)
}

// Read reads an answer and returns it with its code, on one line. The code has to begin with the
// given one, or the error is the answer.
func (s *Session) Read(code int) (answer string, err error) {
	got, lines, err := s.text.ReadResponse(code)
	if got == 0 {
		return "", fault(err)
	}
	answer = text.Shorten(text.OneLine(fmt.Sprintf("%d %s", got, lines)), maxAnswer)
	if err != nil {
		return answer, errors.New(answer)
	}
	return answer, nil
}

// Data sends a message after the answer to DATA, and reads the answer.
func (s *Session) Data(message []byte) (answer string, err error) {
	w := s.text.DotWriter()
	_, err = w.Write(message)
	if err = errors.Join(err, w.Close()); err != nil {
		return "", fault(err)
	}
	return s.Read(250)
}

// Close ends the session, with QUIT if the server listens.
func (s *Session) Close() {
	_, _ = s.Ask(221, "QUIT")
	_ = s.conn.Close()
}

// fault says why there is no answer.
func fault(err error) error {
	if malformed := textproto.ProtocolError(""); errors.As(err, &malformed) {
		return fmt.Errorf("the server does not speak SMTP: %s", text.Shorten(text.OneLine(malformed.Error()), maxAnswer))
	}
	return fmt.Errorf("the connection was closed: %w", err)
}
