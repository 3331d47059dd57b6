package stranger

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/textproto"
	"strings"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/smtpd"
)

// session is an SMTP session without a password.
type session struct {
	conn net.Conn
	text *textproto.Conn
}

func dial(ctx context.Context, way route) (*session, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(way.from)}
	c, err := d.DialContext(ctx, "tcp", way.to.String())
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &session{conn: c, text: textproto.NewConn(c)}, nil
}

func (s *session) close() {
	_, _ = s.ask("QUIT")
	_ = s.conn.Close()
}

// greet goes through the session as far as a client does before MAIL. ok is false if the relay
// refuses or closes the session.
func (s *session) greet(l config.Listener, way route) (answer string, ok bool) {
	if way.header {
		family := "TCP4"
		if way.client.Is6() {
			family = "TCP6"
		}
		fmt.Fprintf(s.conn, "PROXY %s %s %s 40000 %d\r\n", family, way.client, way.to.Addr(), way.to.Port())
	}
	if l.TLS == smtpd.TLSImplicit {
		s.secure()
	}
	if answer, ok = s.read(); !ok {
		return answer, false
	}
	if answer, ok = s.ask("EHLO stranger.example"); !ok || l.TLS != smtpd.TLSStart {
		return answer, ok
	}
	if answer, ok = s.ask("STARTTLS"); !ok {
		return answer, ok
	}
	s.secure()
	return s.ask("EHLO stranger.example")
}

// secure begins TLS with any certificate and any version, since a stranger would accept them.
func (s *session) secure() {
	c := tls.Client(s.conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10})
	s.conn, s.text = c, textproto.NewConn(c)
}

// envelope tries a sender and a recipient, and takes them back.
func (s *session) envelope(from, to string) (answer string, ok bool) {
	defer func() { _, _ = s.ask("RSET") }()
	if answer, ok = s.ask("MAIL FROM:<" + from + ">"); !ok {
		return answer, false
	}
	return s.ask("RCPT TO:<" + to + ">")
}

func (s *session) ask(command string) (answer string, ok bool) {
	if err := s.text.PrintfLine("%s", command); err != nil {
		return closed(err), false
	}
	return s.read()
}

// read returns the answer on one line, and whether it is a positive one.
func (s *session) read() (answer string, ok bool) {
	code, lines, err := s.text.ReadResponse(0)
	if code == 0 {
		return closed(err), false
	}
	first, _, _ := strings.Cut(lines, "\n")
	return text.Shorten(text.Printable(fmt.Sprintf("%d %s", code, first)), 200), code >= 200 && code < 300
}

func closed(err error) string {
	return text.Shorten(text.Printable(fmt.Sprintf("the connection was closed (%v)", err)), 200)
}
